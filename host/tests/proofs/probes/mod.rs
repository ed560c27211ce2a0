//! Probes: what a machine must do for a stop to work on it, and what is said of one that does something else.

mod kernel;
mod outside;
mod page;
mod queue;

use crate::fake::{Scripted, State, Step};
use midflight::engine::questions::{Question, ask};
use vm::{Exit, RunMode};

/// The probe's guest: its act, its handlers, the frame's page, the port that it reads, and those that its handlers
/// write to.
const ACT: u64 = 0x7000;
const HANDLER: u64 = 0x7040;
const FRAME: u64 = 0xA000;
const INPUT: u16 = 0x20;
const ENTERED: u16 = 0x10;
const DOUBLE_FAULT: u16 = 0x12;

/// A probe, and its answer.
#[derive(Clone, Copy)]
struct Probe {
    name: &'static str,
    stop: &'static str,
    script: fn() -> Vec<Step>,
    /// `works`, or the whole sentence.
    answer: &'static str,
}

const SILENT: &str = "the machine takes no notice of the stop and delivers the event";

fn out(port: u16) -> Step {
    Step::returns(Exit::IoOut { port, size: 1, data: vec![0] })
}

/// The handler is entered.
fn delivered() -> Step {
    out(ENTERED).with(|state| state.regs.rip = HANDLER)
}

/// The guest that is measured, and then these.
fn measured<const N: usize>(steps: [Step; N]) -> Vec<Step> {
    let mut all = vec![delivered()];
    all.extend(steps);
    all
}

fn pending_signal(step: Step) -> Step {
    step.entered(|mode| mode == RunMode::SignalPending)
}

fn immediate(step: Step) -> Step {
    step.entered(|mode| mode == RunMode::ImmediateExit)
}

#[track_caller]
fn check(probes: &[Probe], payload: bool, fresh: fn(&mut State)) {
    for Probe { name, stop, script, answer } in probes {
        let question = match *stop {
            "nmi" => Question::Nmi,
            "interrupt" => Question::Interrupt,
            stop => Question::Stop(stop.parse().unwrap()),
        };
        let mut machine = Scripted::new(script());
        machine.fresh = fresh;
        let seen = ask(&machine, payload, question).unwrap().to_string();
        assert_eq!((seen.as_str(), machine.left()), (*answer, 0), "{name}");
    }
}
