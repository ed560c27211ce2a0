//! RFLAGS with nearly every flag set: saved whole, cleared at entry, and back after the return.
//!
//! Rule: a frame has RFLAGS as they were, and RF set if the event is a fault other than #DB. FRED then clears every
//! flag (SDM vol. 3 ch. 8, "FRED event delivery"); a gate of the IDT clears TF, NT, RF and VM, and an interrupt gate IF
//! as well (ch. 7, "Flag Usage By Exception- or Interrupt-Handler Procedure"). ERETS, ERETU and IRETQ bring back what
//! the frame says, AC, NT and IOPL included. In compatibility mode bit 57 of FRED's SS slot is 0.
//!
//! Known bugs that fail it: RFLAGS rebuilt from those flags that a hypervisor has in its own structures; RF set in the
//! frame of a trap, or kept after the return (x86_emulate_insn of KVM's emulator is where it
//! goes); flags of the interrupted code left in the handler under FRED; CS.L taken from EFER.LMA.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "flags",
    rule: "RFLAGS are saved whole, clear at entry, and back after the return.",
    spec: "SDM vol. 3 ch. 8 FRED event delivery; ch. 7 Flag Usage",
    cases: [
        fault::CASE,
        fault_returned::CASE,
        trap_returned::CASE,
        int_n_returned::CASE,
        step::CASE,
        nmi::CASE,
        interrupt::CASE,
        ring3::CASE,
        ring3_returned::CASE,
        syscall::CASE,
        compatibility_mode::CASE,
    ],
}

/// From ring 3, on level 0 and its stack.
const RING3: Event = Event {
    cs: USER_CS,
    rflags: USER_RICH | RF,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
    csl: 0,
    entry: 0,
    idt_entry_rflags: GATED_USER_RICH,
    ..UD
};

mod fault {
    use super::*;
    act! { name: "flags.fault", set: [], armed: ["push 0x47CD7", "popfq"], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "fault",
        rule: "#UD with AC, NT, IOPL 3, OF, DF, SF, ZF, AF, PF and CF set: all of them saved, and RF.",
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { rflags: RICH | RF, idt_entry_rflags: GATED_RICH, ..UD }],
        cancel: Cancel::Payload { payload: 0, rflags: RICH },
        ..Case::NEW
    };
}

mod fault_returned {
    use super::*;
    act! { name: "flags.fault-returned", set: [], armed: ["push 0x47CD7", "popfq"], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "fault-returned",
        rule: "#NM whose handler clears CR0.TS and returns: the instruction completes, RF is clear after it.",
        prepare: set_task_switched,
        act: ACT,
        events: &[Event {
            rflags: RICH | RF,
            idt_entry_rflags: GATED_RICH,
            handler: Some(|_| clear_task_switched()),
            returns: Return::Frame,
            ..NM
        }],
        registers: Registers { cr0: MP | TS, ..RESTING },
        left: &Left { rflags: RICH, registers: Some(&RESTING), ..Left::NEW },
        cancel: Cancel::Payload { payload: 0, rflags: RICH },
        ..Case::NEW
    };
}

mod trap_returned {
    use super::*;
    act! { name: "flags.trap-returned", set: [], armed: ["push 0x47CD7", "popfq"], act: ["int3"], }
    pub(super) const CASE: Case = Case {
        name: "trap-returned",
        rule: "INT3: RFLAGS saved as they were, without RF, and back after the return.",
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 3,
            rip: Rip::After,
            rflags: RICH,
            ss: ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
            idt_entry_rflags: GATED_RICH,
            returns: Return::Frame,
            ..Event::NEW
        }],
        left: &Left { rflags: RICH, ..Left::NEW },
        ..Case::NEW
    };
}

mod int_n_returned {
    use super::*;
    act! {
        name: "flags.int-n-returned",
        set: [],
        armed: ["push 0x47CD7", "popfq", "movabs rsp, {rsp}"],
        act: [".byte 0xCD, 0x1F"],
        rsp = const FRAME_STACK + 0xFD8,
    }
    pub(super) const CASE: Case = Case {
        name: "int-n-returned",
        rule: "INT 31 below RSP at stack level 0: RFLAGS saved as they were, and back after the return.",
        // RSP is on the frame page, which nothing but the delivery may touch.
        needs: Needs::FRED,
        act: ACT,
        events: &[Event {
            vector: 31,
            rip: Rip::After,
            rflags: RICH,
            rsp: Stack::Frame(0x28),
            ss: ss_slot(SOFTWARE_INTERRUPT, 31) | SS_SOFTWARE | ss_length(2),
            csl: 0,
            fred_top: Top::Frame(0x40),
            returns: Return::Frame,
            ..Event::NEW
        }],
        left: &Left { rflags: RICH, rsp: Stack::Frame(0x28), ..Left::NEW },
        ..Case::NEW
    };
}

mod step {
    use super::*;
    act! { name: "flags.step", set: [], armed: ["push 0x47DD7", "popfq"], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "step",
        rule: "A single step: RFLAGS saved as they were, TF included and RF not.",
        act: ACT,
        events: &[Event { rflags: RICH | TF, idt_entry_rflags: GATED_RICH, ..SINGLE_STEP }],
        registers: Registers { dr6: DR6 | BS, ..RESTING },
        cancel: Cancel::Payload { payload: BS, rflags: RICH | TF },
        ..Case::NEW
    };
}

mod nmi {
    use super::*;
    act! { name: "flags.nmi", set: [], armed: ["push 0x47CD7", "popfq"], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "nmi",
        rule: "An NMI that ends HLT with IF clear: RIP after it, RFLAGS saved as they were and back after it.",
        needs: Needs::NMI,
        flags: CaseFlags::NMI_AT_HALT,
        prepare: || route(2, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 2,
            rip: Rip::After,
            rflags: RICH,
            ss: ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI,
            idt_entry_rflags: GATED_RICH,
            returns: Return::Frame,
            ..Event::NEW
        }],
        left: &Left { rflags: RICH, ..Left::NEW },
        ..Case::NEW
    };
}

mod interrupt {
    use super::*;
    act! { name: "flags.interrupt", set: [], armed: ["push 0x47ED7", "popfq"], act: ["hlt"], }
    pub(super) const CASE: Case = Case {
        name: "interrupt",
        rule: "An interrupt that ends HLT: RFLAGS saved with IF, which is clear at entry and set after the return.",
        needs: Needs::INTERRUPT,
        flags: CaseFlags::INTERRUPT_AT_HALT,
        prepare: || {
            route(31, 1, IST_FRAME);
            set_interrupt_level(1);
        },
        act: ACT,
        events: &[Event {
            vector: 31,
            rip: Rip::After,
            rflags: RICH | IF,
            ss: ss_slot(EXTERNAL_INTERRUPT, 31),
            idt_entry_rflags: GATED_RICH,
            returns: Return::Frame,
            ..Event::NEW
        }],
        left: &Left { rflags: RICH | IF, ..Left::NEW },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! {
        name: "flags.ring3", cs: "0x2B", ss: "0x23", rflags: "0x44CD7", set: [], act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "#UD in ring 3: RFLAGS saved as they were, and RF.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[RING3],
        ..Case::NEW
    };
}

mod ring3_returned {
    use super::*;
    act_ring3! {
        name: "flags.ring3-returned",
        cs: "0x2B",
        ss: "0x23",
        rflags: "0x44CD7",
        set: [],
        act: ["int3", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "ring3-returned",
        rule: "INT3 in ring 3, a return there, then #UD: RFLAGS, RSP, registers and the GS bases as before.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(3, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event {
                vector: 3,
                rip: Rip::Plus(1),
                rflags: USER_RICH,
                ss: user_ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1),
                returns: Return::Frame,
                ..RING3
            },
            Event { rip: Rip::Plus(1), idt_top: Top::Other(0), ..RING3 },
        ],
        ..Case::NEW
    };
}

mod syscall {
    use super::*;
    act_ring3! {
        name: "flags.syscall", cs: "0x2B", ss: "0x23", rflags: "0x44CD7", set: [], act: ["syscall"],
    }
    pub(super) const CASE: Case = Case {
        name: "syscall",
        rule: "SYSCALL from ring 3: RFLAGS in the frame as they were; R11 and RCX unchanged.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            vector: 1,
            rip: Rip::After,
            rflags: USER_RICH,
            ss: user_ss_slot(OTHER_EVENT, 1) | SS_SOFTWARE | ss_length(2),
            ..RING3
        }],
        ..Case::NEW
    };
}

mod compatibility_mode {
    use super::*;
    act_ring3! {
        name: "flags.compatibility-mode",
        cs: "0x1B",
        ss: "0x23",
        rflags: "0x44CD7",
        set: [],
        act: [".code32", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "compatibility-mode",
        rule: "#UD in compatibility mode: CS 0x1B, and bit 57 of the SS slot clear.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event { cs: 0x1B, ss: 0x0003_0006_0000_0023, ..RING3 }],
        ..Case::NEW
    };
}
