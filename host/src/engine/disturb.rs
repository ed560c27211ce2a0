//! Rewriting CR2, DR6 and IA32_XFD_ERR so that they disagree with the event in flight.
//!
//! Event data that is rebuilt from them is then wrong for certain, and side effects that are applied
//! a second time show.

use crate::session::Session;
use fred::data::DeviceNotAvailableData;
use fred::msr;
use kvm_bindings::{kvm_debugregs, kvm_vcpu_events};
use protocol::disturbance::{Disturbance, Phase, Register};
use vm::state::{may_hold_back, set};
use vm::{Msr, VcpuError};

/// An address that no case touches.
pub(crate) const CR2: u64 = 0x0000_5A5A_DEAD_B000;
/// BT, BD and B2: a combination that no case produces.
pub(crate) const DR6: u64 = 0xFFFF_AFF4;

/// Rewrites the registers and reports that to the judge. `phase` is the event's in flight; a debug exception that
/// MOV SS holds back has its effect on DR6 still before it. IA32_XFD_ERR is left alone where `has_xfd`
/// is false. Says what was rewritten. Fails when a register cannot be read or written.
pub(crate) fn disturb(session: &mut Session<'_>, phase: Phase, has_xfd: bool) -> Result<String, VcpuError> {
    let mut sregs = session.vcpu.sregs()?;
    sregs.cr2 = CR2;
    // An interrupt in flight stays: an empty bitmap asks for none to be queued, and says nothing of what is.
    sregs.interrupt_bitmap = [0; 4];
    set::sregs(session.vcpu.as_mut(), &sregs)?;
    let events = session.vcpu.events()?;
    let mut debug_regs = session.vcpu.debug_regs()?;
    let dr6_phase = phase_of_dr6(&events, &debug_regs, phase);
    debug_regs.dr6 = DR6;
    set::debug_regs(session.vcpu.as_mut(), &debug_regs)?;
    let mut done =
        vec![Disturbance::new(Register::Cr2, phase, CR2), Disturbance::new(Register::Dr6, dr6_phase, DR6)];
    if has_xfd {
        let value = other_xfd_err(session)?;
        set::msrs(session.vcpu.as_mut(), &[Msr { index: msr::XFD_ERR, value }])?;
        // #NM's effect on XFD_ERR precedes every way to stop it.
        done.push(Disturbance::new(Register::XfdErr, Phase::After, value));
    }
    write_back(session, &events)?;
    session.note_disturbances(&done)?;
    let written: Vec<String> = ["CR2", "DR6", "IA32_XFD_ERR"]
        .into_iter()
        .zip(&done)
        .map(|(name, one)| format!("{name} = {:#x}", one.value))
        .collect();
    Ok(format!("rewritten: {}", written.join(", ")))
}

/// Writes the general registers as they were read, as a debugger does. KVM_SET_REGS drops an exception that is pending
/// (`__set_regs`), so that it is left out there; what is injected stays.
fn write_back(session: &mut Session<'_>, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
    if events.exception.pending == 0 {
        let regs = session.vcpu.regs()?;
        set::regs(session.vcpu.as_mut(), &regs)?;
    }
    Ok(())
}

/// The phase of DR6 where the event in flight is in `phase`.
fn phase_of_dr6(events: &kvm_vcpu_events, debug_regs: &kvm_debugregs, phase: Phase) -> Phase {
    if may_hold_back(events, debug_regs) { Phase::Before } else { phase }
}

/// The other of the two values that IA32_XFD_ERR can have where TILEDATA is all that XFD disables.
fn other_xfd_err(session: &Session<'_>) -> Result<u64, VcpuError> {
    let now = session.vcpu.msrs(&[msr::XFD_ERR])?;
    Ok(if now.iter().any(|msr| msr.value == 0) { DeviceNotAvailableData::TILEDATA } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mov_ss_holds_back_writes_dr6_later() {
        let mut events = kvm_vcpu_events::default();
        // L0, writes of one byte.
        let mut debug_regs = kvm_debugregs { dr7: 0x1_0401, ..Default::default() };
        assert_eq!(phase_of_dr6(&events, &debug_regs, Phase::After), Phase::After);
        // KVM_X86_SHADOW_INT_MOV_SS.
        events.interrupt.shadow = 1;
        assert_eq!(phase_of_dr6(&events, &debug_regs, Phase::After), Phase::Before);
        debug_regs.dr7 = 0x401;
        assert_eq!(phase_of_dr6(&events, &debug_regs, Phase::After), Phase::After, "on execution");
    }
}
