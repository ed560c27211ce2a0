//! SYSCALL and SYSENTER: under FRED they are events like any other.
//!
//! Rule: with CR4.FRED = 1 SYSCALL and SYSENTER are delivered with event type 7, vector 1 and 2,
//! length 2, RIP after the instruction and the software bit; they ask for stack level 0 (SDM
//! vol. 3 ch. 8, "FRED stack frame" and "Determining the new stack level"). IA32_LSTAR and the
//! SYSENTER MSRs are not used; SYSCALL leaves RCX and R11 alone (SDM vol. 2, "SYSCALL").
//!
//! Known bugs that fail it: an event of type 7 that is dropped when its delivery is
//! interrupted and not raised again, or raised twice; its length lost; its vector taken for #DB's
//! or NMI's; SYSCALL's old side effects on RCX and R11.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "syscall",
    rule: "SYSCALL and SYSENTER under FRED: a trap of type 7, length 2; RCX and R11 are left alone.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 SYSCALL, SYSENTER",
    cases: [
        syscall_ring3::CASE,
        syscall_ring0::CASE,
        sysenter_ring3::CASE,
        sysenter_ring0::CASE,
        star::CASE,
    ],
}

/// SYSCALL from ring 3.
const RING3: Event = Event {
    vector: 1,
    rip: Rip::After,
    cs: USER_CS,
    rflags: RFLAGS,
    rsp: Stack::User,
    ss: user_ss_slot(OTHER_EVENT, 1) | SS_SOFTWARE | ss_length(2),
    csl: 0,
    entry: 0,
    ..Event::NEW
};

/// SYSCALL from ring 0: stack level 0 is the current one, so that the frame lands below RSP.
const RING0: Event = Event {
    cs: cs_slot(0),
    rsp: Stack::Frame(0x28),
    ss: ss_slot(OTHER_EVENT, 1) | SS_SOFTWARE | ss_length(2),
    entry: 0x100,
    fred_top: Top::Frame(0x40),
    ..RING3
};

/// IA32_STAR.
const STAR: u32 = 0xC000_0081;

/// IA32_SYSENTER_CS: without FRED SYSENTER refuses a null one.
fn set_sysenter_cs(value: u64) {
    write_msr(0x174, value);
}

mod syscall_ring3 {
    use super::*;
    act_ring3! {
        name: "syscall.syscall-ring3",
        set: [],
        act: ["syscall"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall-ring3",
        rule: "SYSCALL from ring 3: type 7, vector 1, length 2, GS bases swapped, RCX and R11 unchanged.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[RING3],
        // A host cannot queue an event that an instruction asks for.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod syscall_ring0 {
    use super::*;
    act! {
        name: "syscall.syscall-ring0",
        set: [],
        armed: ["movabs rsp, {rsp}"],
        act: ["syscall"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "syscall-ring0",
        rule: "SYSCALL from ring 0: the ring-0 entry point, the frame below RSP, RCX and R11 unchanged.",
        needs: Needs::FRED,
        act: ACT,
        events: &[RING0],
        ..Case::NEW
    };
}

mod sysenter_ring3 {
    use super::*;
    act_ring3! { name: "syscall.sysenter-ring3", set: [], act: ["sysenter"], }
    pub(super) const CASE: Case = Case {
        name: "sysenter-ring3",
        rule: "SYSENTER from ring 3: type 7, vector 2, length 2; not an NMI. IA32_SYSENTER_CS is 0.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || set_sysenter_cs(0),
        act: ACT,
        events: &[Event {
            vector: 2,
            ss: user_ss_slot(OTHER_EVENT, 2) | SS_SOFTWARE | ss_length(2),
            ..RING3
        }],
        ..Case::NEW
    };
}

mod sysenter_ring0 {
    use super::*;
    act! {
        name: "syscall.sysenter-ring0",
        set: [],
        armed: ["movabs rsp, {rsp}"],
        act: ["sysenter"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "sysenter-ring0",
        rule: "SYSENTER from ring 0: the ring-0 entry point, the frame below RSP.",
        needs: Needs::FRED,
        prepare: || set_sysenter_cs(0x8),
        act: ACT,
        events: &[Event { vector: 2, ss: ss_slot(OTHER_EVENT, 2) | SS_SOFTWARE | ss_length(2), ..RING0 }],
        ..Case::NEW
    };
}

/// CS and SS in the handler.
static SELECTORS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; _];
/// IA32_STAR of the other cases.
static STAR_BEFORE: AtomicU64 = AtomicU64::new(0);

mod star {
    use super::*;
    act_ring3! { name: "syscall.star", set: [], act: ["syscall"], }
    fn look(_: &mut Frame) {
        let (cs, ss): (u64, u64);
        // SAFETY: it reads selectors.
        unsafe {
            asm!("mov {0:r}, cs", "mov {1:r}, ss", out(reg) cs, out(reg) ss, options(nomem, nostack, preserves_flags));
        }
        SELECTORS[0].store(cs, Relaxed);
        SELECTORS[1].store(ss, Relaxed);
        write_msr(STAR, STAR_BEFORE.load(Relaxed));
    }
    pub(super) const CASE: Case = Case {
        name: "star",
        rule: "SYSCALL from ring 3 with RPL 3 in bits 47:32 of IA32_STAR: CS is that selector with RPL 0, SS is 8 more.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || {
            STAR_BEFORE.store(read_msr(STAR), Relaxed);
            write_msr(STAR, read_msr(STAR) | 3 << 32);
        },
        act: ACT,
        events: &[Event { handler: Some(look), ..RING3 }],
        results: &[
            Check { expected: 0x8, read: || SELECTORS[0].load(Relaxed) },
            Check { expected: 0x10, read: || SELECTORS[1].load(Relaxed) },
        ],
        ..Case::NEW
    };
}
