//! SYSCALL and SYSENTER: under FRED they are events like any other.
//!
//! Rule: with CR4.FRED = 1 SYSCALL and SYSENTER are delivered with event type 7, vector 1 and 2,
//! length 2, RIP behind the instruction and the software bit; they ask for stack level 0 (SDM
//! vol. 3 ch. 8, "FRED stack frame" and "Determining the new stack level"). IA32_LSTAR and the
//! SYSENTER MSRs are not used; SYSCALL leaves RCX and R11 alone (SDM vol. 2, "SYSCALL").
//!
//! Known bugs this tells apart from it: an event of type 7 that is dropped when its delivery is
//! interrupted and not raised again, or raised twice; its length lost; its vector taken for #DB's
//! or NMI's; SYSCALL's old side effects on RCX and R11.
#![no_std]
#![no_main]

use guest::case::{Cancel, Case, Outcome};
use guest::judge::disturbed::RESTING;
use guest::judge::event::{Event, Rip, Stack, Top};
use guest::layout::FRAME_STACK;
use guest::protocol::need::Needs;
use guest::protocol::note::CaseFlags;
use guest::registers::{r11_at_entry, rcx_at_entry, write_msr};
use guest::{act, act_ring3};

guest::image! {
    name: "syscall",
    rule: "SYSCALL and SYSENTER under FRED: a trap of type 7, length 2; RCX and R11 are left alone.",
    spec: "SDM vol. 3 ch. 8 FRED stack frame; vol. 2 SYSCALL, SYSENTER",
    cases: [
        syscall_ring3::CASE,
        syscall_ring0::CASE,
        sysenter_ring3::CASE,
        sysenter_ring0::CASE,
    ],
}

/// SYSCALL from ring 3.
const RING3: Event = Event {
    vector: 1,
    error_code: 0,
    rip: Rip::After,
    cs: 0x0000_0000_0000_002B,
    rflags: 0x2,
    rsp: Stack::User,
    ss: 0x2207_0001_0002_0023,
    event_data: 0,
    csl: 0,
    entry: 0x0,
    ..Event::FAULT
};

/// SYSCALL from ring 0: stack level 0 is the current one, so that the frame lands below RSP.
const RING0: Event = Event {
    cs: 0x0000_0000_0000_0008,
    rsp: Stack::Frame(0x28),
    ss: 0x2207_0001_0002_0010,
    entry: 0x100,
    fred_top: Top::Frame(0x40),
    ..RING3
};

/// IA32_SYSENTER_CS: without FRED SYSENTER refuses a null one.
fn set_sysenter_cs(value: u64) {
    write_msr(0x174, value);
}

mod syscall_ring3 {
    use super::*;
    act_ring3! {
        name: "syscall.syscall-ring3",
        set: ["movabs rcx, 0xC0DEC0DE12345678", "movabs r11, 0x1111222233334444"],
        act: ["syscall"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall-ring3",
        rule: "SYSCALL from ring 3: type 7, vector 1, length 2, GS bases swapped, RCX and R11 unchanged.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: || {},
        act: ACT,
        events: &[RING3],
        in_handler: false,
        registers: RESTING,
        results: &[
            Outcome { expected: 0xC0DE_C0DE_1234_5678, read: rcx_at_entry },
            Outcome { expected: 0x1111_2222_3333_4444, read: r11_at_entry },
        ],
        // A host cannot queue an event that an instruction asks for.
        cancel: Cancel::No,
    };
}

mod syscall_ring0 {
    use super::*;
    act! {
        name: "syscall.syscall-ring0",
        set: ["movabs rcx, 0xC0DEC0DE12345678", "movabs r11, 0x1111222233334444"],
        armed: ["movabs rsp, {rsp}"],
        act: ["syscall"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "syscall-ring0",
        rule: "SYSCALL from ring 0: the ring-0 entry point, the frame below RSP, RCX and R11 unchanged.",
        needs: Needs::FRED,
        flags: CaseFlags::empty(),
        act: ACT,
        events: &[RING0],
        ..syscall_ring3::CASE
    };
}

mod sysenter_ring3 {
    use super::*;
    act_ring3! { name: "syscall.sysenter-ring3", set: [], act: ["sysenter"], }
    pub(super) const CASE: Case = Case {
        name: "sysenter-ring3",
        rule: "SYSENTER from ring 3: type 7, vector 2, length 2; not an NMI. IA32_SYSENTER_CS is 0.",
        prepare: || set_sysenter_cs(0),
        act: ACT,
        events: &[Event { vector: 2, ss: 0x2207_0002_0002_0023, ..RING3 }],
        results: &[],
        ..syscall_ring3::CASE
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
        prepare: || set_sysenter_cs(0x8),
        act: ACT,
        events: &[Event { vector: 2, ss: 0x2207_0002_0002_0010, ..RING0 }],
        results: &[],
        ..syscall_ring0::CASE
    };
}
