//! `cancel`: the host queues the event itself and abandons the entry that injects it.
//!
//! The image's note says what the event is. KVM_RUN is entered with a signal pending that only KVM_RUN
//! unblocks, sets up the injection and returns EINTR.

use super::action::{ALL, Action, EACH};
use super::cut::{Cut, Look, NoCut, Proof};
use super::how::{Again, CutAgain, CutStop, How, StopFacts, Target, Way, one_id};
use super::probe::guest::{ProbeAct, Progress};
use super::probe::{Prober, Support, sentence};
use crate::image::{self, Case, DeliveryMode};
use crate::session::{Session, Stopped};
use fred::control::rflags;
use fred::debug::{Dr6, Dr7};
use fred::event::vector;
use fred::msr;
use kvm_bindings::KVM_VCPUEVENT_VALID_PAYLOAD;
use protocol::disturbance::Phase;
use vm::explain::ShownQueue;
use vm::state::set;
use vm::{Exit, Msr, RunMode, VcpuError};

/// Payload of the #PF that the probe sets: an address that its guest never uses.
const FAULT_ADDRESS: u64 = 0x1234_5000;

/// An event that the host queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cancel;

impl How for Cancel {
    one_id!("cancel");

    fn facts(&self) -> StopFacts {
        StopFacts::ORDINARY
    }

    fn words(&self) -> String {
        "The host queues the case's event itself with KVM_SET_VCPU_EVENTS, and the VM entry that is to inject it is \
         abandoned because of a pending signal."
            .to_owned()
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        // Without the capability no payload can be queued, and under FRED an exception without its
        // payload has no event data to expect.
        target.case.cancel.is_some() && (target.payload || target.delivery == DeliveryMode::Idt)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        if payload { &ALL } else { &EACH }
    }

    /// A #PF set by the host, and a signal pending inside KVM_RUN.
    ///
    /// Without the payload capability KVM_SET_VCPU_EVENTS drops pending exceptions, so it is set as
    /// injected there.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(self.facts().vm, ProbeAct::Undefined, |mut guest| {
            let mut events = guest.vcpu.events()?;
            events.exception.nr = vector::PF;
            events.exception.has_error_code = 1;
            if prober.payload {
                events.exception.pending = 1;
                events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
                events.exception_has_payload = 1;
                events.exception_payload = FAULT_ADDRESS;
            } else {
                events.exception.injected = 1;
            }
            if let Err(error) = guest.vcpu.set_events(&events) {
                return Ok(Support::NotOffered(format!("an exception cannot be put in the queue: {error}")));
            }
            let what = "when an entry with a signal pending was to be cancelled";
            match guest.run(RunMode::SignalPending) {
                Err(error) => {
                    return Ok(Support::NotOffered(format!("an entry cannot be cancelled: {error}")));
                }
                Ok(Progress::Exit(Exit::Interrupted)) => {}
                Ok(Progress::Delivered) => return Ok(Support::Silent),
                Ok(other) => return Ok(Support::Wrong(format!("{} {what}", sentence("#PF", &other)))),
            }
            // Still pending, it was abandoned before injection was prepared. Neither, it was lost: a stop,
            // and a scenario that will fail.
            let events = guest.vcpu.events()?;
            if events.exception.injected == 0 && events.exception.pending != 0 {
                return Ok(Support::Wrong(format!("the #PF was left pending {what}")));
            }
            Ok(Support::Works)
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl CutStop for Cancel {
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        let Some(event) = target.case.cancel else {
            return Err(NoCut::Unproved("the case does not say how its event is synthesised".into()));
        };
        queue(session, &event, target.delivery, target.payload)?;
        abandon(session)
    }

    fn again(&self) -> Again<'_> {
        Again::AsOften(self)
    }
}

impl CutAgain for Cancel {
    fn cut_again(&self, session: &mut Session<'_>, _: &Case, before: &Cut) -> Result<Cut, NoCut> {
        Ok(abandon(session)?.again(before, session))
    }
}

/// Queues the case's event as if its act had raised it.
fn queue(
    session: &mut Session<'_>,
    event: &image::Cancel,
    delivery: DeliveryMode,
    payload: bool,
) -> Result<(), VcpuError> {
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
        let described = delivery == DeliveryMode::Fred || event.vector != vector::NM;
        events.exception_has_payload = u8::from(described && vector::has_event_data(event.vector));
        events.exception_payload = event.payload;
    } else {
        events.exception.injected = 1;
        write_side_effects(session, event)?;
    }
    set::events(session.vcpu.as_mut(), &events)
}

/// Abandons the entry that injects what is in the queue.
pub(super) fn abandon(session: &mut Session<'_>) -> Result<Cut, NoCut> {
    match session.vcpu.run(RunMode::SignalPending)? {
        Exit::Interrupted => {}
        other => return Err(NoCut::Unexpected(Stopped::Exit(other))),
    }
    let look = Look::at(session)?;
    let exception = &look.events.exception;
    if look.entries != 0 || exception.injected == 0 && exception.pending != 0 {
        let what = "the entry was to be abandoned, and the queue does not hold the event as injected";
        return Err(NoCut::Unproved(format!("{what}: {}", ShownQueue::from(&look.events))));
    }
    if exception.injected == 0 {
        return Err(NoCut::Gone(ShownQueue::from(&look.events)));
    }
    Ok(look.cut(Proof::Synthetic, Phase::After))
}

/// What a processor does before it delivers the event, where KVM cannot be asked to do it.
fn write_side_effects(session: &mut Session<'_>, event: &image::Cancel) -> Result<(), VcpuError> {
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
