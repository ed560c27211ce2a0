//! The event is in the queue and the guest was not entered: `cancel`, `io`.

use super::{Cut, Look, NoCut, Proof};
use crate::image::{Cancel, Case, Delivery};
use crate::session::{Session, Stopped};
use fred::control::rflags;
use fred::debug::{Dr6, Dr7};
use fred::event::vector;
use fred::msr;
use kvm_bindings::KVM_VCPUEVENT_VALID_PAYLOAD;
use protocol::disturbance::Phase;
use vm::Queue;
use vm::state::set;
use vm::{Exit, Msr, RunMode, VcpuError};

/// The act's I/O is completed without entering the guest, and its event queued by that.
pub(super) fn io(session: &mut Session<'_>, case: &Case) -> Result<Cut, NoCut> {
    match session.advance()? {
        Stopped::Input => {}
        other => return Err(NoCut::Elsewhere(other)),
    }
    let rip = session.vcpu.regs()?.rip;
    if rip != case.act {
        let place = session.image().describe_address(rip);
        return Err(NoCut::Unproved(format!("the input was read at {place}, not at the act")));
    }
    match session.complete_io()? {
        Exit::Interrupted => {}
        other => return Err(NoCut::Elsewhere(Stopped::Exit(other))),
    }
    let look = Look::at(session)?;
    let pending = look.events.exception.pending != 0;
    if look.entries != 0 || !(pending || look.in_flight()) {
        return Err(NoCut::Unproved("the input was completed and the queue shows no event".into()));
    }
    Ok(look.cut(Proof::Queue, look.phase()))
}

/// The host queues the case's event and abandons the entry that injects it.
pub(super) fn cancel(
    session: &mut Session<'_>,
    event: &Cancel,
    delivery: Delivery,
    payload: bool,
) -> Result<Cut, NoCut> {
    session.complete_io()?;
    let mut regs = session.vcpu.regs()?;
    regs.rip = event.rip;
    regs.rflags |= event.rflags;
    if !payload && vector::sets_rf(event.vector) {
        // KVM sets RF where it turns pending into injected, and without the capability user space
        // can only queue what is injected already.
        regs.rflags |= rflags::RF;
    }
    set::regs(session.vcpu.as_mut(), &regs)?;
    if event.vector == vector::NM && event.payload != 0 {
        set::msrs(session.vcpu.as_mut(), &[Msr { index: msr::XFD_ERR, value: event.payload }])?;
    }
    let mut events = session.vcpu.events()?;
    events.exception.nr = event.vector;
    events.exception.has_error_code = u8::from(event.error_code.is_some());
    events.exception.error_code = event.error_code.unwrap_or(0);
    if payload {
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        events.exception.pending = 1;
        // Under the IDT #NM has no side effect that a payload could describe.
        let described = delivery == Delivery::Fred || event.vector != vector::NM;
        events.exception_has_payload = u8::from(described && vector::has_event_data(event.vector));
        events.exception_payload = event.payload;
    } else {
        events.exception.injected = 1;
        write_side_effects(session, event)?;
    }
    set::events(session.vcpu.as_mut(), &events)?;
    abandon(session)
}

/// Abandons the entry that injects what is in the queue.
pub(super) fn abandon(session: &mut Session<'_>) -> Result<Cut, NoCut> {
    match session.vcpu.run(RunMode::SignalPending)? {
        Exit::Interrupted => {}
        other => return Err(NoCut::Elsewhere(Stopped::Exit(other))),
    }
    let look = Look::at(session)?;
    let exception = &look.events.exception;
    if look.entries != 0 || exception.injected == 0 && exception.pending != 0 {
        let what = "the entry was to be abandoned, and the queue does not hold the event as injected";
        return Err(NoCut::Unproved(format!("{what}: {}", Queue(&look.events))));
    }
    if exception.injected == 0 {
        let what = "the entry was abandoned, and the event that it was to inject is gone from the queue";
        return Err(NoCut::Machine(format!("{what}: {}", Queue(&look.events))));
    }
    Ok(look.cut(Proof::Synthetic, Phase::After))
}

/// What a processor does before it delivers the event, where KVM cannot be asked to do it.
fn write_side_effects(session: &mut Session<'_>, event: &Cancel) -> Result<(), VcpuError> {
    match event.vector {
        vector::PF => {
            let mut sregs = session.vcpu.sregs()?;
            sregs.cr2 = event.payload;
            set::sregs(session.vcpu.as_mut(), &sregs)
        }
        vector::DB => {
            let mut regs = session.vcpu.debug_regs()?;
            regs.dr6 =
                (regs.dr6 & !Dr6::B | Dr6::ACTIVE_LOW | event.payload) ^ (event.payload & Dr6::ACTIVE_LOW);
            regs.dr7 &= !Dr7::GD;
            set::debug_regs(session.vcpu.as_mut(), &regs)
        }
        _ => Ok(()),
    }
}
