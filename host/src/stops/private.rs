//! `private@PLACE`: the page has the private attribute and no private memory.
//!
//! In a VM of type KVM_X86_SW_PROTECTED_VM, which few KVMs make. KVM_RUN fails with EFAULT and
//! KVM_EXIT_MEMORY_FAULT.

use super::action::{Action, FEWER};
use super::page::{RefusesPage, at_place};
use crate::image::Place;
use vm::{Exit, PageAccess, VmKind};

/// A page that is private and has no private memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Private(pub Place);

impl RefusesPage for Private {
    const NAME: &'static str = "private";
    const SYNTAX: &'static [&'static str] = &["private@PLACE"];
    const ACCESS: PageAccess = PageAccess::Private;
    const VM: VmKind = VmKind::Protected;
    const FAILS_TWICE: bool = true;
    const MIGRATES_BETWEEN_MACHINES: bool = false;
    const BY: &'static str =
        "it has the private attribute and no private memory, and KVM_RUN fails with KVM_EXIT_MEMORY_FAULT";
    const WHAT: &'static str = "with the page blocked";

    at_place!();

    fn is_refusal(exit: &Exit) -> bool {
        matches!(exit, Exit::Fault { .. })
    }

    fn actions_at(_: Place, payload: bool) -> &'static [Action] {
        if payload { &FEWER } else { &[] }
    }
}
