//! What is probed of a machine before scenarios run on it.

use crate::inject;
use crate::stops::Stop;
use crate::stops::probe::Prober;
pub use crate::stops::probe::{LONGEST, Support};
use protocol::note::INTERRUPT;
use serde::{Deserialize, Serialize};
use vm::{Machine, VcpuError};

/// What can be probed of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Question {
    /// Does this stop work?
    #[strum(to_string = "{0}")]
    Stop(Stop),
    /// May the host inject NMIs?
    Nmi,
    /// May the host inject external interrupts?
    Interrupt,
}

impl Question {
    /// All probes, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Off, only what has
    /// scenarios of that kind.
    pub fn all(payload: bool) -> Vec<Self> {
        let stops = Stop::all().into_iter().filter(|stop| stop.how().is_of_interest(payload));
        stops.map(Self::Stop).chain([Self::Nmi, Self::Interrupt]).collect()
    }
}

/// The result of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopSupport(pub Vec<(Question, Support)>);

impl StopSupport {
    /// The answer to a question that was asked.
    pub fn to(&self, question: Question) -> Option<&Support> {
        self.0.iter().find(|(asked, _)| *asked == question).map(|(_, support)| support)
    }
}

/// Asks `machine` each of `questions`, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Fails as [`ask`].
pub fn probe(machine: &dyn Machine, payload: bool, questions: &[Question]) -> Result<StopSupport, VcpuError> {
    let answers = questions.iter().map(|question| Ok((*question, ask(machine, payload, *question)?)));
    answers.collect::<Result<_, _>>().map(StopSupport)
}

/// Asks `machine` one question. Fails when the guest cannot be made at all: no virtual machine, no memory,
/// its registers refused. A stop that goes wrong is a [`Support`], not an error.
pub fn ask(machine: &dyn Machine, payload: bool, question: Question) -> Result<Support, VcpuError> {
    let prober = Prober::new(machine, payload)?;
    match question {
        Question::Nmi => inject::probe(&prober, |vcpu| vcpu.nmi()),
        Question::Interrupt => inject::probe(&prober, |vcpu| vcpu.interrupt(INTERRUPT)),
        Question::Stop(stop) => stop.how().probe(&prober),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stops::Storm;
    use model::ModelMachine;
    use model::hypervisor::behaviour::CORRECT;
    use std::time::Duration;

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
            let support = ask(&slow(takes), true, Question::Stop(Storm(0).into())).unwrap();
            assert_eq!(support, Support::Works, "{takes:?}");
        }
        for behaviour in model::hypervisor::behaviour::all() {
            let support = ask(&ModelMachine::new(behaviour), true, Question::Stop(Storm(0).into())).unwrap();
            assert_eq!(support, Support::Works, "{}: what becomes of the event is not asked", behaviour.name);
        }
        let never = slow(None);
        let Support::Wrong(why) = ask(&never, true, Question::Stop(Storm(0).into())).unwrap() else {
            panic!("no signal lets it go on")
        };
        let (signals, rest) = why.strip_prefix("of ").unwrap().split_once(' ').unwrap();
        // Each guest is signalled, the first until the aim is as long as it can be.
        assert!(signals.parse::<u32>().unwrap() >= 100, "{why}");
        assert!(rest.starts_with("signals in 100 guests none ended KVM_RUN"), "{why}");
    }

    #[test]
    fn what_went_wrong_is_a_sentence() {
        let wrong = Support::Wrong("the #UD became a double fault in the guest".into());
        assert_eq!(wrong.to_string(), "the #UD became a double fault in the guest");
        assert!(!wrong.works() && !Support::Silent.works() && Support::Works.works());
    }
}
