//! `read-only@PLACE`: the page is in a read-only memory slot.
//!
//! KVM_RUN ends as at a page without a slot. Scenarios have it at the frame only: nothing else is written.

use super::action::{Action, FEWER};
use super::page::{RefusesPage, at_place};
use crate::image::Place;
use kvm_bindings::KVM_INTERNAL_ERROR_DELIVERY_EV;
use vm::{Exit, PageAccess, VmKind};

/// A page in a read-only memory slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadOnly(pub Place);

impl RefusesPage for ReadOnly {
    const NAME: &'static str = "read-only";
    const SYNTAX: &'static [&'static str] = &["read-only@PLACE"];
    const ACCESS: PageAccess = PageAccess::ReadOnly;
    const VM: VmKind = VmKind::Plain;
    const FAILS_TWICE: bool = false;
    const MIGRATES_BETWEEN_MACHINES: bool = true;
    const BY: &'static str =
        "it is in a read-only memory slot, and KVM_RUN ends with KVM_EXIT_INTERNAL_ERROR";
    const WHAT: &'static str = "with the page in a read-only memory slot";

    at_place!();

    fn is_refusal(exit: &Exit) -> bool {
        matches!(exit, Exit::InternalError { suberror: KVM_INTERNAL_ERROR_DELIVERY_EV, .. })
    }

    fn actions_at(place: Place, payload: bool) -> &'static [Action] {
        if payload && place == Place::Frame { &FEWER } else { &[] }
    }
}
