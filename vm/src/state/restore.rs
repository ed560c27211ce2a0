//! The steps of a restore, as a table, and the check after it.

use super::{Loss, VmState, compare, read, second_form, set};
use crate::{Blame, Difference, Machine, Vcpu, VcpuError, overlay};
use kvm_bindings::kvm_vcpu_events;

/// A step of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Guest memory.
    Memory,
    /// KVM_SET_TSC_KHZ, where the rate differs from the fresh VM's.
    TscKhz,
    /// KVM_SET_SREGS2, or KVM_SET_SREGS.
    Sregs,
    /// KVM_SET_XCRS.
    Xcrs,
    /// KVM_SET_XSAVE.
    Xsave,
    /// KVM_SET_DEBUGREGS.
    DebugRegs,
    /// KVM_SET_MSRS.
    Msrs,
    /// KVM_SET_MP_STATE.
    MpState,
    /// KVM_SET_REGS.
    Regs,
    /// KVM_SET_VCPU_EVENTS.
    Events,
}

/// The order that follows from the laws of restoring: see the [module](super).
pub const ORDER: [Step; 10] = [
    Step::Memory,
    Step::TscKhz,
    Step::Sregs,
    Step::Xcrs,
    Step::Xsave,
    Step::DebugRegs,
    Step::Msrs,
    Step::MpState,
    Step::Regs,
    Step::Events,
];

/// A guest in its new VM.
pub struct Restored {
    /// The new VM.
    pub vcpu: Box<dyn Vcpu>,
    /// Fields that read back with another value than was saved: the machine is wrong.
    pub findings: Vec<Difference>,
    /// What the new machine cannot hold.
    pub losses: Vec<Loss>,
}

impl std::fmt::Debug for Restored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restored")
            .field("findings", &self.findings)
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}

/// Restores a VM into a fresh one.
///
/// # Errors
/// When the VM cannot be made or a SET fails.
pub fn restore(machine: &dyn Machine, state: &VmState) -> Result<Box<dyn Vcpu>, VcpuError> {
    Ok(restore_in(machine, state, &ORDER)?.vcpu)
}

/// Restores a VM into a fresh one, reads everything back, and compares.
///
/// # Errors
/// When the VM cannot be made, or a SET or a GET fails.
pub fn restore_and_check(machine: &dyn Machine, state: &VmState) -> Result<Restored, VcpuError> {
    let mut restored = restore_in(machine, state, &ORDER)?;
    restored.check(state)?;
    Ok(restored)
}

/// Restores in the caller's order. Any but [`ORDER`] breaks a law, which tests do on purpose.
///
/// # Errors
/// When the VM cannot be made or a SET fails.
pub fn restore_in(machine: &dyn Machine, state: &VmState, order: &[Step]) -> Result<Restored, VcpuError> {
    let mut restored =
        Restored { vcpu: machine.create(&state.config)?, findings: Vec::new(), losses: Vec::new() };
    for step in order {
        restored.take(*step, state)?;
    }
    Ok(restored)
}

impl Restored {
    /// Reads everything back and compares it with what was saved.
    ///
    /// # Errors
    /// When a GET fails.
    pub fn check(&mut self, state: &VmState) -> Result<(), VcpuError> {
        let msrs: Vec<u32> = state.msrs.iter().map(|msr| msr.index).collect();
        let back = read(self.vcpu.as_mut(), &msrs, &state.config)?;
        self.findings = compare::differences(state, &back);
        Ok(())
    }

    fn take(&mut self, step: Step, state: &VmState) -> Result<(), VcpuError> {
        let vcpu = self.vcpu.as_mut();
        match step {
            Step::Memory => vcpu.load_memory(&state.memory),
            Step::TscKhz => match state.tsc_khz {
                Some(rate) if vcpu.tsc_khz()? != Some(rate) => vcpu.set_tsc_khz(rate),
                _ => Ok(()),
            },
            Step::Sregs if vcpu.offers_sregs2() => {
                set::sregs2(vcpu, &second_form(&state.sregs, state.pdptrs))
            }
            Step::Sregs => set::sregs(vcpu, &state.sregs),
            Step::Xcrs => state.xcrs.as_ref().map_or(Ok(()), |xcrs| set::xcrs(vcpu, xcrs)),
            Step::Xsave => set::xsave(vcpu, &state.xsave),
            Step::DebugRegs => set::debug_regs(vcpu, &state.debug_regs),
            Step::Msrs => set::msrs(vcpu, &state.msrs),
            Step::MpState => set::mp_state(vcpu, &state.mp_state),
            Step::Regs => set::regs(vcpu, &state.regs),
            Step::Events => self.events(&state.events),
        }
    }

    /// KVM_SET_VCPU_EVENTS. A field that no released kernel has (the nested bit, event data) is
    /// offered to the machine and left out, as a loss, only if the machine refuses its flag.
    fn events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        let Err(refused) = self.vcpu.set_events(events) else { return Ok(()) };
        if refused.blame() != Blame::Machine {
            return Err(refused);
        }
        // The smallest set first.
        let fields = [overlay::VALID_EVENT_DATA, overlay::VALID_NESTED].map(|flag| events.flags & flag);
        let subsets = [fields[0], fields[1], fields[0] | fields[1]];
        let accepted = subsets
            .into_iter()
            .filter(|left_out| *left_out != 0)
            .find(|left_out| self.vcpu.set_events(&overlay::without(events, *left_out)).is_ok());
        let Some(left_out) = accepted else {
            // None of these fields is the cause.
            return set::events(self.vcpu.as_mut(), &overlay::without(events, fields[0] | fields[1]));
        };
        if left_out & overlay::VALID_NESTED != 0 && overlay::nested(events) {
            self.losses.push(Loss::NestedBitInNew);
        }
        if left_out & overlay::VALID_EVENT_DATA != 0 {
            self.losses.push(Loss::EventDataInNew);
        }
        Ok(())
    }
}
