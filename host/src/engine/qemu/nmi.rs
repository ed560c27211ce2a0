//! NMIs that a case asks for.
//!
//! QMP's `inject-nmi` gives one to the local APIC's LINT1, which images leave masked: what QEMU has saved of the guest is
//! loaded with it unmasked. The host knows where the guest is when it gives the NMI: paused at its event, which is in
//! flight; paused before its act; or in HLT, which `info registers` says.

use super::attempt::Attempt;
use super::synthesis;
use super::trouble::Trouble;
use crate::image::Case;
use crate::machines::qemu::Side;
use crate::qemu::apic;
use crate::qemu::vm::QemuVm;
use crate::scenario::{Action, Migration};
use protocol::note::CaseFlags;

/// How a guest gets an NMI beside an exception in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nmi {
    /// It is put into what QEMU has saved.
    Saved,
    /// `inject-nmi` of the QEMU that has the exception in flight, which then continues, or sends its guest.
    Injected,
}

impl Nmi {
    /// How, where the case asks for one there.
    pub(super) fn beside(case: &Case, action: Action) -> Option<Self> {
        let how = match action.migrate {
            Some(Migration::Here) => Self::Saved,
            Some(Migration::Process) | None => Self::Injected,
        };
        case.flags.contains(CaseFlags::NMI_AT_CUT).then_some(how)
    }
}

/// What `inject-nmi` can give a case without another event in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// At its act, which begins with nothing before it.
    AtAct,
    /// In the HLT that its act is.
    InHlt,
}

impl Alone {
    /// What a case asks for, if nothing else of a host's.
    pub(super) fn of(case: &Case) -> Option<Self> {
        let injected = case.flags & CaseFlags::INJECTED;
        [(CaseFlags::NMI_AT_ARMED, Self::AtAct), (CaseFlags::NMI_AT_HALT, Self::InHlt)]
            .into_iter()
            .find_map(|(flags, alone)| (injected == flags).then_some(alone))
    }
}

impl Attempt<'_, '_> {
    /// A guest that is stopped before its act, and takes NMIs; `release` lets it continue.
    pub(super) fn before_nmi(&mut self, alone: Alone) -> Result<QemuVm, Trouble> {
        match alone {
            Alone::AtAct => {
                let mut saved = self.guests.saved_at_armed(self.index, &self.deadline)?;
                apic::unmask(&mut saved)?;
                synthesis::leave_doorbell(&mut saved, self.case.act, 0)?;
                Ok(self.guests.load(Side::Source, &saved, &self.deadline)?)
            }
            Alone::InHlt => {
                let mut saved = self.guests.saved_at_ready(&self.deadline)?;
                apic::unmask(&mut saved)?;
                let mut vm = self.guests.load(Side::Source, &saved, &self.deadline)?;
                vm.run(&self.deadline)?;
                self.stopped_at_armed(vm)
            }
        }
    }

    /// Gives the NMI to a guest that was stopped before its act, which runs on.
    pub(super) fn give_nmi(&mut self, vm: &mut QemuVm, alone: Alone) -> Result<(), Trouble> {
        vm.release()?;
        match alone {
            Alone::AtAct => {
                vm.inject_nmi(&self.deadline)?;
                vm.run(&self.deadline)?;
            }
            Alone::InHlt => {
                vm.run(&self.deadline)?;
                let rip = vm.until_halted(&self.deadline)?;
                if rip != self.case.after {
                    let at = self.guests.image.describe_address(rip);
                    return Err(Trouble::machine(format!("the guest is in HLT at {at}, not after its act")));
                }
                vm.inject_nmi(&self.deadline)?;
            }
        }
        Ok(())
    }
}
