//! A page, or one access, refuses the delivery.

use super::{Cut, Look, NoCut, Proof, SecondRun};
use crate::image::Case;
use crate::image::Place;
use crate::session::{Session, Stopped};
use kvm_bindings::KVM_INTERNAL_ERROR_DELIVERY_EV;
use protocol::disturbance::Phase;
use protocol::doorbell::Doorbell;
use vm::Queue;
use vm::{Exit, PageAccess};

/// The page refuses the delivery, and where a second KVM_RUN is safe, a second time.
pub(super) fn page(
    session: &mut Session<'_>,
    case: &Case,
    place: Place,
    access: PageAccess,
) -> Result<Cut, NoCut> {
    let (first, mut cut) = stop(session, case, place, access)?;
    // A fault leaves the vCPU as it was, so that it can be asked again; the others end the wait, or
    // the instruction, in some way of their own.
    if matches!(access, PageAccess::Blocked | PageAccess::Private) {
        let page = session.image().pages.at(place);
        match session.advance_past_io()? {
            Stopped::Doorbell(Doorbell::Done(_)) => cut.second_run = SecondRun::RanOn,
            stopped => {
                expect(&stopped, access, page)?;
                let second = Look::at(session)?;
                if second != first {
                    let place = session.image().describe_address(second.regs.rip);
                    let changes = second.changes_since(&first);
                    cut.second_run =
                        SecondRun::Changed(format!("{} at {place}{changes}", Queue(&second.events)));
                }
            }
        }
    }
    Ok(cut)
}

/// The same for a delivery that was cut already. If it goes through now, its event is gone.
pub(super) fn page_again(
    session: &mut Session<'_>,
    case: &Case,
    place: Place,
    access: PageAccess,
) -> Result<Cut, NoCut> {
    stop(session, case, place, access).map(|(_, cut)| cut)
}

fn stop(
    session: &mut Session<'_>,
    case: &Case,
    place: Place,
    access: PageAccess,
) -> Result<(Look, Cut), NoCut> {
    let page = session.image().pages.at(place);
    session.vcpu.set_page_access(page, access)?;
    expect(&session.advance_past_io()?, access, page)?;
    let look = Look::at(session)?;
    if look.entries != 0 {
        return Err(NoCut::Unproved("the page refused access only after a handler was entered".into()));
    }
    let proof = prove(session, case, &look)?;
    let cut = look.cut(proof, Phase::After);
    Ok((look, cut))
}

/// Whether the guest stopped because of the page.
fn expect(stopped: &Stopped, access: PageAccess, page: u64) -> Result<(), NoCut> {
    let because = match (access, stopped) {
        (PageAccess::Blocked | PageAccess::Private, Stopped::Exit(Exit::Fault { gpa })) => {
            gpa.is_none_or(|gpa| gpa & !0xFFF == page)
        }
        (PageAccess::Userfault, Stopped::Exit(Exit::Interrupted)) => true,
        (PageAccess::Hole | PageAccess::ReadOnly, Stopped::Exit(Exit::InternalError { suberror, .. })) => {
            *suberror == KVM_INTERNAL_ERROR_DELIVERY_EV
        }
        _ => false,
    };
    if because { Ok(()) } else { Err(NoCut::Elsewhere(stopped.clone())) }
}

/// What proves that a refused access belongs to the case's delivery: the queue, or where it shows
/// nothing (events of software, and events that this hypervisor has lost) the page alone, which
/// nothing else touches, with RIP where the event leaves it.
pub(super) fn prove(session: &Session<'_>, case: &Case, look: &Look) -> Result<Proof, NoCut> {
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
pub(super) fn access(session: &mut Session<'_>, case: &Case, number: u16) -> Result<Cut, NoCut> {
    let Some(accesses) = session.vcpu.delivery_accesses() else {
        return Err(NoCut::Unproved("this machine cannot refuse single accesses".into()));
    };
    accesses.refuse(number.into());
    match session.advance_past_io()? {
        Stopped::Exit(Exit::Fault { .. }) => {}
        other => return Err(NoCut::Elsewhere(other)),
    }
    let look = Look::at(session)?;
    if look.entries != 0 {
        return Err(NoCut::Unproved("the access was refused only after a handler was entered".into()));
    }
    Ok(look.cut(prove(session, case, &look)?, Phase::After))
}
