//! One scenario.

use super::guests::{Guests, arm, expect};
use super::nmi::Nmi;
use super::synthesis;
use super::trouble::Trouble;
use crate::deadline::Deadline;
use crate::engine::RunOptions;
use crate::engine::runner::conclude;
use crate::engine::verdict;
use crate::image::Case;
use crate::machines::qemu::Side;
use crate::qemu::apic;
use crate::qemu::error::VmError;
use crate::qemu::in_flight::{InFlight, saves_error_code};
use crate::qemu::saved::Saved;
use crate::qemu::vm::QemuVm;
use crate::report::{AtCut, Finding, Outcome, Report};
use crate::scenario::{Action, Migration, Plan, Scenario};
use crate::stops::{Proof, Stop};
use protocol::disturbance::Disturbance;
use protocol::doorbell::Doorbell;
use protocol::mailbox::Mailbox;
use protocol::note::CaseFlags;
use std::mem::offset_of;
use std::time::Instant;
use zerocopy::IntoBytes;

/// Runs one scenario.
pub(super) fn run(guests: &mut Guests<'_>, name: &str, scenario: &Scenario, options: &RunOptions) -> Report {
    let start = Instant::now();
    let mut report = Report::new(scenario, name, None);
    let Some(mut attempt) = Attempt::new(guests, scenario, options, &mut report) else {
        let why = format!("image {} has no case {}", scenario.image, scenario.case);
        return report.concluded(Outcome::Error, Finding::program(why));
    };
    match attempt.run() {
        Ok(()) => {}
        Err(Trouble::NotArmed(mailbox)) => attempt.judge_unarmed(&mailbox),
        Err(trouble) => {
            let (outcome, why) = trouble.meaning(guests.image, options.timeout);
            (report.outcome, report.why) = (outcome, Some(why));
        }
    }
    conclude(report, start)
}

/// A scenario that runs.
pub(super) struct Attempt<'r, 'g> {
    pub(super) guests: &'r mut Guests<'g>,
    pub(super) case: &'r Case,
    pub(super) index: u16,
    pub(super) scenario: &'r Scenario,
    pub(super) options: &'r RunOptions,
    /// What is known of it so far.
    pub(super) report: &'r mut Report,
    pub(super) deadline: Deadline,
}

impl<'r, 'g> Attempt<'r, 'g> {
    /// Nothing has run yet. `None` if the image has no such case.
    pub(super) fn new(
        guests: &'r mut Guests<'g>,
        scenario: &'r Scenario,
        options: &'r RunOptions,
        report: &'r mut Report,
    ) -> Option<Self> {
        let (index, case) = guests.image.case(&scenario.case)?;
        let deadline = Deadline::after(options.timeout);
        Some(Self { guests, case, index, scenario, options, report, deadline })
    }
}

impl Attempt<'_, '_> {
    fn run(&mut self) -> Result<(), Trouble> {
        match self.scenario.plan {
            Plan::Cold => {
                let vm = self.guests.take(&self.deadline)?;
                let vm = self.run_case(vm)?;
                self.keep(vm);
                Ok(())
            }
            Plan::None => {
                let saved = self.guests.saved_at_ready(&self.deadline)?;
                let mut vm = self.guests.load(Side::Destination, &saved, &self.deadline)?;
                vm.run(&self.deadline)?;
                self.run_case(vm).map(drop)
            }
            Plan::Cut(Stop::Cancel(_), action) => self.cancel(action),
            Plan::Cut(Stop::Storm(storm), action) => self.storm(storm.0, action),
            Plan::Cut(Stop::Evict(place), _) => self.evict(place.0),
            Plan::Cut(stop, _) => Err(Trouble::lacks(format!("QEMU does not offer {stop}"))),
        }
    }

    /// A guest that waits at `Done` serves the next case; one that has ended does not, nor one that has met an event
    /// where none may be: what it has left, such as DR7.GD, would be the next case's.
    pub(super) fn keep(&mut self, vm: Option<QemuVm>) {
        let is_as_before = match self.report.outcome {
            Outcome::Pass | Outcome::Skip | Outcome::Known => true,
            Outcome::Fail | Outcome::Error => self.report.why.is_none(),
        };
        if let Some(vm) = vm.filter(|_| is_as_before) {
            self.guests.back(vm);
        }
    }

    /// A guest that waits at `Ready` or `Done` runs the case; it waits at its `Done` then, or has ended.
    fn run_case(&mut self, mut vm: QemuVm) -> Result<Option<QemuVm>, Trouble> {
        match arm(&mut vm, self.index, &self.deadline) {
            Ok(Doorbell::Armed(index)) if index == self.index => self.run_to_done(vm),
            Ok(Doorbell::Done(index)) if index == self.index => {
                let mailbox = vm.read_mailbox()?;
                self.judge_unarmed(&mailbox);
                Ok(Some(vm))
            }
            Ok(other) => Err(Trouble::OutOfTurn(other)),
            Err(error) => Err(Trouble::In(Box::new(vm), error)),
        }
    }

    /// A guest that waits at `Armed`, to the end of its case.
    fn run_to_done(&mut self, vm: QemuVm) -> Result<Option<QemuVm>, Trouble> {
        vm.release()?;
        self.wait_for_done(vm)
    }

    /// A guest that runs, to the end of its case.
    pub(super) fn wait_for_done(&mut self, mut vm: QemuVm) -> Result<Option<QemuVm>, Trouble> {
        match vm.next_doorbell(&self.deadline) {
            Ok(doorbell) => {
                expect(doorbell, Doorbell::Done(self.index))?;
                let mailbox = vm.read_mailbox()?;
                self.judge(&mailbox);
                Ok(Some(vm))
            }
            Err(VmError::Ended { code: Some(0), .. }) if self.case.flags.contains(CaseFlags::SHUTDOWN) => {
                self.judge_shutdown(&*vm.read_mailbox()?)?;
                Ok(None)
            }
            Err(error) => Err(Trouble::In(Box::new(vm), error)),
        }
    }

    fn judge(&mut self, mailbox: &Mailbox) {
        verdict::read(mailbox, self.case, self.scenario.delivery, self.report);
        if self.options.frames.wanted(self.report.outcome) {
            self.report.frames = verdict::frames(mailbox, self.report);
        }
    }

    /// A case that has not armed has nothing to judge: a skip, an error, or an event where none may be.
    fn judge_unarmed(&mut self, mailbox: &Mailbox) {
        self.judge(mailbox);
        if self.report.outcome == Outcome::Pass {
            (self.report.outcome, self.report.why) = (Outcome::Fail, Some(Finding::NeverArmed));
        }
    }

    /// A case that ends in a shutdown has no verdict from its guest: it passes when no handler was entered before.
    fn judge_shutdown(&mut self, mailbox: &Mailbox) -> Result<(), Trouble> {
        if mailbox.entries > 0 {
            let after = mailbox.entries;
            return Err(Trouble::machine(format!(
                "the guest was shut down after {after} deliveries, not at the first"
            )));
        }
        (self.report.outcome, self.report.compared) = (Outcome::Pass, 1);
        Ok(())
    }

    /// The event is put in flight in what QEMU has saved at `Armed`; QEMU takes it up, and at each migration saves
    /// it and takes it up again.
    fn cancel(&mut self, action: Action) -> Result<(), Trouble> {
        let Some(event) = self.case.cancel else {
            return Err(Trouble::lacks("the case does not say how its event is synthesised"));
        };
        let mut saved = self.guests.saved_at_armed(self.index, &self.deadline)?;
        // A QEMU that saves a code where it is not 0 would be blamed for one that the host cannot put.
        let may_save = action.migrate.is_none() || self.guests.qemu.may_save_error_codes();
        if may_save && event.error_code.unwrap_or(0) != 0 && !saves_error_code(&saved) {
            return Err(Trouble::lacks(
                "cancel is not offered: QEMU has saved no error code, so that the host cannot put this event in flight",
            ));
        }
        synthesis::queue(&mut saved, &event)?;
        let nmi = Nmi::beside(self.case, action);
        match nmi {
            Some(Nmi::Saved) => InFlight::put_nmi(&mut saved)?,
            Some(Nmi::Injected) => apic::unmask(&mut saved)?,
            None => {}
        }
        let put = (InFlight::of(&saved)?, saved.get("env.eip", 0));
        let disturbances = if action.disturb { synthesis::disturb(&mut saved)? } else { Vec::new() };
        let mut vm = self.guests.load(Side::Source, &saved, &self.deadline)?;
        let injects = nmi == Some(Nmi::Injected);
        if injects && action.migrate.is_some() {
            vm.inject_nmi(&self.deadline)?;
        }
        for round in 0..=action.again {
            if action.migrate == Some(Migration::Process) {
                vm = self.sent(vm, round, &saved)?;
            }
            let seen = vm.save(&self.deadline)?;
            self.record(Proof::Synthetic, &seen)?;
            // An NMI that was lost on the way, the guest shows.
            let event = InFlight::of(&seen)?;
            let event = InFlight { nmi_pending: event.nmi_pending && !injects, ..event };
            let found = (event, seen.get("env.eip", 0));
            if found != put {
                let words = |(event, rip): (InFlight, Option<u64>)| match rip {
                    Some(rip) => format!("{} at {}", event.queue(), self.guests.image.describe_address(rip)),
                    None => event.queue().to_string(),
                };
                let (found, put) = (words(found), words(put));
                return Err(Trouble::machine(format!("QEMU has loaded {put}, and saves {found}")));
            }
            if action.migrate == Some(Migration::Here) {
                vm = self.guests.load(Side::Destination, &seen, &self.deadline)?;
            }
            saved = seen;
        }
        note(&vm, &disturbances)?;
        if injects && action.migrate.is_none() {
            vm.inject_nmi(&self.deadline)?;
        }
        // It was at its doorbell when it was saved, and is at its event now.
        vm.release()?;
        vm.run(&self.deadline)?;
        self.wait_for_done(vm).map(drop)
    }

    /// The guest in another QEMU, to which its QEMU has sent it. One that was saved is not sent: it is loaded before.
    fn sent(&mut self, vm: QemuVm, round: u8, saved: &Saved) -> Result<QemuVm, Trouble> {
        let mut source = match round {
            0 => vm,
            _ => self.guests.load(Side::Source, saved, &self.deadline)?,
        };
        Ok(self.guests.send(&mut source, &self.deadline)?)
    }

    pub(super) fn record(&mut self, proof: Proof, seen: &Saved) -> Result<(), Trouble> {
        let at = self.guests.image.describe_address(seen.get("env.eip", 0).unwrap_or(0));
        self.report.queue = Some(AtCut { queue: Some(InFlight::of(seen)?.queue()), at });
        self.report.cut = Some(proof);
        self.report.cuts += 1;
        Ok(())
    }
}

/// Writes for the judge which registers were rewritten.
fn note(vm: &QemuVm, disturbances: &[Disturbance]) -> Result<(), VmError> {
    vm.write(offset_of!(Mailbox, disturbances), disturbances.as_bytes())?;
    vm.write(offset_of!(Mailbox, disturbance_count), &(disturbances.len() as u32).to_le_bytes())
}
