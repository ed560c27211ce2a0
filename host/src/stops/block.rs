//! `block@PLACE`: the page refuses access, by PROT_NONE on the host's mapping.
//!
//! KVM_RUN fails with EFAULT, with or without KVM_EXIT_MEMORY_FAULT.

use super::action::{ALL, Action, EACH, FEWER};
use super::page::{RefusesPage, at_place};
use crate::image::Place;
use vm::{Exit, PageAccess, VmKind};

/// A page that refuses access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(pub Place);

impl RefusesPage for Block {
    const NAME: &'static str = "block";
    const SYNTAX: &'static [&'static str] = &["block@PLACE"];
    const ACCESS: PageAccess = PageAccess::Blocked;
    const VM: VmKind = VmKind::Plain;
    const FAILS_TWICE: bool = true;
    const MIGRATES_BETWEEN_MACHINES: bool = true;
    const BY: &'static str = "its mapping on the host is PROT_NONE, and KVM_RUN fails with EFAULT";
    const WHAT: &'static str = "with the page blocked";

    at_place!();

    fn is_refusal(exit: &Exit) -> bool {
        matches!(exit, Exit::Fault { .. })
    }

    fn actions_at(place: Place, payload: bool) -> &'static [Action] {
        match (place, payload) {
            (Place::Frame, true) => &ALL,
            (Place::Frame, false) => &EACH,
            (_, true) => &FEWER,
            (_, false) => &[],
        }
    }
}
