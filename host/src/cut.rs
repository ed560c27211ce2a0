//! Stopping a delivery half-way, and proving it.

use crate::image::{Cancel, Case};
use crate::queue::Queue;
use crate::scenario::{Delivery, Stop};
use crate::session::{Session, Stopped};
use crate::vcpu::{Exit, Msr, Protection, RunMode, VcpuError};
use fred::control::rflags;
use fred::debug::{Dr6, Dr7};
use fred::event::vector;
use fred::msr;
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_regs, kvm_vcpu_events};
use protocol::disturbance::Phase;
use protocol::doorbell::Doorbell;
use serde::{Deserialize, Serialize};

/// How it is known that the delivery was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The queue shows the event in flight.
    Queue,
    /// The only refused page is one that nothing but the delivery touches: KVM_RUN failed on it, RIP
    /// is at the act or behind it, and no handler was entered.
    Page,
    /// The host queued the event itself.
    Synthetic,
}

/// A proved cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How it was proved.
    pub proof: Proof,
    /// Whether the event's own effects on CR2 and DR6 are still to come.
    pub phase: Phase,
    /// What the queue held, for people.
    pub queue: String,
    /// RIP at the cut.
    pub rip: u64,
    /// What a second KVM_RUN made of the event.
    pub second_run: SecondRun,
}

/// What became of a cut event when KVM_RUN was entered again with the stop still in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondRun {
    /// It failed in the same way with the same state, or was not tried.
    Kept,
    /// The event was gone: the guest ran to the end of the case.
    RanOn,
    /// It failed again, and the event was not the same any more.
    Changed(String),
}

/// The delivery was not cut.
#[derive(Debug, thiserror::Error)]
pub enum NoCut {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped for another reason.
    #[error("the guest stopped elsewhere")]
    Elsewhere(Stopped),
    /// It stopped, but nothing proves that an event was half-way.
    #[error("{0}")]
    Unproved(String),
}

/// What is looked at when the guest stands still.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    regs: kvm_regs,
    events: kvm_vcpu_events,
    entries: u32,
}

impl Look {
    fn at(session: &mut Session<'_>) -> Result<Self, VcpuError> {
        let events = session.vcpu.events()?;
        Ok(Self { regs: session.vcpu.regs()?, events, entries: session.entries()? })
    }

    fn in_flight(&self) -> bool {
        let events = &self.events;
        events.exception.injected != 0 || events.interrupt.injected != 0 || events.nmi.injected != 0
    }

    fn cut(&self, proof: Proof, phase: Phase) -> Cut {
        let queue = Queue(&self.events).to_string();
        Cut { proof, phase, queue, rip: self.regs.rip, second_run: SecondRun::Kept }
    }
}

/// The event queue as user space sees it now, for people.
///
/// # Errors
/// When it cannot be read.
pub fn queue(session: &mut Session<'_>) -> Result<String, VcpuError> {
    Ok(Queue(&session.vcpu.events()?).to_string())
}

/// Cuts the delivery of `case`, whose `Armed` has just rung.
///
/// # Errors
/// When no cut can be proved.
pub fn cut(
    session: &mut Session<'_>,
    case: &Case,
    stop: Stop,
    delivery: Delivery,
    payload: bool,
) -> Result<Cut, NoCut> {
    match stop {
        Stop::BlockFrame => block_frame(session, case),
        Stop::Cancel => {
            let Some(event) = case.cancel else {
                return Err(NoCut::Unproved("the case does not say how its event is synthesised".into()));
            };
            cancel(session, &event, delivery, payload)
        }
        Stop::Io => io(session, case),
        Stop::Access(number, _) => access(session, case, number),
    }
}

/// Lets the guest go on after a cut.
///
/// # Errors
/// When the page cannot be opened.
pub fn release(session: &mut Session<'_>, stop: Stop) -> Result<(), VcpuError> {
    match stop {
        Stop::BlockFrame => session.vcpu.protect(session.image().frame_page, Protection::Open),
        Stop::Cancel | Stop::Io | Stop::Access(..) => Ok(()),
    }
}

fn block_frame(session: &mut Session<'_>, case: &Case) -> Result<Cut, NoCut> {
    let page = session.image().frame_page;
    session.vcpu.protect(page, Protection::Blocked)?;
    expect_fault(session.advance_past_input()?, page)?;
    let first = Look::at(session)?;
    if first.entries != 0 {
        return Err(NoCut::Unproved("the page refused access only after a handler was entered".into()));
    }
    let proof = prove(session, case, &first)?;
    let mut cut = first.cut(proof, Phase::After);
    match session.advance_past_input()? {
        Stopped::Doorbell(Doorbell::Done(_)) => cut.second_run = SecondRun::RanOn,
        stopped => {
            expect_fault(stopped, page)?;
            let second = Look::at(session)?;
            if second != first {
                let place = session.image().describe_address(second.regs.rip);
                cut.second_run = SecondRun::Changed(format!("{} at {place}", Queue(&second.events)));
            }
        }
    }
    Ok(cut)
}

/// What proves that a refused access belongs to a delivery.
fn prove(session: &Session<'_>, case: &Case, look: &Look) -> Result<Proof, NoCut> {
    if look.in_flight() {
        return Ok(Proof::Queue);
    }
    if look.regs.rip == case.act || look.regs.rip == case.after {
        return Ok(Proof::Page);
    }
    let place = session.image().describe_address(look.regs.rip);
    Err(NoCut::Unproved(format!("the queue is empty and RIP is at {place}, not at the act")))
}

/// Refuses one access of the delivery. What was refused belongs to a delivery for certain, so that
/// the queue, or the page, only says which.
fn access(session: &mut Session<'_>, case: &Case, number: u16) -> Result<Cut, NoCut> {
    let Some(accesses) = session.vcpu.delivery_accesses() else {
        return Err(NoCut::Unproved("this machine cannot refuse single accesses".into()));
    };
    accesses.refuse(number.into());
    match session.advance_past_input()? {
        Stopped::Exit(Exit::Fault { .. }) => {}
        other => return Err(NoCut::Elsewhere(other)),
    }
    let look = Look::at(session)?;
    if look.entries != 0 {
        return Err(NoCut::Unproved("the access was refused only after a handler was entered".into()));
    }
    Ok(look.cut(prove(session, case, &look)?, Phase::After))
}

/// Refuses one access of the delivery's second try.
///
/// # Errors
/// When no cut can be proved, or the event is not the same any more.
pub fn cut_again(session: &mut Session<'_>, case: &Case, number: u16, first: &Cut) -> Result<Cut, NoCut> {
    let mut second = access(session, case, number)?;
    if (&second.queue, second.rip) != (&first.queue, first.rip) {
        let place = session.image().describe_address(second.rip);
        second.second_run = SecondRun::Changed(format!("{} at {place}", second.queue));
    }
    Ok(second)
}

fn expect_fault(stopped: Stopped, page: u64) -> Result<(), NoCut> {
    match stopped {
        Stopped::Exit(Exit::Fault { gpa: None }) => Ok(()),
        Stopped::Exit(Exit::Fault { gpa: Some(gpa) }) if gpa & !0xFFF == page => Ok(()),
        other => Err(NoCut::Elsewhere(other)),
    }
}

fn io(session: &mut Session<'_>, case: &Case) -> Result<Cut, NoCut> {
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
    // The registers are written when the payload leaves the queue: at delivery, when somebody looks
    // at the queue without the capability, and on older kernels (6.1) as soon as it is queued.
    let waiting = pending && look.events.exception.injected == 0 && look.events.exception_has_payload != 0;
    let phase = if waiting { Phase::Before } else { Phase::After };
    Ok(look.cut(Proof::Queue, phase))
}

fn cancel(
    session: &mut Session<'_>,
    event: &Cancel,
    delivery: Delivery,
    payload: bool,
) -> Result<Cut, NoCut> {
    session.complete_io()?;
    let mut regs = session.vcpu.regs()?;
    regs.rip = event.rip;
    regs.rflags |= event.rflags;
    if !payload && is_fault_with_rf(event.vector) {
        // KVM sets RF where it turns pending into injected, and without the capability user space
        // can only queue what is injected already.
        regs.rflags |= rflags::RF;
    }
    session.vcpu.set_regs(&regs)?;
    if event.vector == vector::NM && event.payload != 0 {
        session.vcpu.set_msrs(&[Msr { index: msr::XFD_ERR, value: event.payload }])?;
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
        events.exception_has_payload = u8::from(described && has_payload(event.vector));
        events.exception_payload = event.payload;
    } else {
        events.exception.injected = 1;
        write_side_effects(session, event)?;
    }
    session.vcpu.set_events(&events)?;
    match session.vcpu.run(RunMode::SignalPending)? {
        Exit::Interrupted => {}
        other => return Err(NoCut::Elsewhere(Stopped::Exit(other))),
    }
    let look = Look::at(session)?;
    if look.entries != 0 || look.events.exception.injected == 0 {
        return Err(NoCut::Unproved(format!(
            "the entry was abandoned and the queue does not hold the event as injected: {}",
            Queue(&look.events)
        )));
    }
    Ok(look.cut(Proof::Synthetic, Phase::After))
}

/// What a processor does before it delivers the event, where KVM cannot be asked to do it.
fn write_side_effects(session: &mut Session<'_>, event: &Cancel) -> Result<(), VcpuError> {
    match event.vector {
        vector::PF => {
            let mut sregs = session.vcpu.sregs()?;
            sregs.cr2 = event.payload;
            session.vcpu.set_sregs(&sregs)
        }
        vector::DB => {
            let mut regs = session.vcpu.debug_regs()?;
            regs.dr6 =
                (regs.dr6 & !Dr6::B | Dr6::ACTIVE_LOW | event.payload) ^ (event.payload & Dr6::ACTIVE_LOW);
            regs.dr7 &= !Dr7::GD;
            session.vcpu.set_debug_regs(&regs)
        }
        _ => Ok(()),
    }
}

fn has_payload(number: u8) -> bool {
    matches!(number, vector::PF | vector::DB | vector::NM)
}

fn is_fault_with_rf(number: u8) -> bool {
    !matches!(number, vector::DB | vector::NMI | vector::BP | vector::OF | vector::DF | vector::MC)
}
