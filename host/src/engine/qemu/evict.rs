//! A page that is taken away while the guest is stopped before its act.

use super::attempt::Attempt;
use super::guests::arm;
use super::nmi::Alone;
use super::trouble::Trouble;
use crate::qemu::vm::QemuVm;
use crate::report::{AtCut, Finding, Outcome};
use crate::scenario::Place;
use crate::stops::Proof;
use protocol::doorbell::Doorbell;

impl Attempt<'_, '_> {
    /// The case, while a page is missing that its delivery touches. An NMI is what raises the event, where the case asks for
    /// one.
    pub(super) fn evict(&mut self, place: Place) -> Result<(), Trouble> {
        let nmi = Alone::of(self.case);
        let mut vm = match nmi {
            Some(alone) => self.before_nmi(alone)?,
            None => {
                let booted = self.guests.take(&self.deadline)?;
                self.stopped_at_armed(booted)?
            }
        };
        let page = self.guests.image.pages.at(place);
        let rip = vm.registers(&self.deadline).map_or(0, |registers| registers.rip);
        let unknown =
            |error: std::io::Error| Trouble::lacks(format!("QEMU's mapping cannot be looked at: {error}"));
        vm.memory
            .evict(page)
            .map_err(|error| Trouble::lacks(format!("a page cannot be evicted: {error}")))?;
        if vm.is_mapped(page).map_err(unknown)? {
            return Err(Trouble::lacks("the page cannot be taken out of QEMU's mapping"));
        }
        match nmi {
            Some(alone) => self.give_nmi(&mut vm, alone)?,
            None => {
                vm.run(&self.deadline)?;
                vm.release()?;
            }
        }
        let Some(vm) = self.wait_for_done(vm)? else { return Ok(()) };
        if vm.is_mapped(page).map_err(unknown)? {
            let at = self.guests.image.describe_address(rip);
            (self.report.cut, self.report.cuts) = (Some(Proof::Refault), 1);
            self.report.queue = Some(AtCut { queue: None, at });
        } else if self.report.outcome == Outcome::Pass {
            let why = format!("nothing accessed the page {page:#x} while it was evicted");
            return Err(Trouble::Found(Outcome::Error, Finding::NotCut { why }));
        }
        // One that takes NMIs is no other case's guest.
        self.keep(nmi.is_none().then_some(vm));
        Ok(())
    }

    /// A guest that runs and waits for its next case, stopped at the `Armed` of this one.
    pub(super) fn stopped_at_armed(&self, mut vm: QemuVm) -> Result<QemuVm, Trouble> {
        match arm(&mut vm, self.index, &self.deadline)? {
            Doorbell::Armed(index) if index == self.index => {}
            Doorbell::Done(index) if index == self.index => {
                return Err(Trouble::NotArmed(vm.read_mailbox()?));
            }
            other => return Err(Trouble::OutOfTurn(other)),
        }
        vm.stop(&self.deadline)?;
        Ok(vm)
    }
}
