//! Faults of a present page by the control registers, SMEP, SMAP and CR0.WP, and by the ring.
//!
//! Rule: with CR4.SMEP ring 0 does not fetch from a page of ring 3, with CR4.SMAP it does not access one unless
//! RFLAGS.AC is set; both faults have bit 0 of the error code and no bit of their own. With CR0.WP = 0 ring 0 writes
//! to read-only pages. What ring 0 has just accessed ring 3 must not (SDM vol. 3, "Determination of Access Rights"). Event
//! delivery pushes its frame with SMAP on.
//!
//! Out: protection keys, which the model does not offer.
//!
//! Known bugs that fail it: SMEP's fault without bit 4, or none at all, under a shadow MMU (permission_fault of
//! KVM); CR4.SMAP or CR0.WP lost in a migration: the fault does not come.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "pfright",
    rule: "SMEP, SMAP and CR0.WP decide about present pages; their page faults have bit 0 of the error code.",
    spec: "SDM vol. 3 ch. 5 access rights; ch. 7 interrupt 14",
    cases: [
        smep::CASE, smap_read::CASE, smap_write::CASE, smap_ac::CASE, smap_clac::CASE, write_protect_off::CASE, touched::CASE,
        smap_gdt::CASE,
    ],
}

/// Where data is accessed on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// Where code is fetched from.
const CODE: u64 = 0x0000_0180_0000_0040;
/// An entry above the last level.
const TABLE: u64 = P | W | U | A;
/// A page of ring 3.
const USER_PAGE: u64 = P | W | U | A | D;

/// A fault at [`DATA`] in ring 0.
const FAULT: Event = Event { event_data: DATA, ..PF };
/// CR2 after a fault at [`DATA`].
const DATA_FAULTED: Registers = Registers { cr2: DATA, ..RESTING };
/// CR2 after a fault at [`CODE`].
const CODE_FAULTED: Registers = Registers { cr2: CODE, ..RESTING };

mod smep {
    use super::*;
    act! { name: "pfright.smep", set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "smep",
        rule: "SMEP, a fetch from a page of ring 3 in ring 0: 0x11.",
        needs: Needs::SMEP,
        prepare: || {
            paging::set_own([TABLE, TABLE, TABLE, USER_PAGE]);
            set_control(|cr0| cr0, SMEP);
        },
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event { error_code: PFERR_PRESENT | PFERR_FETCH, event_data: CODE, ..PF }],
        registers: CODE_FAULTED,
        cancel: Cancel::Payload { payload: CODE, rflags: 0 },
        ..Case::NEW
    };
}

/// A page of ring 3, and SMAP.
fn smap_page() {
    paging::set_own([TABLE, TABLE, TABLE, USER_PAGE]);
    set_control(|cr0| cr0, SMAP);
}

mod smap_read {
    use super::*;
    act! { name: "pfright.smap-read", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "smap-read",
        rule: "SMAP, a read of a page of ring 3 in ring 0: 0x1.",
        needs: Needs::SMAP,
        prepare: smap_page,
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT, ..FAULT }],
        registers: DATA_FAULTED,
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod smap_write {
    use super::*;
    act! { name: "pfright.smap-write", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "smap-write",
        rule: "SMAP, a write to a page of ring 3 in ring 0: 0x3.",
        needs: Needs::SMAP,
        prepare: smap_page,
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE, ..FAULT }],
        registers: DATA_FAULTED,
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod smap_ac {
    use super::*;
    act! {
        name: "pfright.smap-ac",
        set: ["movabs rdi, 0x18000000A58"],
        armed: ["push 0x40002", "popfq"],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "smap-ac",
        rule: "SMAP, RFLAGS.AC and a read of a page of ring 3 in ring 0: nothing is raised.",
        needs: Needs::SMAP,
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            smap_page();
            paging::set_window(0xA58, 0x5A5A_0A58);
        },
        act: ACT,
        left: &Left { rflags: RFLAGS | AC, general: &[(General::Rbx, 0x5A5A_0A58)], ..Left::NEW },
        ..Case::NEW
    };
}

mod write_protect_off {
    use super::*;
    act! { name: "pfright.write-protect-off", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write-protect-off",
        rule: "CR0.WP = 0 and a write to a read-only page in ring 0: nothing is raised, and the write is done.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            paging::set_own([TABLE, TABLE, TABLE, P | A | D]);
            paging::set_window(0xA58, 0);
            set_control(|cr0| cr0 & !WP, 0);
        },
        act: ACT,
        results: &[Check { expected: 0x9A03_7603_5203_3103, read: || paging::window(0xA58) }],
        ..Case::NEW
    };
}

mod smap_clac {
    use super::*;
    act! {
        name: "pfright.smap-clac",
        set: ["movabs rdi, 0x18000000A58"],
        armed: [],
        // 3 bytes each.
        act: ["stac", "mov rbx, [rdi]", "clac", "mov rcx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "smap-clac",
        rule: "SMAP, a read of a page of ring 3 after STAC, and one after CLAC: the second is 0x1.",
        needs: Needs::SMAP,
        prepare: || {
            smap_page();
            paging::set_window(0xA58, 0x5A5A_0A58);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT,
            rip: Rip::Plus(9),
            general: &[(General::Rbx, 0x5A5A_0A58)],
            ..FAULT
        }],
        registers: DATA_FAULTED,
        // The read comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod touched {
    use super::*;
    // The return's frame, of 8 quadwords, is moved to the page, where RSP then is.
    act_ring3! {
        name: "pfright.touched",
        set: [
            "movabs rdi, 0x8000004F00", "mov rsi, rsp", "mov ecx, 8", "rep movsq", "movabs rdi, 0x8000004F00", "mov rsp, rdi"
        ],
        act: ["mov rbx, [rdi]"],
    }
    /// The page, which is ring 0's.
    const TOUCHED: u64 = 0x0000_0080_0000_4F00;
    pub(super) const CASE: Case = Case {
        name: "touched",
        rule: "Ring 3's read of ring 0's page from which the return to ring 3 has just read its frame: 0x5.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_USER,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
            csl: 0,
            entry: 0,
            event_data: TOUCHED,
            ..PF
        }],
        registers: Registers { cr2: TOUCHED, ..RESTING },
        ..Case::NEW
    };
}

mod smap_gdt {
    use super::*;
    // The GDT's register is saved at 0xB00 of the window page, and is at 0xB20 what it is during the act.
    act! {
        name: "pfright.smap-gdt",
        set: ["movabs rdi, 0x8000004B00", "mov ecx, 0x10"],
        armed: ["sgdt [rdi]", "lgdt [rdi + 0x20]", "push 0x40002", "popfq"],
        act: ["mov ds, ecx"],
        then: ["lgdt [rdi]"],
    }
    /// The GDT, where its descriptor 0x10 is that of the frame's page.
    const GDT: u64 = paging::OWN + 0xC00;
    pub(super) const CASE: Case = Case {
        name: "smap-gdt",
        rule: "SMAP, RFLAGS.AC and a selector whose descriptor lies in a page of ring 3: AC counts for nothing, 0x1.",
        needs: Needs::SMAP.union(Needs::FRED),
        prepare: || {
            smap_page();
            paging::set_window(0xC10, 0x00CF_9300_0000_FFFF);
            paging::set_window(0xB20, 0x5F | GDT << 16);
            paging::set_window(0xB28, GDT >> 48);
        },
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT,
            rflags: RFLAGS | RF | AC,
            event_data: GDT + 0x10,
            ..PF
        }],
        registers: Registers { cr2: GDT + 0x10, ..RESTING },
        // The table changes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}
