//! What lies beyond by its last byte, and branches that lead beyond.
//!
//! Rule: a gate or a descriptor of which any byte is beyond the limit of its table is not there: #GP with the vector or the
//! selector. A near JMP, CALL or RET to an address that is not canonical is #GP(0) on Intel's processors before anything has
//! changed: nothing is pushed or popped (SDM vol. 3 ch. 7, "Error Code", "Interrupt 13"; vol. 2, "JMP", "CALL", "RET").
//!
//! Known bugs that fail it: a limit that is compared with a table's index or its first byte; a branch whose target an emulator
//! checks at the next fetch (assign_eip, arch/x86/kvm/emulate.c, CVE-2014-3647).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "beyond",
    rule: "A gate or a descriptor cut by its table's limit is not there; nor is an address that is not canonical.",
    spec: "SDM vol. 3 ch. 7 Interrupt 13; vol. 2 JMP, CALL, RET",
    cases: [gate::CASE, descriptor::CASE, near::CASE, top::CASE, stack::CASE],
}

mod gate {
    use super::*;
    // The table's last gate is 31's; its last byte is at 0x1FF.
    act! {
        name: "beyond.gate",
        set: ["movabs rdi, 0x8000004100"],
        armed: ["sidt [rdi]", "mov word ptr [rdi], 0x1FE", "lidt [rdi]"],
        act: ["int 31"],
        then: ["mov word ptr [rdi], 0x1FF", "lidt [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "gate",
        rule: "INT 31 by a gate whose last byte is beyond the IDT's limit: #GP(0xFA), the vector and IDT.",
        needs: Needs::IDT,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0xFA, ..GP }],
        // The table changes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod descriptor {
    use super::*;
    act! {
        name: "beyond.descriptor",
        set: ["movabs rdi, 0x8000004100", "mov ecx, 0x2B"],
        armed: ["sgdt [rdi + 16]", "sgdt [rdi]", "mov word ptr [rdi], 0x2E", "lgdt [rdi]"],
        act: ["mov ds, ecx"],
        then: ["lgdt [rdi + 16]"],
    }
    pub(super) const CASE: Case = Case {
        name: "descriptor",
        rule: "A selector whose descriptor's last byte is beyond the GDT's limit: #GP(0x28).",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0x28, ..GP }],
        cancel: Cancel::No,
        ..Case::NEW
    };
}

/// #GP(0) so many bytes after the act's first instruction, which is 2 bytes long; its handler returns after it.
const fn refused(bytes: u64) -> Event {
    Event { rip: Rip::Plus(bytes), handler: Some(skip::<2>), returns: Return::Frame, ..GP }
}

mod near {
    use super::*;
    act! {
        name: "beyond.near",
        set: ["mov ecx, 1", "shl rcx, 47"],
        armed: ["push rcx"],
        act: ["jmp rcx", "call rcx", "ret"],
    }
    pub(super) const CASE: Case = Case {
        name: "near",
        rule: "JMP, CALL and RET to bit 47 alone: #GP(0) each time, RIP at the branch, RSP as it was.",
        needs: Needs::INTEL,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { rsp: Stack::ActBelow(8), ..refused(0) },
            Event { rsp: Stack::ActBelow(8), ..refused(2) },
            Event { rsp: Stack::ActBelow(8), rip: Rip::Plus(4), ..GP },
        ],
        // The push comes after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod top {
    use super::*;
    act! { name: "beyond.top", set: ["movabs rdi, 0x7FFFFFFFFFF8"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "top",
        rule: "A read of the last 8 bytes of the lower half, where nothing is mapped: #PF, not #GP.",
        act: ACT,
        events: &[Event { event_data: 0x0000_7FFF_FFFF_FFF8, ..PF }],
        registers: Registers { cr2: 0x0000_7FFF_FFFF_FFF8, ..RESTING },
        cancel: Cancel::Payload { payload: 0x0000_7FFF_FFFF_FFF8, rflags: 0 },
        ..Case::NEW
    };
}

mod stack {
    use super::*;
    // RSP is the first address that is not canonical; the frame would lie below it.
    act! { name: "beyond.stack", set: ["movabs rcx, 0x800000000000"], armed: ["mov rsp, rcx"], act: ["ud2"], }
    const FRAME: u64 = 0x0000_7FFF_FFFF_FFC0;
    pub(super) const CASE: Case = Case {
        name: "stack",
        rule: "#UD on the current level with RSP at bit 47 alone: its frame is canonical, and unmapped: a nested #PF, no #SS.",
        needs: Needs::FRED,
        flags: CaseFlags::NESTED,
        prepare: || route(6, 0, IST_FRAME),
        act: ACT,
        // Where the push begins is the processor's.
        events: &[Event {
            error_code: PFERR_WRITE,
            ss: ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED,
            rsp: Stack::At(1 << 47),
            event_data: FRAME,
            event_data_span: 0x3F,
            ..PF
        }],
        registers: Registers { cr2: FRAME, cr2_span: 0x3F, ..RESTING },
        ..Case::NEW
    };
}
