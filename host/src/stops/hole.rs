//! `hole@PLACE`: the page has no memory slot.
//!
//! KVM_RUN ends with KVM_EXIT_INTERNAL_ERROR, suberror KVM_INTERNAL_ERROR_DELIVERY_EV; kernels before 6.14 do
//! something else, and the probe says what.

use super::action::{Action, FEWER};
use super::page::{RefusesPage, at_place};
use crate::image::Place;
use kvm_bindings::KVM_INTERNAL_ERROR_DELIVERY_EV;
use vm::{Exit, PageAccess, VmKind};

/// A page without a memory slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hole(pub Place);

impl RefusesPage for Hole {
    const NAME: &'static str = "hole";
    const SYNTAX: &'static [&'static str] = &["hole@PLACE"];
    const ACCESS: PageAccess = PageAccess::Hole;
    const VM: VmKind = VmKind::Plain;
    const FAILS_TWICE: bool = false;
    const MIGRATES_BETWEEN_MACHINES: bool = true;
    const BY: &'static str = "it has no memory slot, and KVM_RUN ends with KVM_EXIT_INTERNAL_ERROR";
    const WHAT: &'static str = "with no memory slot for the page";

    at_place!();

    fn is_refusal(exit: &Exit) -> bool {
        matches!(exit, Exit::InternalError { suberror: KVM_INTERNAL_ERROR_DELIVERY_EV, .. })
    }

    fn actions_at(_: Place, payload: bool) -> &'static [Action] {
        if payload { &FEWER } else { &[] }
    }
}
