//! NMIs and external interrupts that the host injects because a case asks for them.

use crate::image::Case;
use crate::session::{AtHalt, Session};
use crate::stops::probe::guest::ProbeAct;
use crate::stops::probe::{Prober, Support};
use fred::event::{EventType, vector};
use kvm_bindings::KVM_VCPUEVENT_VALID_NMI_PENDING;
use protocol::note::{CaseFlags, INTERRUPT};
use vm::state::set;
use vm::{Vcpu, VcpuError, VmKind};

/// What a case asks for at `Armed`. Fails when the machine refuses it.
pub fn at_armed(session: &mut Session<'_>, case: &Case) -> Result<(), VcpuError> {
    let flags = case.flags;
    if flags.contains(CaseFlags::BLOCK_NMI) {
        session.complete_io()?;
        let mut events = session.vcpu.events()?;
        events.nmi.masked = 1;
        set::events(session.vcpu.as_mut(), &events)?;
    }
    if flags.contains(CaseFlags::NMI_AT_ARMED) {
        session.vcpu.nmi()?;
    }
    if flags.contains(CaseFlags::SECOND_NMI) {
        second_nmi(session)?;
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_ARMED) {
        session.raise_interrupt(interrupt(case));
    }
    if flags.contains(CaseFlags::NMI_AT_HALT) {
        session.end_halt(AtHalt::Nmi);
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_HALT) {
        session.end_halt(AtHalt::Interrupt(interrupt(case)));
    }
    Ok(())
}

/// Another NMI beside the one that is pending, and what a host may do to the vCPU's events without a difference: a case
/// that is wrong after any of it has lost an NMI, or has met what was refused.
fn second_nmi(session: &mut Session<'_>) -> Result<(), VcpuError> {
    session.vcpu.nmi()?;
    let vcpu = session.vcpu.as_mut();
    save_and_restore(vcpu)?;
    restore_without_nmis(vcpu)?;
    restore_refused(vcpu)
}

/// A host that migrates its guest now must find both NMIs, and restores them.
fn save_and_restore(vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
    let events = vcpu.events()?;
    set::events(vcpu, &events)
}

/// Without its flag the count of pending NMIs means nothing.
fn restore_without_nmis(vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
    let mut events = vcpu.events()?;
    events.flags &= !KVM_VCPUEVENT_VALID_NMI_PENDING;
    events.nmi.pending = 0;
    set::events(vcpu, &events)
}

/// No exception has NMI's vector: that is refused and changes nothing. Where it is taken the guest meets it.
fn restore_refused(vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
    let mut events = vcpu.events()?;
    events.exception.injected = 1;
    events.exception.nr = vector::NMI;
    vcpu.set_events(&events).ok();
    Ok(())
}

/// The vector of the interrupt: the case's first event is that interrupt, or [`INTERRUPT`] comes later.
fn interrupt(case: &Case) -> u8 {
    match case.event {
        Some((EventType::ExternalInterrupt, vector)) => vector,
        Some(_) | None => INTERRUPT,
    }
}

/// What a case asks for while its delivery is stopped. Fails when the machine refuses it.
pub fn at_cut(session: &mut Session<'_>, flags: CaseFlags) -> Result<(), VcpuError> {
    if flags.contains(CaseFlags::NMI_AT_CUT) {
        session.vcpu.nmi()?;
    }
    if flags.contains(CaseFlags::SECOND_NMI_AT_CUT) {
        session.vcpu.nmi()?;
    }
    if flags.contains(CaseFlags::INTERRUPT_AT_CUT) {
        session.raise_interrupt(INTERRUPT);
    }
    Ok(())
}

/// Whether the host may `inject` an NMI or an external interrupt. Whether it comes, and when, is the scenarios'
/// question. Fails when no guest can be made.
pub fn probe(
    prober: &Prober<'_>,
    inject: fn(&mut dyn Vcpu) -> Result<(), VcpuError>,
) -> Result<Support, VcpuError> {
    let answer = inject(prober.start(VmKind::Plain, ProbeAct::Undefined)?.vcpu.as_mut());
    Ok(answer.map_or_else(|error| Support::NotOffered(error.to_string()), |()| Support::Works))
}
