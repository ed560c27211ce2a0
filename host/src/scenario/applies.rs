//! Which plans make sense for a case.

use super::{Action, Delivery, Place, Plan, Stop};
use crate::image::Case;
use protocol::need::Needs;
use protocol::note::CaseFlags;

/// Whether a case can be delivered so at all.
pub fn is_possible(case: &Case, delivery: Delivery) -> bool {
    delivery == Delivery::Fred || !case.needs.contains(Needs::FRED)
}

/// Whether a plan makes sense for a case, delivered so, with or without KVM_CAP_EXCEPTION_PAYLOAD.
pub fn applies(case: &Case, delivery: Delivery, payload: bool, plan: Plan) -> bool {
    is_possible(case, delivery)
        && match plan {
            // The capability changes nothing before the first cut. What the host injects, it injects
            // at `Armed` or into a cut, for which there must be one.
            Plan::Cold | Plan::None => payload && !case.flags.intersects(CaseFlags::INJECTED),
            Plan::Cut(stop, action) => {
                case.entries > 0
                    && stop_applies(case, delivery, payload, stop)
                    && action_applies(case, stop, action)
            }
        }
}

fn stop_applies(case: &Case, delivery: Delivery, payload: bool, stop: Stop) -> bool {
    let injected = case.flags.intersects(CaseFlags::INJECTED);
    match stop {
        // Without the capability no payload can be queued, and under FRED an exception without its
        // payload has no event data that anybody could expect.
        Stop::Cancel => case.cancel.is_some() && (payload || delivery == Delivery::Idt),
        Stop::Io => case.flags.contains(CaseFlags::IO),
        Stop::Ring => true,
        // A storm runs a case many times, knows a cut by the queue, and looks at the first event only.
        Stop::Storm(_) => {
            case.entries == 1 && !injected && !case.flags.intersects(CaseFlags::SOFT | CaseFlags::NESTED)
        }
        Stop::Access(..) => true,
        Stop::Evict(_) if is_injected_at_cut(case) => false,
        // An act may read a descriptor of its own.
        _ => stop.place().is_some_and(|place| {
            place.is_touched(delivery)
                && !(place == Place::Gdt && case.flags.contains(CaseFlags::TOUCHES_GDT))
        }),
    }
}

fn action_applies(case: &Case, stop: Stop, action: Action) -> bool {
    // Where the case's event is met while another is delivered, a table refuses that other one, and
    // its registers are still to be written by the case's.
    let another = stop.place().is_some_and(Place::is_table) && case.flags.contains(CaseFlags::NESTED);
    // What the host injects, it injects once, into the first cut.
    let again = action.again > 0 && is_injected_at_cut(case);
    !(action.disturb && another || again)
}

fn is_injected_at_cut(case: &Case) -> bool {
    case.flags.intersects(CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT)
}
