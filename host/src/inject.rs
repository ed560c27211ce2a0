//! NMIs and external interrupts that the host injects because a case asks for them.

use crate::session::{AtHalt, Session};
use crate::stops::probe::guest::ProbeAct;
use crate::stops::probe::{Prober, Support};
use protocol::note::{CaseFlags, INTERRUPT};
use vm::state::set;
use vm::{VcpuError, VmKind};

/// What a case asks for at `Armed`.
///
/// # Errors
/// When the machine refuses it.
pub fn at_armed(session: &mut Session<'_>, flags: CaseFlags) -> Result<(), VcpuError> {
    if flags.contains(CaseFlags::BLOCK_NMI) {
        session.complete_io()?;
        let mut events = session.vcpu.events()?;
        events.nmi.masked = 1;
        set::events(session.vcpu.as_mut(), &events)?;
    }
    if flags.contains(CaseFlags::NMI_AT_ARMED) {
        session.vcpu.nmi()?;
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_ARMED) {
        session.raise_interrupt(INTERRUPT);
    }
    if flags.contains(CaseFlags::NMI_AT_HALT) {
        session.end_halt(AtHalt::Nmi);
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_HALT) {
        session.end_halt(AtHalt::Interrupt(INTERRUPT));
    }
    Ok(())
}

/// What a case asks for while its delivery is stopped.
///
/// # Errors
/// When the machine refuses it.
pub fn at_cut(session: &mut Session<'_>, flags: CaseFlags) -> Result<(), VcpuError> {
    if flags.contains(CaseFlags::NMI_AT_CUT) {
        session.vcpu.nmi()?;
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_CUT) {
        session.raise_interrupt(INTERRUPT);
    }
    Ok(())
}

/// Whether the host may inject an NMI. Whether it comes, and when, is the scenarios' question.
///
/// # Errors
/// When no guest can be made.
pub fn probe_nmi(prober: &Prober<'_>) -> Result<Support, VcpuError> {
    Ok(accepted(prober.start(VmKind::Plain, ProbeAct::Undefined)?.vcpu.nmi()))
}

/// Whether the host may inject an external interrupt.
///
/// # Errors
/// When no guest can be made.
pub fn probe_interrupt(prober: &Prober<'_>) -> Result<Support, VcpuError> {
    Ok(accepted(prober.start(VmKind::Plain, ProbeAct::Undefined)?.vcpu.interrupt(INTERRUPT)))
}

fn accepted(answer: Result<(), VcpuError>) -> Support {
    answer.map_or_else(|error| Support::NotOffered(error.to_string()), |()| Support::Works)
}
