//! `io`: the instruction that raises the event waits for user-space I/O, which completes without entering the
//! guest.
//!
//! The act reads a port; the host answers and completes the instruction with `immediate_exit`. The event is in
//! the queue, with KVM_CAP_EXCEPTION_PAYLOAD as pending.

use super::action::{Action, EACH};
use super::cancel::abandon;
use super::cut::{Cut, Look, NoCut, Proof};
use super::how::{Again, CutAgain, CutStop, How, StopFacts, Target, Way, one_id};
use super::probe::guest::{INPUT, ProbeAct, Progress};
use super::probe::{Prober, Support, sentence};
use crate::image::Case;
use crate::session::{Session, Stopped};
use protocol::note::CaseFlags;
use vm::{Exit, RunMode, VcpuError};

/// With the capability on. `cancel` tests entries that are cancelled repeatedly.
const ACTIONS: [Action; 5] = [EACH[0], EACH[1], EACH[2], EACH[3], Action::MIGRATE_PROCESS];

/// An instruction that waits for user-space I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Io;

impl How for Io {
    one_id!("io");

    fn facts(&self) -> StopFacts {
        StopFacts::ORDINARY
    }

    fn words(&self) -> String {
        "The case's instruction reads a port, and raises its event when the host completes the read with immediate_exit: the \
         guest has not been entered since."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        target.case.flags.contains(CaseFlags::IO)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &ACTIONS } else { &EACH }
    }

    /// IN under RFLAGS.TF, completed without entering the guest.
    ///
    /// A #DB that the queue does not hold then is lost, which is for the scenarios to find, or it is raised
    /// by the next entry, and then there is no such stop.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::InputUnderTrap, |mut guest| {
            match guest.run(RunMode::Normal)? {
                Progress::Exit(Exit::IoIn { port: INPUT, size: 1, count: 1 }) => {}
                other => return Ok(Support::Wrong(format!("{} at an IN under TF", sentence("#DB", &other)))),
            }
            guest.vcpu.set_io_data(&[protocol::port::INPUT_BYTE])?;
            let what = "when the IN was to be completed alone";
            match guest.run(RunMode::ImmediateExit)? {
                Progress::Exit(Exit::Interrupted) => {}
                Progress::Delivered => return Ok(Support::Silent),
                other => return Ok(Support::Wrong(format!("{} {what}", sentence("#DB", &other)))),
            }
            let exception = guest.vcpu.events()?.exception;
            if exception.injected != 0 || exception.pending != 0 {
                return Ok(Support::Works);
            }
            Ok(match guest.run(RunMode::Normal)? {
                Progress::Delivered => {
                    Support::Wrong(format!("the #DB is only raised by the next entry, not {what}"))
                }
                _ => Support::Works,
            })
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl CutStop for Io {
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        match session.advance()? {
            Stopped::Input => {}
            other => return Err(NoCut::Unexpected(other)),
        }
        let rip = session.vcpu.regs()?.rip;
        if rip != target.case.act {
            let place = session.image().describe_address(rip);
            return Err(NoCut::Unproved(format!("the input was read at {place}, not at the act")));
        }
        match session.complete_io()? {
            Exit::Interrupted => {}
            other => return Err(NoCut::Unexpected(Stopped::Exit(other))),
        }
        let look = Look::at(session)?;
        let pending = look.events.exception.pending != 0;
        if look.entries != 0 || !(pending || look.in_flight()) {
            return Err(NoCut::Unproved("the input was completed and the queue shows no event".into()));
        }
        Ok(look.cut(Proof::Queue, look.phase()))
    }

    fn again(&self) -> Again<'_> {
        Again::AsOften(self)
    }
}

impl CutAgain for Io {
    /// The entry that injects the event is abandoned.
    fn cut_again(&self, session: &mut Session<'_>, _: &Case, before: &Cut) -> Result<Cut, NoCut> {
        let cut = abandon(session)?;
        // What was pending is injected once its entry has been prepared.
        let same = cut.rip == before.rip;
        Ok(cut.of_the_same(same, session))
    }
}
