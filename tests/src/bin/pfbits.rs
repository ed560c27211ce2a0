//! Accessed and dirty flags: what an access leaves in the four entries of its walk, and a #PF does not.
//!
//! Rule: an access sets the accessed flag in every entry that its walk has used; a write sets the dirty flag in the
//! entry that maps the page, a large page's as well (SDM vol. 3, "Accessed and Dirty Flags"). An access that faults
//! does not set the dirty flag. When the handler has mended the entry and returned, the instruction is executed
//! again and sets both.
//!
//! Known bugs that fail it: an emulated or shadowed access that leaves A or D clear, or sets D for a read
//! (FNAME(update_accessed_dirty_bits)); D set in the wrong entry of a large page; a #PF injected again after
//! its handler has mended the page.
#![no_std]
#![no_main]

use guest::layout::WINDOW_PAGE;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "pfbits",
    rule: "Accessed in every entry of a walk, dirty in the last one of a write; a page fault sets no dirty flag.",
    spec: "SDM vol. 3 ch. 5 accessed and dirty flags",
    cases: [
        read::CASE, write::CASE, exchange::CASE, fetch::CASE, large_read::CASE, large_write::CASE,
        large_read_only::CASE, mended_missing::CASE, mended_read_only::CASE, mended_no_execute::CASE,
    ],
}

/// Where data is accessed on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// Where it has a UD2.
const CODE: u64 = 0x0000_0180_0000_0040;
/// RBX of every act.
const RBX: u64 = 0x9A03_7603_5203_3103;
/// CR2 after a fault at [`DATA`].
const DATA_FAULTED: Registers = Registers { cr2: DATA, ..RESTING };

/// No flag of the four entries is set; the quadword at [`DATA`] is 0x5A5A.
fn unused() {
    paging::set_own([P | W; 4]);
    paging::set_window(0xA58, 0x5A5A);
}

mod read {
    use super::*;
    act! { name: "pfbits.read", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "read",
        rule: "A read: A in all four entries, D in none.",
        flags: CaseFlags::CONFORMANCE,
        prepare: unused,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0x5A5A)], ..Left::NEW },
        results: &[Check { expected: 0x0230_2302_3023, read: paging::own }],
        ..Case::NEW
    };
}

mod write {
    use super::*;
    act! { name: "pfbits.write", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write",
        rule: "A write: A in all four entries, D in the last.",
        flags: CaseFlags::CONFORMANCE,
        prepare: unused,
        act: ACT,
        results: &[
            Check { expected: 0x0230_2302_3063, read: paging::own },
            Check { expected: RBX, read: || paging::window(0xA58) },
        ],
        ..Case::NEW
    };
}

mod exchange {
    use super::*;
    act! { name: "pfbits.exchange", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["xchg [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "exchange",
        rule: "A read and write in one: A in all four entries, D in the last.",
        flags: CaseFlags::CONFORMANCE,
        prepare: unused,
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0x5A5A)], ..Left::NEW },
        results: &[
            Check { expected: 0x0230_2302_3063, read: paging::own },
            Check { expected: RBX, read: || paging::window(0xA58) },
        ],
        ..Case::NEW
    };
}

mod fetch {
    use super::*;
    act! { name: "pfbits.fetch", set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "fetch",
        rule: "A fetch of the UD2 on the page: #UD there, A in all four entries, D in none.",
        prepare: || {
            unused();
            route(6, 1, IST_FRAME);
        },
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[UD],
        results: &[Check { expected: 0x0230_2302_3023, read: paging::own }],
        // What the host queues, nothing has fetched.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// The page directory's entry maps the first 2 MiB, in which the window's memory is; `flags` besides P and PS.
fn large(flags: u64) {
    unused();
    paging::set_own([P | W, P | W, P | PS | flags, 0]);
}

mod large_read {
    use super::*;
    act! {
        name: "pfbits.large-read",
        set: ["lea rdi, [rip + {page} + 0xA58]", "movabs rsi, 0x18000000000", "add rdi, rsi"],
        armed: [],
        act: ["mov rbx, [rdi]"],
        page = sym WINDOW_PAGE,
    }
    pub(super) const CASE: Case = Case {
        name: "large-read",
        rule: "A read of a page of 2 MiB: A in its three entries, D in none.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || large(W),
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0x5A5A)], ..Left::NEW },
        results: &[Check { expected: 0x0230_230A_3000, read: paging::own }],
        ..Case::NEW
    };
}

mod large_write {
    use super::*;
    act! {
        name: "pfbits.large-write",
        set: ["lea rdi, [rip + {page} + 0xA58]", "movabs rsi, 0x18000000000", "add rdi, rsi"],
        armed: [],
        act: ["mov [rdi], rbx"],
        page = sym WINDOW_PAGE,
    }
    pub(super) const CASE: Case = Case {
        name: "large-write",
        rule: "A write to a page of 2 MiB: D in the page directory's entry, which maps it.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || large(W),
        act: ACT,
        results: &[
            Check { expected: 0x0230_230E_3000, read: paging::own },
            Check { expected: RBX, read: || paging::window(0xA58) },
        ],
        ..Case::NEW
    };
}

mod large_read_only {
    use super::*;
    act! { name: "pfbits.large-read-only", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "large-read-only",
        rule: "A write to a read-only page of 2 MiB: error code 3, D stays clear.",
        prepare: || large(0),
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE, event_data: DATA, ..PF }],
        registers: DATA_FAULTED,
        results: &[Check { expected: 0, read: || paging::own() & D << 12 }],
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod mended_missing {
    use super::*;
    act! { name: "pfbits.mended-missing", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "mended-missing",
        rule: "A write whose handler maps the page and returns: done once, A in all four entries, D in the last.",
        prepare: || {
            unused();
            paging::set_own([P | W, P | W, P | W, 0]);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_WRITE,
            event_data: DATA,
            handler: Some(|_| paging::set_own([P | W; 4])),
            returns: Return::Frame,
            ..PF
        }],
        registers: DATA_FAULTED,
        // The saved RF lasts until the instruction has been executed.
        left: &Left::NEW,
        results: &[
            Check { expected: 0x0230_2302_3063, read: paging::own },
            Check { expected: RBX, read: || paging::window(0xA58) },
        ],
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod mended_read_only {
    use super::*;
    act! {
        name: "pfbits.mended-read-only",
        set: ["movabs rdi, 0x18000000A58"],
        armed: [],
        act: ["xchg [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "mended-read-only",
        rule: "An exchange with a read-only page whose handler sets R/W and returns: done once, D in the last entry.",
        prepare: || {
            unused();
            paging::set_own([P | W, P | W, P | W, P]);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_WRITE,
            event_data: DATA,
            handler: Some(|_| paging::set_own([P | W; 4])),
            returns: Return::Frame,
            ..PF
        }],
        registers: DATA_FAULTED,
        left: &Left { general: &[(General::Rbx, 0x5A5A)], ..Left::NEW },
        results: &[
            Check { expected: 0x0230_2302_3063, read: paging::own },
            Check { expected: RBX, read: || paging::window(0xA58) },
        ],
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod mended_no_execute {
    use super::*;
    act! { name: "pfbits.mended-no-execute", set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "mended-no-execute",
        rule: "A fetch whose handler clears XD and returns: then #UD of the instruction there, without event data.",
        prepare: || {
            paging::set_own([P | W, P | W, P | W, P | W | XD]);
            route(6, 1, IST_FRAME);
        },
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[
            Event {
                error_code: PFERR_PRESENT | PFERR_FETCH,
                event_data: CODE,
                handler: Some(|_| paging::set_own([P | W; 4])),
                returns: Return::Frame,
                ..PF
            },
            UD,
        ],
        registers: Registers { cr2: CODE, ..RESTING },
        results: &[Check { expected: 0x0230_2302_3023, read: paging::own }],
        cancel: Cancel::Payload { payload: CODE, rflags: 0 },
        ..Case::NEW
    };
}
