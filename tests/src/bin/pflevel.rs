//! #PF of each paging level: what is missing or not allowed in any one of the four entries decides.
//!
//! Rule: an entry that is not present ends the walk at its level, with bit 0 of the error code clear and the same
//! address reported; R/W, U/S and XD count on every level, and one refusal is enough ("Determination of Access
//! Rights", SDM vol. 3 ch. 5). A fault does not set the dirty flag.
//!
//! An entry of PD or PDPT with PS maps a page of 2 MiB or 1 GiB, whose address has the lower bits of the linear address.
//!
//! The last level's rights are the cases of the images `pf` and `pferr`. Out: whether a refused walk sets accessed
//! flags, which the manual leaves open; 5-level paging, as the image boots with 4 levels.
//!
//! Known bugs that fail it: a software walk that takes the access from the last level alone (the accumulated
//! pte_access of FNAME(walk_addr_generic)), or reports the address of the entry; a shadow page reused with the
//! rights of another parent ("KVM: MMU: fix conflict access permissions in direct sp").
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU64;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "pflevel",
    rule: "An entry of any paging level that is missing or refuses the access decides; the address is the access's.",
    spec: "SDM vol. 3 ch. 5 4-level paging, access rights",
    cases: [
        missing_pml4::CASE, missing_pdpt::CASE, missing_pd::CASE, missing_pt::CASE,
        read_only_pml4::CASE, read_only_pdpt::CASE, read_only_pd::CASE,
        supervisor_pml4::CASE, supervisor_pdpt::CASE, supervisor_pd::CASE,
        no_execute_pml4::CASE, no_execute_pdpt::CASE, no_execute_pd::CASE, large_pd::CASE, large_pdpt::CASE,
    ],
}

/// Where data is accessed on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// Where code is fetched from.
const CODE: u64 = 0x0000_0180_0000_0040;
/// An entry above the last level that allows everything.
const TABLE: u64 = P | W | U | A;
/// A page that allows everything.
const PAGE: u64 = P | W | U | A | D;

/// CR2 after a fault at [`DATA`].
const DATA_FAULTED: Registers = Registers { cr2: DATA, ..RESTING };

/// A case whose walk has an entry that is not present: a read in ring 0.
macro_rules! missing {
    ($module:ident, $act:literal, $name:literal, $rule:literal, $walk:expr) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || paging::set_own($walk),
                act: ACT,
                events: &[Event { event_data: DATA, ..PF }],
                registers: DATA_FAULTED,
                cancel: Cancel::Payload { payload: DATA, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

/// A case whose walk has an entry with R/W clear: a write in ring 0.
macro_rules! read_only {
    ($module:ident, $act:literal, $name:literal, $rule:literal, $walk:expr) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || {
                    paging::set_own($walk);
                    paging::set_window(0xA58, 0x5A5A);
                },
                act: ACT,
                events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE, event_data: DATA, ..PF }],
                registers: DATA_FAULTED,
                results: &[
                    Check { expected: 0, read: || paging::own() & D },
                    Check { expected: 0x5A5A, read: || paging::window(0xA58) },
                ],
                cancel: Cancel::Payload { payload: DATA, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

/// A case whose walk has an entry with U/S clear: a read in ring 3.
macro_rules! supervisor {
    ($module:ident, $act:literal, $name:literal, $rule:literal, $walk:expr) => {
        mod $module {
            use super::*;
            act_ring3! { name: $act, set: ["movabs rdi, 0x18000000A58"], act: ["mov rbx, [rdi]"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER,
                flags: CaseFlags::USER,
                prepare: || paging::set_own($walk),
                act: ACT,
                events: &[Event {
                    error_code: PFERR_PRESENT | PFERR_USER,
                    event_data: DATA,
                    cs: USER_CS,
                    rsp: Stack::User,
                    ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
                    csl: 0,
                    entry: 0,
                    ..PF
                }],
                registers: DATA_FAULTED,
                ..Case::NEW
            };
        }
    };
}

/// A case whose walk has an entry with XD set: a fetch in ring 0.
macro_rules! no_execute {
    ($module:ident, $act:literal, $name:literal, $rule:literal, $walk:expr) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || paging::set_own($walk),
                act: Act { act: Address::new(CODE), ..ACT },
                events: &[Event { error_code: PFERR_PRESENT | PFERR_FETCH, event_data: CODE, ..PF }],
                registers: Registers { cr2: CODE, ..RESTING },
                cancel: Cancel::Payload { payload: CODE, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}

missing! {
    missing_pml4, "pflevel.missing-pml4", "missing-pml4",
    "A read without PML4 entry, the lower entries present: error code 0.",
    [W | U | A, TABLE, TABLE, PAGE]
}
missing! {
    missing_pdpt, "pflevel.missing-pdpt", "missing-pdpt",
    "A read without PDPT entry, the lower entries present: error code 0.",
    [TABLE, W | U | A, TABLE, PAGE]
}
missing! {
    missing_pd, "pflevel.missing-pd", "missing-pd",
    "A read without page-directory entry, the page present: error code 0.",
    [TABLE, TABLE, W | U | A, PAGE]
}
missing! {
    missing_pt, "pflevel.missing-pt", "missing-pt",
    "A read of a page whose entry has every bit but P, reserved ones too: error code 0.",
    [TABLE, TABLE, TABLE, W | U | A | D | XD | 0x7 << 49]
}

read_only! {
    read_only_pml4, "pflevel.read-only-pml4", "read-only-pml4",
    "A write, R/W clear in the PML4 entry alone: 0x3.",
    [P | U | A, TABLE, TABLE, P | W | U | A]
}
read_only! {
    read_only_pdpt, "pflevel.read-only-pdpt", "read-only-pdpt",
    "A write, R/W clear in the PDPT entry alone: 0x3.",
    [TABLE, P | U | A, TABLE, P | W | U | A]
}
read_only! {
    read_only_pd, "pflevel.read-only-pd", "read-only-pd",
    "A write, R/W clear in the page-directory entry alone: 0x3.",
    [TABLE, TABLE, P | U | A, P | W | U | A]
}
supervisor! {
    supervisor_pml4, "pflevel.supervisor-pml4", "supervisor-pml4",
    "A read in ring 3, U/S clear in the PML4 entry alone: 0x5.",
    [P | W | A, TABLE, TABLE, PAGE]
}
supervisor! {
    supervisor_pdpt, "pflevel.supervisor-pdpt", "supervisor-pdpt",
    "A read in ring 3, U/S clear in the PDPT entry alone: 0x5.",
    [TABLE, P | W | A, TABLE, PAGE]
}
supervisor! {
    supervisor_pd, "pflevel.supervisor-pd", "supervisor-pd",
    "A read in ring 3, U/S clear in the page-directory entry alone: 0x5.",
    [TABLE, TABLE, P | W | A, PAGE]
}
no_execute! {
    no_execute_pml4, "pflevel.no-execute-pml4", "no-execute-pml4",
    "A fetch, XD in the PML4 entry alone: 0x11.",
    [TABLE | XD, TABLE, TABLE, PAGE]
}
no_execute! {
    no_execute_pdpt, "pflevel.no-execute-pdpt", "no-execute-pdpt",
    "A fetch, XD in the PDPT entry alone: 0x11.",
    [TABLE, TABLE | XD, TABLE, PAGE]
}
no_execute! {
    no_execute_pd, "pflevel.no-execute-pd", "no-execute-pd",
    "A fetch, XD in the page-directory entry alone: 0x11.",
    [TABLE, TABLE, TABLE | XD, PAGE]
}

/// What is read through a large page.
static WORD: AtomicU64 = AtomicU64::new(0x1A26_E0FA_6E5A_0FF5);

/// PAT of a large page: of IA32_PAT's eight types the second four, which are the first four again.
const PAT: u64 = 1 << 12;

/// A case whose walk ends with a large page at physical address 0, where the image lies: a read in ring 0.
macro_rules! large {
    ($module:ident, $act:literal, $name:literal, $rule:literal, $needs:expr, $walk:expr) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["lea rdi, [rip + {word}]", "movabs rsi, 0x18000000000"],
                armed: [],
                act: ["mov rbx, [rdi + rsi]"],
                word = sym WORD,
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::CONFORMANCE,
                prepare: || paging::set_own($walk),
                act: ACT,
                left: &Left { general: &[(General::Rbx, 0x1A26_E0FA_6E5A_0FF5)], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}
large! {
    large_pd, "pflevel.large-pd", "large-pd",
    "A read in a page of 2 MiB whose entry has bit 12, PAT, set: what lies there.",
    Needs::empty(), [TABLE, TABLE, PAGE | PS | PAT, 0]
}
large! {
    large_pdpt, "pflevel.large-pdpt", "large-pdpt",
    "A read in a page of 1 GiB whose entry has bit 12, PAT, set: what lies there.",
    Needs::PAGE_1G, [TABLE, PAGE | PS | PAT, 0, 0]
}
