//! Which stops a machine can do, found out by trying each once.
//!
//! A tiny guest of this module's own is stopped in every way and let go again, through the
//! KVM-shaped trait only, so that the model is probed by the same steps as a real KVM. The answer
//! decides between running a scenario and skipping it with a reason. So the probe asks only whether
//! the machine *stops* there, or accepts what is injected: whether the event survives the stop, whether
//! it comes and when, is the scenarios' question, and a probe that judged it would turn the very failure
//! they look for into a skip.
//!
//! The guest uses the IDT: the stops act below event delivery, and a KVM that can do them for one
//! mode can do them for both. Every run has a deadline, but an ill KVM can spin where no signal
//! reaches it: ask each question of a worker process with a hard kill behind it.

pub(super) mod guest;
pub(super) mod tries;

use super::storm::probe as storm;
use crate::image::Place;
use crate::stops::Stop;
use guest::{Act, Guest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use vm::Machine;
use vm::{VcpuError, VmKind};

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

/// What a machine can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Does this stop work?
    Stop(Stop),
    /// May the host inject NMIs?
    Nmi,
    /// May the host inject external interrupts?
    Interrupt,
}

impl Question {
    /// Everything that there is to ask, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Off, only what has
    /// scenarios of that kind.
    pub fn all(payload: bool) -> Vec<Self> {
        let mut stops = vec![Stop::Block(Place::Frame), Stop::Cancel, Stop::Io, Stop::Storm(0)];
        if payload {
            stops.extend(Place::ALL.into_iter().skip(1).map(Stop::Block));
            for how in [Stop::Evict, Stop::Userfault, Stop::Hole, Stop::Private] {
                stops.extend(Place::ALL.map(how));
            }
            stops.extend([Stop::ReadOnly(Place::Frame), Stop::Ring]);
        }
        stops.into_iter().map(Self::Stop).chain([Self::Nmi, Self::Interrupt]).collect()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop(stop) => write!(f, "{stop}"),
            Self::Nmi => f.write_str("nmi"),
            Self::Interrupt => f.write_str("interrupt"),
        }
    }
}

/// What a machine answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopSupport(pub Vec<(Question, Support)>);

impl StopSupport {
    /// The answer to a question that was asked.
    pub fn to(&self, question: Question) -> Option<&Support> {
        self.0.iter().find(|(asked, _)| *asked == question).map(|(_, support)| support)
    }
}

/// The most that a question takes where KVM_RUN comes back: the guest that is measured, and of a storm the
/// one that is measured, the others, and the one that is under way when these have had their time.
pub const LONGEST: Duration = guest::MOST.saturating_mul(2 + storm::TOGETHER + 1);

/// Asks `machine` each of `questions`, with KVM_CAP_EXCEPTION_PAYLOAD on or off.
///
/// # Errors
/// As [`ask`].
pub fn probe(machine: &dyn Machine, payload: bool, questions: &[Question]) -> Result<StopSupport, VcpuError> {
    let answers = questions.iter().map(|question| Ok((*question, ask(machine, payload, *question)?)));
    answers.collect::<Result<_, _>>().map(StopSupport)
}

/// Tries one stop on `machine`.
///
/// # Errors
/// When the guest cannot be made at all: no virtual machine, no memory, its registers refused. A
/// stop that goes wrong is a [`Support`], not an error.
pub fn ask(machine: &dyn Machine, payload: bool, question: Question) -> Result<Support, VcpuError> {
    let limit = guest::limit(machine, payload)?;
    let plain = |act| Guest::start(machine, payload, VmKind::Plain, act, limit);
    match question {
        Question::Nmi => Ok(tries::nmi(plain(Act::Undefined)?)),
        Question::Interrupt => Ok(tries::interrupt(plain(Act::Undefined)?)),
        Question::Stop(Stop::Storm(_)) => storm::storm(|| plain(Act::Led)),
        Question::Stop(stop) => {
            let act = if stop == Stop::Io { Act::InputUnderTrap } else { Act::Undefined };
            let kind = stop.vm_kind();
            let guest = match Guest::start(machine, payload, kind, act, limit) {
                // Plain VMs can be made, or nothing can.
                Err(error) if kind != VmKind::Plain => return Ok(Support::NotOffered(error.to_string())),
                guest => guest?,
            };
            match (stop, stop.place(), stop.page_access()) {
                (_, Some(place), Some(access)) => tries::refused(guest, place, access),
                (_, Some(place), None) => tries::evict(guest, place),
                (Stop::Ring, ..) => tries::ring(guest),
                (Stop::Io, ..) => tries::io(guest),
                _ => tries::cancel(guest, payload),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ModelMachine;
    use model::hypervisor::behaviour::CORRECT;

    #[test]
    fn every_stop_works_on_the_model() {
        for behaviour in model::hypervisor::behaviour::all() {
            for payload in [true, false] {
                let StopSupport(answers) =
                    probe(&ModelMachine::new(behaviour), payload, &Question::all(payload)).unwrap();
                assert!(answers.len() > 4);
                for (question, support) in answers {
                    assert_eq!(support, Support::Works, "{}: {question} payload {payload}", behaviour.name);
                }
            }
        }
    }

    #[test]
    fn a_machine_that_no_signal_interrupts_in_time_is_found() {
        let slow = |takes| ModelMachine::new(&CORRECT).slow_to_enter(takes, u32::MAX);
        for takes in [0, 50].map(|takes| Some(Duration::from_micros(takes))) {
            let support = ask(&slow(takes), true, Question::Stop(Stop::Storm(0))).unwrap();
            assert_eq!(support, Support::Works, "{takes:?}");
        }
        for behaviour in model::hypervisor::behaviour::all() {
            let support = ask(&ModelMachine::new(behaviour), true, Question::Stop(Stop::Storm(0))).unwrap();
            assert_eq!(support, Support::Works, "{}: what becomes of the event is not asked", behaviour.name);
        }
        let never = slow(None);
        let Support::Wrong(why) = ask(&never, true, Question::Stop(Stop::Storm(0))).unwrap() else {
            panic!("no signal lets it go on")
        };
        assert!(why.starts_with("of 100 signals in 100 guests none ended KVM_RUN"), "{why}");
    }

    #[test]
    fn what_went_wrong_is_a_sentence() {
        let wrong = Support::Wrong("the #UD became a double fault in the guest".into());
        assert_eq!(wrong.to_string(), "the #UD became a double fault in the guest");
        assert!(!wrong.works() && !Support::Silent.works() && Support::Works.works());
    }
}
