//! Which stops a machine can do, found out by trying each once.
//!
//! A tiny guest of this module's own is stopped in every way and let go again, through the
//! KVM-shaped trait only, so that the model is probed by the same steps as a real KVM. The answer
//! decides between running a scenario and skipping it with a reason. So the probe asks only whether
//! the machine *stops* there: whether the event survives the stop is the scenarios' question, and a
//! probe that judged it would turn the very failure they look for into a skip.
//!
//! The guest uses the IDT: the stops act below event delivery, and a KVM that can do them for one
//! mode can do them for both. Every run has a deadline, but an ill KVM can spin where no signal
//! reaches it: probe in a worker process with a hard kill behind it.

mod guest;
mod stops;

use crate::machine::Machine;
use crate::vcpu::VcpuError;
use guest::{Act, Guest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a stop works on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Support {
    /// The guest stopped in mid-delivery.
    Works,
    /// The machine took no notice: the event was delivered as if there had been no stop.
    Silent,
    /// The machine refuses what the stop needs; the sentence says what.
    NotOffered(String),
    /// The machine did something else; the sentence says what.
    Wrong(String),
}

impl Support {
    /// Whether scenarios with this stop can run.
    pub fn works(&self) -> bool {
        *self == Self::Works
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::Silent => f.write_str("the machine takes no notice of the stop and delivers the event"),
            Self::NotOffered(sentence) | Self::Wrong(sentence) => f.write_str(sentence),
        }
    }
}

/// Which stops work on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSupport {
    /// `block@frame`: the page that the frame goes to refuses every access.
    pub block: Support,
    /// `cancel`: an event set by the host, and an entry abandoned because of a signal.
    pub cancel: Support,
    /// `io`: an event raised by an I/O instruction that is completed without entering the guest.
    pub io: Support,
    /// NMIs that the host injects.
    pub nmi: Support,
    /// External interrupts that the host injects.
    pub interrupt: Support,
}

/// Tries every stop on `machine`, with KVM_CAP_EXCEPTION_PAYLOAD on or off.
///
/// # Errors
/// When the guest cannot be made at all: no virtual machine, no memory, its registers refused. A
/// stop that goes wrong is a [`Support`], not an error.
pub fn probe(machine: &dyn Machine, payload: bool) -> Result<StopSupport, VcpuError> {
    Ok(StopSupport {
        block: stops::block(Guest::start(machine, payload, Act::Undefined)?)?,
        cancel: stops::cancel(Guest::start(machine, payload, Act::Undefined)?, payload)?,
        io: stops::io(Guest::start(machine, payload, Act::InputUnderTrap)?)?,
        nmi: every_time(|| stops::nmi(Guest::start(machine, payload, Act::Undefined)?))?,
        interrupt: every_time(|| stops::interrupt(Guest::start(machine, payload, Act::Window)?))?,
    })
}

/// Whether a machine works each time: one that delivers when it happens to look does so sometimes.
fn every_time(mut attempt: impl FnMut() -> Result<Support, VcpuError>) -> Result<Support, VcpuError> {
    const TIMES: usize = 4;
    for _ in 1..TIMES {
        let support = attempt()?;
        if !support.works() {
            return Ok(support);
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::model::ModelMachine;

    #[test]
    fn every_stop_works_on_the_model() {
        for behaviour in model::hypervisor::behaviour::all() {
            for payload in [true, false] {
                let support = probe(&ModelMachine::new(behaviour), payload).unwrap();
                let all = StopSupport {
                    block: Support::Works,
                    cancel: Support::Works,
                    io: Support::Works,
                    nmi: Support::Works,
                    interrupt: Support::Works,
                };
                assert_eq!(support, all, "{} payload {payload}", behaviour.name);
            }
        }
    }

    #[test]
    fn what_went_wrong_is_a_sentence() {
        let wrong = Support::Wrong("the #UD became a double fault in the guest".into());
        assert_eq!(wrong.to_string(), "the #UD became a double fault in the guest");
        assert!(!wrong.works() && !Support::Silent.works() && Support::Works.works());
    }
}
