//! Instructions where their rules end: the lowest quotient, bits below an operand, registers that stay half as they were.
//!
//! Rule: IDIV is #DE for a quotient one below the least number. BT and its like with a register take its value as signed: a bit
//! below the operand. Rotates change CF and OF alone. CMOVcc of 32 bits clears the upper half whether it moves or not. A segment
//! prefix counts for OUTS, as for every source. TILEZERO sets start_row to 0. A page that ring 0 could write while CR0.WP was clear it
//! cannot write any more once WP is set. A return to ring 3 leaves no data segment there that is ring 0's: FS and GS are among
//! them. A shift of 32 bits by 0 clears the upper half, too. BT, TEST and CMP only read. CMPXCHG16B wants 16 bytes aligned to 16.
//! ENTER is #PF when nothing could be written where it would leave RSP (SDM vol. 2, these instructions' operation sections;
//! vol. 3 ch. 5, "Access Rights").
//!
//! Known bugs that fail it: an emulator that has each rule for 64 bits or for one register only.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "corner",
    rule: "What an instruction does at the end of its range, it does by its rule.",
    spec: "SDM vol. 2 IDIV, BT, CMOVcc, OUTS, ENTER, IRET; vol. 3 ch. 5",
    cases: [
        idiv::CASE, bits::CASE, rotates::CASE, cmov::CASE, outs::CASE, start_row::CASE, write_protect::CASE, released::CASE,
        shift::CASE, xlat::CASE, reads::CASE, cmpxchg16b::CASE, enter::CASE,
    ],
}

mod idiv {
    use super::*;
    act! {
        name: "corner.idiv", set: ["mov ecx, 1"], armed: ["mov eax, 0x7FFFFFFF", "mov edx, 0xFFFFFFFF"], act: ["idiv ecx"],
    }
    pub(super) const CASE: Case = Case {
        name: "idiv",
        rule: "IDIV of 32 bits with a quotient one below the least number: #DE.",
        prepare: || route(0, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 0,
            ss: ss_slot(HARDWARE_EXCEPTION, 0),
            general: &[(General::Rax, 0x7FFF_FFFF), (General::Rdx, 0xFFFF_FFFF)],
            ..Event::NEW
        }],
        ..Case::NEW
    };
}

/// A case that raises nothing, and leaves these registers; its flags end as they began.
macro_rules! leaves {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, prepare: $prepare:expr,
        set: [$($set:literal),*], act: [$($line:literal),*], general: [$($general:expr),*], [$($check:expr),*]
    ) => {
        mod $module {
            use super::*;
            act! { name: $act, set: [$($set),*], armed: [], act: [$($line,)* "push 2", "popfq"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::CONFORMANCE,
                prepare: $prepare,
                act: ACT,
                left: &Left { general: &[$($general),*], ..Left::NEW },
                results: &[$($check),*],
                ..Case::NEW
            };
        }
    };
}

leaves! {
    bits, "bits", "corner.bits",
    "BTS of 16, 32 and 64 bits in memory with a register of -1: the highest bit of what lies below the operand.",
    needs: Needs::empty(),
    prepare: || [0x200, 0x208, 0x210].into_iter().for_each(|offset| paging::set_window(offset, 0)),
    set: ["movabs rdi, 0x8000004200", "mov rcx, -1"],
    act: ["bts word ptr [rdi + 4], cx", "bts dword ptr [rdi + 0x10], ecx", "bts qword ptr [rdi + 0x18], rcx"],
    general: [],
    [
        Check { expected: 0x8000_0000, read: || paging::window(0x200) },
        Check { expected: 0x8000_0000_0000_0000, read: || paging::window(0x208) },
        Check { expected: 0x8000_0000_0000_0000, read: || paging::window(0x210) }
    ]
}
leaves! {
    rotates, "rotates", "corner.rotates",
    "RCL, RCR, ROL and ROR whose results are 0 and odd, with SF, ZF, AF and PF as they were not: those stay.",
    needs: Needs::empty(),
    prepare: || {},
    set: ["mov ecx, 0"],
    // 0x94: SF, AF and PF; then 0x40: ZF.
    act: [
        "push 0x96", "popfq", "rcl ecx, 1", "pushfq", "pop rbx", "rcr ecx, 1", "pushfq", "pop rsi", "mov ecx, 1", "push 0x42",
        "popfq", "rol ecx, 2", "pushfq", "pop rdi", "ror ecx, 2", "pushfq", "pop rcx"
    ],
    general: [(General::Rbx, 0x96), (General::Rsi, 0x96), (General::Rdi, 0x42), (General::Rcx, 0x42)], []
}
leaves! {
    cmov, "cmov", "corner.cmov",
    "CMOVNE of 32 bits that does not move, of 64 bits that does not, and CMOVE of 32 bits: the upper half is clear, kept, clear.",
    needs: Needs::empty(),
    prepare: || {},
    set: ["mov rbx, -1", "mov rsi, -1", "mov rdi, -1", "mov ecx, 5"],
    act: ["cmp ecx, ecx", "cmovne ebx, ecx", "cmovne rsi, rcx", "cmove edi, ecx"],
    general: [(General::Rbx, 0xFFFF_FFFF), (General::Rdi, 5)], []
}
leaves! {
    start_row, "start-row", "corner.start-row",
    "LDTILECFG with a start_row of 1, TILEZERO, STTILECFG: it is 0.",
    needs: Needs::AMX,
    prepare: || {
        enable_components(XCR0_TILES);
        (0x300..0x380).step_by(8).for_each(|offset| paging::set_window(offset, 0));
        paging::set_window(0x300, 0x101);
        paging::set_window(0x310, 64);
        paging::set_window(0x330, 2);
    },
    set: ["movabs rdi, 0x8000004300"],
    act: ["ldtilecfg [rdi]", "tilezero tmm0", "sttilecfg [rdi + 64]", "tilerelease"],
    general: [],
    [Check { expected: 1, read: || paging::window(0x340) }]
}

leaves! {
    shift, "shift", "corner.shift",
    "SHL, SAR and ROL of 32 bits by 0: the upper half is clear, of 64 bits by 0 it is kept.",
    needs: Needs::empty(),
    prepare: || {},
    set: ["mov rbx, -1", "mov rsi, -1", "mov rdi, -1", "mov rbp, -1", "mov ecx, 32"],
    act: ["shl ebx, cl", "sar esi, cl", "rol edi, cl", "mov ecx, 64", "shl rbp, cl"],
    general: [
        (General::Rbx, 0xFFFF_FFFF), (General::Rsi, 0xFFFF_FFFF), (General::Rdi, 0xFFFF_FFFF), (General::Rcx, 64)
    ], []
}
leaves! {
    reads, "reads", "corner.reads",
    "BT, TEST, CMP, IMUL and PUSH of an operand in a page that is not writable: nothing faults.",
    needs: Needs::empty(),
    prepare: || paging::set_window(0x200, 3),
    set: ["movabs rdi, 0x8000002200", "mov ecx, 1"],
    act: [
        "bt dword ptr [rdi], ecx", "setc bl", "bt dword ptr [rdi], 1", "test [rdi], ecx", "cmp [rdi], ecx", "imul ecx, [rdi]",
        "push [rdi]", "pop rsi", "movzx ebx, bl"
    ],
    general: [(General::Rbx, 1), (General::Rcx, 3), (General::Rsi, 3)], []
}

mod outs {
    use super::*;
    act! { name: "corner.outs", set: ["mov esi, 0x58"], armed: ["mov edx, 0x6D78"], act: [".byte 0x64, 0x6E"], }
    const ADDRESS: u64 = RESTING.fs_base + 0x58;
    pub(super) const CASE: Case = Case {
        name: "outs",
        rule: "OUTSB with a prefix for FS, at whose base nothing is mapped: #PF of that base plus RSI.",
        act: ACT,
        events: &[Event { event_data: ADDRESS, general: &[(General::Rdx, 0x6D78)], ..PF }],
        registers: Registers { cr2: ADDRESS, ..RESTING },
        ..Case::NEW
    };
}

mod xlat {
    use super::*;
    act! { name: "corner.xlat", set: ["mov ebx, 0x50"], armed: ["mov eax, 0x108"], act: [".byte 0x64, 0xD7"], }
    const ADDRESS: u64 = RESTING.fs_base + 0x58;
    pub(super) const CASE: Case = Case {
        name: "xlat",
        rule: "XLATB with a prefix for FS, at whose base nothing is mapped: #PF of that base plus RBX and AL.",
        act: ACT,
        events: &[Event { event_data: ADDRESS, general: &[(General::Rax, 0x108)], ..PF }],
        registers: Registers { cr2: ADDRESS, ..RESTING },
        ..Case::NEW
    };
}

mod write_protect {
    use super::*;
    act! {
        name: "corner.write-protect",
        set: ["movabs rdi, 0x8000002A58"],
        armed: ["mov [rdi], rbx", "mov rcx, cr0", "bts rcx, 16", "mov cr0, rcx", "mov ecx, 0"],
        act: ["mov [rdi], rbx"],
    }
    const ADDRESS: u64 = 0x0000_0080_0000_2A58;
    pub(super) const CASE: Case = Case {
        name: "write-protect",
        rule: "Ring 0 writes to a read-only page while CR0.WP is clear, sets WP and writes again: #PF, P and W.",
        prepare: || set_control(|cr0| cr0 & !WP, 0),
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_WRITE,
            event_data: ADDRESS,
            general: &[(General::Rcx, 0)],
            ..PF
        }],
        registers: Registers { cr2: ADDRESS, ..RESTING },
        ..Case::NEW
    };
}

mod released {
    use super::*;
    act_ring3! {
        name: "corner.released",
        set: ["mov ecx, 0x10", "mov ds, ecx", "mov es, ecx", "mov fs, ecx", "mov gs, ecx"],
        act: ["mov ebx, ds", "mov ecx, es", "mov esi, fs", "mov edi, gs", "ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "released",
        rule: "IRETQ to ring 3 with data segments of ring 0 in DS, ES, FS and GS: all four selectors are null there.",
        needs: Needs::USER.union(Needs::IDT),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::Plus(8),
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            general: &[(General::Rbx, 0), (General::Rcx, 0), (General::Rsi, 0), (General::Rdi, 0)],
            ..UD
        }],
        registers: Registers { fs_base: 0, gs_base: 0, ..RESTING },
        ..Case::NEW
    };
}

mod cmpxchg16b {
    use super::*;
    act! { name: "corner.cmpxchg16b", set: ["movabs rdi, 0x8000004208"], armed: [], act: ["cmpxchg16b [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "cmpxchg16b",
        rule: "CMPXCHG16B 8 bytes above a multiple of 16: #GP(0).",
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[GP],
        ..Case::NEW
    };
}

mod enter {
    use super::*;
    act! {
        name: "corner.enter",
        set: [],
        armed: ["movabs rsp, 0x8000003040"],
        // PUSH RBP fits, and what the frame would take reaches below the page.
        act: ["enter 0x100, 0"],
    }
    const ADDRESS: u64 = 0x0000_0080_0000_2F38;
    pub(super) const CASE: Case = Case {
        name: "enter",
        rule: "ENTER whose final RSP lies in a page that is not writable: #PF of that place, RSP and RBP as they were.",
        act: ACT,
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_WRITE,
            rsp: Stack::At(0x0000_0080_0000_3040),
            event_data: ADDRESS,
            ..PF
        }],
        registers: Registers { cr2: ADDRESS, ..RESTING },
        ..Case::NEW
    };
}
