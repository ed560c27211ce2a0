//! Which plans make sense for a case.

use super::{Action, DeliveryMode, Migration, Place, Plan, Stop};
use crate::image::Case;
use crate::stops::how::Target;
use fred::event::EventType;
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// Whether a case can be delivered so at all.
pub fn is_possible(case: &Case, delivery: DeliveryMode) -> bool {
    !case.needs.contains(match delivery {
        DeliveryMode::Fred => Needs::IDT,
        DeliveryMode::Idt => Needs::FRED,
    })
}

/// Whether a plan makes sense for a case, delivered so, with or without KVM_CAP_EXCEPTION_PAYLOAD.
pub fn applies(case: &Case, delivery: DeliveryMode, payload: bool, plan: Plan) -> bool {
    is_possible(case, delivery)
        && match plan {
            // The capability changes nothing before the first cut. What the host injects, it injects
            // at `Armed` or into a cut, for which there must be one.
            Plan::Cold | Plan::None => payload && !case.flags.intersects(CaseFlags::INJECTED),
            Plan::Cut(stop, action) => {
                case.entries(delivery) > 0
                    && (stop.facts().of_the_act || !is_injected_into_the_act(case))
                    && stop.how().applies(&Target { case, delivery, payload })
                    && action_applies(case, stop, action)
            }
        }
}

/// Whether the case's events come while an access of its act is refused, so that nothing is delivered before.
fn is_injected_into_the_act(case: &Case) -> bool {
    let at_cut = CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT;
    case.flags.contains(CaseFlags::TOUCHES_FRAME) && case.flags.intersects(at_cut)
}

fn action_applies(case: &Case, stop: Stop, action: Action) -> bool {
    // What the host injects, it injects once, into the first cut.
    let again =
        action.again > 0 && case.flags.intersects(CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT);
    let leaves = action.migrate == Some(Migration::Process) && is_injected_after_the_cut(case);
    !(action.disturb && is_of_another(case, stop) || again || leaves)
}

/// Whether the host injects at a HLT that comes after the first delivery: a process that the guest is sent to then
/// only lets it continue.
fn is_injected_after_the_cut(case: &Case) -> bool {
    let injected = matches!(case.event, Some((EventType::Nmi | EventType::ExternalInterrupt, _)));
    case.flags.intersects(CaseFlags::NMI_AT_HALT | CaseFlags::INTERRUPT_AT_HALT) && !injected
}

/// Where the case's event is met while another is delivered, a table refuses that other one, and
/// its registers are still to be written by the case's.
pub(super) fn is_of_another(case: &Case, stop: Stop) -> bool {
    stop.facts().place.is_some_and(Place::is_table) && case.flags.contains(CaseFlags::NESTED)
}
