//! Accesses that end with the last byte of a page, before one that is not mapped, and transfers to the last bytes of a
//! segment.
//!
//! Rule: an instruction reads and writes as many bytes as its operation names: ERETS and IRETQ five quadwords from RIP to
//! SS, a far RET two, SGDT and LGDT ten bytes, FXSAVE 512. Nothing after them is touched, and nothing there faults. A
//! target at the limit of a code segment lies in it (SDM vol. 2, "ERETS", "IRET", "RET", "LGDT", "FXSAVE", "JMP",
//! operation).
//!
//! Known bugs that fail it: an emulator that reads an operand with another size than the instruction's; a #PF of a page that
//! the instruction does not touch.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "edge",
    rule: "What ends with a page or a segment is accessed, and the byte after it is not.",
    spec: "SDM vol. 2 ERETS, IRET, RET, LGDT, FXSAVE, JMP",
    cases: [
        operands::CASE, extended::CASE, fetched::CASE, erets::CASE, iretq::CASE, retf::CASE, limit::CASE, last::CASE, beyond::CASE,
    ],
}

mod operands {
    use super::*;
    act! {
        name: "edge.operands",
        set: ["movabs rdi, 0x8000005000"],
        armed: [],
        act: [
            "fxsave64 [rdi - 512]", "fxrstor64 [rdi - 512]", "sgdt [rdi - 10]", "lgdt [rdi - 10]", "sidt [rdi - 10]",
            "lidt [rdi - 10]", "movups [rdi - 16], xmm2", "movups xmm2, [rdi - 16]",
            "mov [rdi - 8], rdi", "movsx rbx, word ptr [rdi - 2]", "movzx ecx, byte ptr [rdi - 7]", "xchg esi, [rdi - 4]",
            "bts word ptr [rdi - 2], 15", "push qword ptr [rdi - 8]", "pop qword ptr [rdi - 8]", "push 2", "popfq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "operands",
        rule: "Operands of 1 to 512 bytes at the end of a page: nothing faults.",
        flags: CaseFlags::CONFORMANCE,
        act: ACT,
        left: &Left {
            general: &[(General::Rbx, 0), (General::Rcx, 0x50), (General::Rsi, 0x80)],
            ..Left::NEW
        },
        // What XCHG has stored of RSI, and bit 15 of its upper word.
        results: &[Check { expected: 0x5000, read: || paging::window(0xFF8) & 0xFFFF_FFFF }],
        ..Case::NEW
    };
}

/// A case that raises nothing, with RDI just past the page.
macro_rules! nothing {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $needs:expr, $prepare:expr, [$($line:literal),*], [$($general:expr),*]) => {
        mod $module {
            use super::*;
            act! {
                name: $act, set: ["movabs rdi, 0x8000005000"], armed: ["mov eax, 3", "mov edx, 0"], act: [$($line),*],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::CONFORMANCE,
                prepare: $prepare,
                act: ACT,
                left: &Left { general: &[(General::Rax, 3), (General::Rdx, 0), $($general),*], ..Left::NEW },
                ..Case::NEW
            };
        }
    };
}
nothing! {
    extended, "extended", "edge.extended",
    "XSAVE and XRSTOR of x87 and SSE, STTILECFG and LDTILECFG at the end of a page: nothing faults.",
    Needs::AMX,
    || {
        (0xDC0..0x1000).step_by(8).for_each(|offset| paging::set_window(offset, 0));
        enable_components(XCR0_TILES);
    },
    ["xsave64 [rdi - 576]", "xrstor64 [rdi - 576]", "sttilecfg [rdi - 64]", "ldtilecfg [rdi - 64]", "tilerelease"], []
}
nothing! {
    fetched, "fetched", "edge.fetched",
    "CALL of the last byte of a page, which is a RET: it is executed, and nothing is fetched after it.",
    Needs::empty(),
    || paging::set_window(0xFF8, 0xC3 << 56),
    ["dec rdi", "call rdi", "push 2", "popfq"], [(General::Rdi, 0x80_0000_4FFF)]
}

/// A frame for ERETS or IRETQ with that RIP whose SS is the last quadword of the page; RSP is what `set` puts there.
fn frame(rip: u64) {
    for (offset, value) in [(0xFD0, 0x5A5A), (0xFD8, rip), (0xFE0, 8), (0xFE8, 2), (0xFF8, 0x10)] {
        paging::set_window(offset, value);
    }
    route(6, 1, IST_FRAME);
}

/// A return to the act, whose UD2 shows RSP.
macro_rules! returns {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, rsp: $rsp:literal, $return:literal
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rcx, 0x8000004FF0", "mov [rcx], rsp", concat!("movabs rsp, ", $rsp)],
                armed: [$return],
                act: ["ud2"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                flags: CaseFlags::TOUCHES_GDT,
                prepare: || frame(ACT.act.value()),
                act: ACT,
                events: &[UD],
                // The return comes after `Armed`.
                cancel: Cancel::No,
                ..Case::NEW
            };
        }
    };
}

returns! {
    erets, "erets", "edge.erets", "ERETS of a frame that ends with the page: its event data is not read.",
    needs: Needs::FRED, rsp: "0x8000004FD0", ".byte 0xF2, 0x0F, 0x01, 0xCA"
}
returns! {
    iretq, "iretq", "edge.iretq", "IRETQ of a frame that ends with the page.",
    needs: Needs::empty(), rsp: "0x8000004FD8", "iretq"
}

mod retf {
    use super::*;
    act! {
        name: "edge.retf",
        set: ["mov rbx, rsp", "movabs rsp, 0x8000004FF0"],
        armed: [],
        act: [".byte 0x48, 0xCB"],
        then: ["mov rcx, rsp", "mov rsp, rbx", "mov ebx, 0"],
    }
    pub(super) const CASE: Case = Case {
        name: "retf",
        rule: "A far RET that pops the last two quadwords of a page: RSP is the next page's first byte.",
        flags: CaseFlags::CONFORMANCE.union(CaseFlags::TOUCHES_GDT),
        prepare: || {
            paging::set_window(0xFF0, ACT.after.value());
            paging::set_window(0xFF8, 8);
        },
        act: ACT,
        left: &Left { general: &[(General::Rbx, 0), (General::Rcx, 0x80_0000_5000)], ..Left::NEW },
        ..Case::NEW
    };
}

/// 32-bit code of ring 3 at 0x48 whose byte 0x100 is the UD2 after the transfer.
fn code(ud2: u64, limit: u64) {
    let base = ud2 - 0x100;
    set_descriptor(0x48, (base & 0xFF_FFFF) << 16 | (base >> 24) << 56 | 0x0040_FA00_0000_0000 | limit);
    route(6, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
}

/// A far JMP in ring 3 to offset 0x100 of that code, through a far pointer that the act puts below its stack.
macro_rules! jumps {
    ($module:ident, $name:literal, $act:literal, $rule:literal, limit: $limit:literal, $event:expr) => {
        mod $module {
            use super::*;
            // 5, 4 and 2 bytes.
            act_ring3! {
                name: $act,
                set: ["movabs rcx, 0x4B00000100"],
                act: ["mov [rsp - 8], rcx", "jmp fword ptr [rsp - 8]", "ud2"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER,
                flags: CaseFlags::USER,
                prepare: || code(ACT.act.value() + 9, $limit),
                act: ACT,
                events: &[Event { rsp: Stack::User, csl: 0, entry: 0, ..$event }],
                ..Case::NEW
            };
        }
    };
}

jumps! {
    limit, "limit-ring3", "edge.limit-ring3",
    "A far JMP to the last byte but one of a segment, where a UD2 lies: the jump is done, and the UD2 executed.",
    limit: 0x101,
    Event { rip: Rip::At(0x100), cs: 0x4B, ss: 0x0003_0006_0000_0023, ..UD }
}
jumps! {
    last, "last-ring3", "edge.last-ring3",
    "A far JMP to the last byte of a segment is done: #GP(0) for the UD2 there, of which the second byte is beyond.",
    limit: 0x100,
    Event { rip: Rip::At(0x100), cs: 0x4B, ss: 0x0003_000D_0000_0023, idt_frame_bytes: 48, ..GP }
}
jumps! {
    beyond, "beyond-ring3", "edge.beyond-ring3",
    "A far JMP to the byte after the limit: #GP(0) at the jump.",
    limit: 0xFF,
    Event { rip: Rip::Plus(5), cs: USER_CS, ss: user_ss_slot(HARDWARE_EXCEPTION, 13), idt_frame_bytes: 48, ..GP }
}
