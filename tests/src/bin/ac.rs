//! #AC: an access that is not aligned.
//!
//! Rule: #AC(0) comes in ring 3 alone, with CR0.AM and RFLAGS.AC both set; the error code is 0, under FRED as well,
//! and the event data too. AC is in the saved RFLAGS (SDM vol. 3 ch. 7, interrupt 17). PUSH leaves RSP.
//!
//! Known bugs that fail it: #AC swallowed, or raised in ring 0, by a hypervisor that looks for split locks
//! (handle_exception_nmi, vmx_guest_inject_ac); its error code lost when it is intercepted and injected again; CR0.AM
//! lost in a migration.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::manual::*;

guest::image! {
    name: "ac",
    rule: "#AC(0) comes in ring 3, with CR0.AM and RFLAGS.AC; no event data.",
    spec: "SDM vol. 3 ch. 7 interrupt 17; ch. 8 FRED",
    cases: [read::CASE, push::CASE, second::CASE, ring0::CASE, without_am::CASE],
}

/// #AC(0) in ring 3.
const AC_RING3: Event = Event {
    vector: 17,
    cs: USER_CS,
    rflags: RFLAGS | RF | AC,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 17),
    csl: 0,
    entry: 0,
    idt_frame_bytes: 48,
    idt_entry_rflags: RFLAGS | AC,
    ..Event::NEW
};

/// CR0.AM, and #AC on the frame page.
fn check_alignment() {
    set_control(|cr0| cr0 | AM, 0);
    route(17, 1, IST_FRAME);
}

mod read {
    use super::*;
    act_ring3! {
        name: "ac.read",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x40002",
        set: ["lea rdi, [rip + {stack} + 0x101]"],
        act: ["mov rbx, [rdi]"],
        stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "read",
        rule: "A read that is not aligned in ring 3, CR0.AM and RFLAGS.AC: #AC(0), AC in the saved RFLAGS.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: check_alignment,
        act: ACT,
        events: &[AC_RING3],
        ..Case::NEW
    };
}

mod push {
    use super::*;
    act_ring3! {
        name: "ac.push",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x40002",
        set: ["lea rdi, [rip + {stack} + 0x102]"],
        act: ["push qword ptr [rdi]"],
        stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "push",
        rule: "PUSH of an operand that is not aligned: #AC(0), RSP stays.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: check_alignment,
        act: ACT,
        events: &[AC_RING3],
        ..Case::NEW
    };
}

mod ring0 {
    use super::*;
    act! {
        name: "ac.ring0",
        set: ["movabs rdi, 0x8000004109"],
        armed: ["push 0x40002", "popfq"],
        act: ["mov [rdi], rbx"],
    }
    pub(super) const CASE: Case = Case {
        name: "ring0",
        rule: "A write that is not aligned in ring 0, CR0.AM and RFLAGS.AC: nothing is raised.",
        flags: CaseFlags::CONFORMANCE,
        prepare: check_alignment,
        act: ACT,
        left: &Left { rflags: RFLAGS | AC, ..Left::NEW },
        ..Case::NEW
    };
}

mod without_am {
    use super::*;
    act_ring3! {
        name: "ac.without-am",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x40002",
        set: ["lea rdi, [rip + {stack} + 0x101]", "mov ecx, 0"],
        act: ["div dword ptr [rdi]"],
        stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "without-am",
        rule: "DIV by an operand that is 0 and not aligned, RFLAGS.AC without CR0.AM: #DE, no #AC.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 0,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 0),
            idt_frame_bytes: 40,
            ..AC_RING3
        }],
        ..Case::NEW
    };
}

mod second {
    use super::*;
    // 4 bytes each.
    act_ring3! {
        name: "ac.second",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x40002",
        set: ["lea rdi, [rip + {stack} + 0x100]"],
        act: ["mov [rdi + 8], rbx", "mov [rdi + 9], rbx"],
        stack = sym USER_STACK,
    }
    pub(super) const CASE: Case = Case {
        name: "second",
        rule: "A write that is aligned, and then one on the same page that is not: #AC(0) at the second.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: check_alignment,
        act: ACT,
        events: &[Event { rip: Rip::Plus(4), ..AC_RING3 }],
        ..Case::NEW
    };
}
