//! `uffd@PLACE`: the page is missing until a userfaultfd provides it, and a signal arrives in the meantime.
//!
//! The fault signals the vCPU, and KVM_RUN returns EINTR. Kernels before 6.2 do not let a signal end the
//! wait: there the fault is resolved a moment later, and the signal is found before the next entry.

use super::action::{Action, FEWER};
use super::page::{RefusesPage, at_place};
use crate::image::Place;
use vm::{Exit, PageAccess, VmKind};

/// A page that userfaultfd watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Userfault(pub Place);

impl RefusesPage for Userfault {
    const NAME: &'static str = "uffd";
    const SYNTAX: &'static [&'static str] = &["uffd@PLACE"];
    const ACCESS: PageAccess = PageAccess::Userfault;
    const VM: VmKind = VmKind::Plain;
    const FAILS_TWICE: bool = false;
    const MIGRATES_BETWEEN_MACHINES: bool = true;
    const BY: &'static str = "it is not mapped, userfaultfd watches it, and a signal ends KVM_RUN";
    const WHAT: &'static str = "with the page missing and a signal pending";

    at_place!();

    fn is_refusal(exit: &Exit) -> bool {
        matches!(exit, Exit::Interrupted)
    }

    fn actions_at(_: Place, payload: bool) -> &'static [Action] {
        if payload { &FEWER } else { &[] }
    }
}
