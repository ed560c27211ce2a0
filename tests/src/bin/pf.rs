//! #PF: the event data is the faulting linear address, and CR2 holds the same.
//!
//! Rule: a page fault's frame carries the linear address that faulted (SDM vol. 3 ch. 8, "FRED
//! event data"), CR2 is written with the same value, RF is set in the saved RFLAGS as for every
//! fault, and RIP is the faulting instruction's.
//!
//! Known bugs that fail it: event data rebuilt from CR2 when a delivery is interrupted
//! and begun again, after the host or another fault has changed CR2; event data, error code or
//! RF lost when the event is requeued or migrated; the address of a straddling
//! access reported as the first page's; no swap of GS on entry from ring 3.
#![no_std]
#![no_main]

use guest::layout::{PAGE, PAGE_TABLES};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "pf",
    rule: "A page fault's event data is the faulting linear address, the value CR2 receives too.",
    spec: "SDM vol. 3 ch. 8 FRED, event data; ch. 7 interrupt 14",
    cases: [
        read_unmapped::CASE,
        write_read_only::CASE,
        fetch_nx::CASE,
        read_high_canonical::CASE,
        read_straddling::CASE,
        read_ring3::CASE,
        insb_unmapped::CASE,
        insw_read_only::CASE,
        null::CASE,
    ],
}

mod read_unmapped {
    use super::*;
    act! { name: "pf.read-unmapped", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "read-unmapped",
        rule: "A read of an unmapped page: error code 0, event data and CR2 the address.",
        act: ACT,
        events: &[Event { event_data: 0x0000_0080_0000_1A58, ..PF }],
        registers: Registers { cr2: 0x0000_0080_0000_1A58, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_1A58, rflags: 0 },
        ..Case::NEW
    };
}

mod write_read_only {
    use super::*;
    act! {
        name: "pf.write-read-only",
        set: ["movabs rdi, 0x8000002F10"],
        armed: [],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "write-read-only",
        rule: "A write to a read-only page with CR0.WP: error code 3, present and write.",
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE, event_data: 0x0000_0080_0000_2F10, ..PF }],
        registers: Registers { cr2: 0x0000_0080_0000_2F10, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_2F10, rflags: 0 },
        ..Case::NEW
    };
}

mod fetch_nx {
    use super::*;
    act! { name: "pf.fetch-nx", set: ["movabs rdi, 0x8000003040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "fetch-nx",
        rule: "A fetch from a no-execute page: error code 0x11, and RIP is the page's address, not the jump's.",
        // The jump completes; the event is the next fetch's.
        act: Act { act: Address::new(0x0000_0080_0000_3040), ..ACT },
        events: &[Event { error_code: PFERR_PRESENT | PFERR_FETCH, event_data: 0x0000_0080_0000_3040, ..PF }],
        registers: Registers { cr2: 0x0000_0080_0000_3040, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_3040, rflags: 0 },
        ..Case::NEW
    };
}

mod read_high_canonical {
    use super::*;
    act! {
        name: "pf.read-high-canonical",
        set: ["movabs rdi, 0xFFFF9ABC12345678"],
        armed: [],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "read-high-canonical",
        rule: "A read of an unmapped address in the upper half: all 64 bits arrive.",
        act: ACT,
        events: &[Event { event_data: 0xFFFF_9ABC_1234_5678, ..PF }],
        registers: Registers { cr2: 0xFFFF_9ABC_1234_5678, ..RESTING },
        cancel: Cancel::Payload { payload: 0xFFFF_9ABC_1234_5678, rflags: 0 },
        ..Case::NEW
    };
}

mod read_straddling {
    use super::*;
    act! {
        name: "pf.read-straddling",
        set: ["movabs rdi, 0x8000004FFD"],
        armed: [],
        act: ["mov rbx, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "read-straddling",
        rule: "A read that begins on a mapped page and ends on an unmapped one: the address is the second page's.",
        act: ACT,
        events: &[Event { event_data: 0x0000_0080_0000_5000, ..PF }],
        registers: Registers { cr2: 0x0000_0080_0000_5000, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_0080_0000_5000, rflags: 0 },
        ..Case::NEW
    };
}

mod read_ring3 {
    use super::*;
    act_ring3! { name: "pf.read-ring3", set: ["movabs rdi, 0x8000001A58"], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "read-ring3",
        rule: "The read from ring 3: error code 4, the ring-3 entry point, stack level 0, GS bases swapped.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            error_code: PFERR_USER,
            event_data: 0x0000_0080_0000_1A58,
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
            csl: 0,
            entry: 0,
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_1A58, ..RESTING },
        ..Case::NEW
    };
}

mod insb_unmapped {
    use super::*;
    act! {
        name: "pf.insb-unmapped",
        set: ["movabs rdi, 0x8000001C30"],
        armed: ["mov edx, {port}"],
        act: ["insb"],
        port = const INPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "insb-unmapped",
        rule: "INSB to an unmapped page: error code 2, whether or not the port has been read by then.",
        flags: CaseFlags::IO,
        act: ACT,
        events: &[Event {
            error_code: PFERR_WRITE,
            event_data: 0x0000_0080_0000_1C30,
            general: &[(General::Rdx, 0x6D70)],
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_1C30, ..RESTING },
        // The port comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod insw_read_only {
    use super::*;
    act! {
        name: "pf.insw-read-only",
        set: ["movabs rdi, 0x8000002C34"],
        armed: ["mov edx, {port}"],
        act: ["insw"],
        port = const INPUT,
    }
    pub(super) const CASE: Case = Case {
        name: "insw-read-only",
        rule: "INSW to a read-only page with CR0.WP: error code 3, whether or not the port has been read by then.",
        flags: CaseFlags::IO,
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_WRITE,
            event_data: 0x0000_0080_0000_2C34,
            general: &[(General::Rdx, 0x6D70)],
            ..PF
        }],
        registers: Registers { cr2: 0x0000_0080_0000_2C34, ..RESTING },
        // The port comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// Takes the first page away.
fn unmap_first() {
    // Of the identity map's PT, the first entry.
    let entry = (PAGE_TABLES.start().value() + 3 * PAGE as u64) as *mut u64;
    // SAFETY: nothing of the image lies in the first page.
    unsafe {
        entry.write_volatile(0);
        core::arch::asm!("invlpg [{}]", in(reg) 0_u64, options(nostack, preserves_flags));
    }
}

mod null {
    use super::*;
    act! { name: "pf.null", set: ["mov edi, 0"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "null",
        rule: "Read of address 0: event data and CR2 are 0, which is an address like any other.",
        prepare: unmap_first,
        act: ACT,
        events: &[Event { event_data: 0, ..PF }],
        registers: Registers { cr2: 0, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}
