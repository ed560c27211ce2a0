//! Physical addresses that are too wide: bits from MAXPHYADDR on are reserved, in entries of every level.
//!
//! Rule: CPUID leaf 80000008H says how many bits a physical address has. A bit above in an entry that is used for a translation is
//! #PF with RSVD and P, whichever level it is on (SDM vol. 3 ch. 5, "Reserved bits"). Where an address has all 52 bits, bit 7 of the
//! PML4 entry stands for it. Not here: MOV to CR3, which is #GP(0) of one, and after which a guest that it was not refused never ends.
//!
//! Known bugs that fail it: a walk that looks at reserved bits of the last entry alone; a host whose addresses are wider than the
//! guest's, with its own paging on (allow_smaller_maxphyaddr of KVM).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "physical",
    rule: "A bit of a physical address above MAXPHYADDR is refused in entries of every level.",
    spec: "SDM vol. 3 ch. 5 reserved bits",
    cases: [pml4::CASE, pdpt::CASE, pd::CASE, pt::CASE],
}

/// Where data is read on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// An entry above the last level that allows everything.
const TABLE: u64 = P | W | U | A;
/// A page that allows everything.
const PAGE: u64 = P | W | U | A | D;

/// The lowest bit that no physical address has, below bit 52; 0 where there is none.
fn too_wide() -> u64 {
    let width = core::arch::x86_64::__cpuid(0x8000_0008).eax & 0xFF;
    if width < 52 { 1 << width } else { 0 }
}

/// The walk with such a bit on one level, the PML4's being 0.
fn refuse(level: usize) {
    let mut walk = [TABLE, TABLE, TABLE, PAGE];
    match too_wide() {
        0 => walk[0] |= PS,
        bit => walk[level] |= bit,
    }
    paging::set_own(walk);
}

macro_rules! refused {
    ($module:ident, $name:literal, $act:literal, $level:literal, $rule:literal) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || refuse($level),
                act: ACT,
                events: &[Event { error_code: PFERR_PRESENT | PFERR_RESERVED, event_data: DATA, ..PF }],
                registers: Registers { cr2: DATA, ..RESTING },
                cancel: Cancel::Payload { payload: DATA, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

refused! { pml4, "pml4", "physical.pml4", 0, "A PML4 entry with an address that is too wide: #PF, P and RSVD." }
refused! { pdpt, "pdpt", "physical.pdpt", 1, "A PDPT entry with an address that is too wide: #PF, P and RSVD." }
refused! { pd, "pd", "physical.pd", 2, "A page-directory entry with an address that is too wide: #PF, P and RSVD." }
refused! { pt, "pt", "physical.pt", 3, "A page-table entry with an address that is too wide: #PF, P and RSVD." }
