//! Compatibility mode in ring 3: limits, types and bases of segments, addresses of 16 bits.
//!
//! Rule: an access beyond a segment's limit, through a null selector, or against the segment's type is #SS(0) for SS and
//! #GP(0) for any other; data that expands down is valid above its limit. An instruction must end inside the limit of
//! its code segment. Addresses and counts have the address size, and the rest of the register stays. INTO is a trap of
//! type 6 if OF is set. SYSCALL is #UD, and so are AMX instructions (SDM vol. 3 ch. 6, "Limit Checking", "Type Checking";
//! vol. 2, "INTO", "SYSCALL"). Bit 57 of FRED's SS slot is 0.
//!
//! Known bugs that fail it: bases and limits taken for flat by an emulator or by KVM_SET_SREGS; an instruction pointer that is
//! not cut to 32 bits; limits that QEMU's TCG does not check.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;

guest::image! {
    name: "compat",
    rule: "In compatibility mode base, limit and type of every segment count, and addresses have 16 or 32 bits.",
    spec: "SDM vol. 3 ch. 6 limit and type checking; vol. 1 ch. 3",
    cases: [
        data::CASE, code::CASE, execute_only::CASE, expand_down::CASE, fetch::CASE, far::CASE, strings::CASE,
        counts::CASE, stack::CASE,
    ],
}

/// #UD after the act.
const UD_COMPAT: Event =
    Event { rip: Rip::After, cs: 0x5B, rsp: Stack::User, ss: 0x0003_0006_0000_0023, csl: 0, entry: 0, ..UD };
/// #GP(0) so many bytes after the act's first instruction, whose handler goes on after the `LENGTH` bytes of it.
const fn refused<const LENGTH: u64>(bytes: u64) -> Event {
    Event {
        vector: 13,
        rip: Rip::Plus(bytes),
        ss: 0x0003_000D_0000_0023,
        idt_frame_bytes: 48,
        handler: Some(skip::<LENGTH>),
        returns: Return::Frame,
        ..UD_COMPAT
    }
}

/// A segment of ring 3 that begins at the ring-3 stack's page, with the type, the D/B bit and a limit of bytes, or of
/// pages.
fn segment(selector: u16, attributes: u64, limit: u64) {
    segment_at(USER_STACK.start().value(), selector, attributes, limit);
}
/// The same at another base.
fn segment_at(base: u64, selector: u16, attributes: u64, limit: u64) {
    let descriptor = (base & 0xFF_FFFF) << 16 | (base >> 24) << 56;
    set_descriptor(selector, descriptor | attributes << 40 | limit & 0xFFFF | (limit >> 16) << 48);
}
/// Data that can be written: S, DPL 3, P; 32 bits.
const DATA: u64 = 0x40F2;
/// Data that cannot be written.
const READ_ONLY: u64 = 0x40F0;
/// Data that expands down.
const DOWN: u64 = 0x40F6;

/// A word that the acts read, a segment at 0x48, and the code of most: that of IA32_STAR by another selector, whose
/// descriptor a return to it reads.
fn prepare(attributes: u64, limit: u64) {
    set_descriptor(0x58, 0x00CF_FB00_0000_FFFF);
    write(0x100, 0x8877_6655_4433_2211);
    segment(0x48, attributes, limit);
    route(6, 1, IST_FRAME);
    route(13, 1, IST_FRAME);
    route(12, 1, IST_FRAME);
}

/// Code of 32 bits at 0x48 that begins there, with a limit in bytes.
fn code(base: u64, limit: u64) {
    set_descriptor(0x48, (base & 0xFF_FFFF) << 16 | (base >> 24) << 56 | 0x40FA << 40 | limit);
}

/// Writes a quadword of the ring-3 stack's page.
fn write(offset: usize, value: u64) {
    // SAFETY: acts begin far above, and nothing else refers to the page.
    unsafe { (USER_STACK.start().plus(offset).value() as *mut u64).write_volatile(value) }
}
/// Reads one.
fn read(offset: usize) -> u64 {
    // SAFETY: as for writing.
    unsafe { (USER_STACK.start().plus(offset).value() as *const u64).read_volatile() }
}

/// A case in compatibility mode.
macro_rules! compat {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, cs: $cs:literal, set: [$($set:literal),*],
        act: [$($line:literal),*], prepare: $prepare:expr, events: $events:expr, results: $results:expr, $($operands:tt)*
    ) => {
        mod $module {
            use super::*;
            act_ring3! {
                name: $act, cs: $cs, ss: "0x23", rflags: "2", set: [$($set),*], act: [".code32", $($line),*],
                $($operands)*
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: Needs::USER.union($needs),
                flags: CaseFlags::USER,
                prepare: $prepare,
                act: ACT,
                events: $events,
                results: $results,
                ..Case::NEW
            };
        }
    };
}

compat! {
    data, "data", "compat.data",
    "A null DS; a limit of 0x101: the last byte, a word there, the byte after it; a write to read-only data; SS beyond it.",
    needs: Needs::empty(), cs: "0x5B",
    set: ["mov ebx, 0", "mov edi, 0x4B", "mov esi, 0x53", "mov es, edi", "mov ecx, 0", "mov ds, ecx"],
    // 5, 7, 8, 7, 2, 6, 2, 2 and 6 bytes.
    act: [
        "mov al, [0]", "mov cl, es:[0x101]", "mov cx, es:[0x101]", "mov cl, es:[0x102]", "mov ds, esi",
        "mov [0x100], cl", "mov ss, edi", "mov ebp, ebx", "mov cl, ss:[ebp + 0x102]"
    ],
    prepare: || {
        prepare(DATA, 0x101);
        segment(0x50, READ_ONLY, 0xFFF);
    },
    events: &[
        refused::<5>(0),
        Event { general: &[(General::Rcx, 0x22)], ..refused::<8>(12) },
        refused::<7>(20),
        refused::<6>(29),
        Event {
            vector: 12,
            ss: 0x0003_000C_0000_004B,
            general: &[(General::Rbp, 0)],
            returns: Return::Next,
            ..refused::<0>(39)
        },
    ],
    results: &[Check { expected: 0x8877_6655_4433_2211, read: || read(0x100) }],
}
compat! {
    code, "code", "compat.code",
    "CS, whose code can be read: a read of the instruction itself; a write by it is #GP(0).",
    needs: Needs::empty(), cs: "0x1B", set: ["lea edi, [rip + \"compat.code.act\"]", "lea esi, [rip + {user_stack}]", "mov ebx, 0"],
    // 3 bytes each: 2E 8B 1F, 2E 89 1E.
    act: ["mov ebx, cs:[edi]", "mov cs:[esi], ebx"],
    prepare: || prepare(0, 0),
    events: &[Event { general: &[(General::Rbx, 0x2E1F_8B2E)], cs: 0x1B, ..refused::<3>(3) }, Event { cs: 0x1B, ..UD_COMPAT }],
    results: &[],
    user_stack = sym USER_STACK,
}
compat! {
    execute_only, "execute-only", "compat.execute-only",
    "CS, whose code cannot be read: a read of the instruction itself is #GP(0).",
    needs: Needs::empty(), cs: "0x4B", set: ["lea edi, [rip + \"compat.execute-only.act\"]"],
    act: ["mov ebx, cs:[edi]"],
    prepare: || {
        prepare(0, 0);
        // Flat.
        set_descriptor(0x48, 0x00CF_F800_0000_FFFF);
    },
    events: &[Event { cs: 0x4B, ..refused::<3>(0) }, Event { cs: 0x4B, ..UD_COMPAT }],
    results: &[],
}
compat! {
    expand_down, "expand-down", "compat.expand-down",
    "DS that expands down to 0x100: valid there, #GP(0) below; ES as well, of 16 bits: #GP(0) above 0xFFFF.",
    needs: Needs::empty(), cs: "0x5B",
    set: ["mov ecx, 0x4B", "mov ds, ecx", "mov ecx, 0x53", "mov es, ecx", "mov ebx, 0", "mov ecx, 0"],
    // 6, 6, 7 and 7 bytes.
    act: ["mov ecx, [0x100]", "mov ecx, [0xFF]", "mov ebx, es:[0xF900]", "mov ebx, es:[0xFFFD]"],
    prepare: || {
        prepare(DOWN, 0xFF);
        // The end of its 64 KiB lies in the middle of the page.
        segment_at(USER_STACK.start().value() - 0xF800, 0x50, DOWN & 0xFF, 0xFF);
    },
    events: &[
        Event { general: &[(General::Rcx, 0x4433_2211)], ..refused::<6>(6) },
        Event { general: &[(General::Rbx, 0x4433_2211)], ..refused::<7>(19) },
        UD_COMPAT,
    ],
    results: &[],
}
compat! {
    fetch, "fetch", "compat.fetch",
    "A far JMP into code with a base: at its limit the instruction runs, one across it or beyond it is #GP(0).",
    // 7 bytes; from there on 1, 1, 5 and 2.
    needs: Needs::empty(), cs: "0x5B", set: ["mov ebx, 0"],
    act: [".byte 0xEA, 0, 0, 0, 0, 0x4B, 0", "nop", "nop", "mov ebx, 0x12345678", "ud2"],
    prepare: || {
        prepare(0, 0);
        code(ACT.act.value() + 7, 1);
    },
    events: &[
        Event { handler: Some(|_| code(ACT.act.value() + 7, 5)), ..BEYOND },
        Event { handler: Some(|_| code(ACT.act.value() + 7, 6)), ..BEYOND },
        Event { rip: Rip::At(7), general: &[(General::Rbx, 0x1234_5678)], returns: Return::Next, ..BEYOND },
    ],
    results: &[],
}
/// #GP(0) beyond the limit of a code segment with a base, which its return loads again.
const BEYOND: Event = Event { rip: Rip::At(2), cs: 0x4B, handler: None, ..refused::<0>(0) };
compat! {
    far, "far", "compat.far",
    "A far CALL into code with a base, and a far RET of 32 bits: CS and RIP are the other segment's, and back.",
    // 7, 2, 2 and 1 bytes.
    needs: Needs::empty(), cs: "0x5B", set: ["mov ebx, 0"],
    act: [".byte 0x9A, 0, 0, 0, 0, 0x4B, 0", "jmp 2f", "mov ebx, cs", ".byte 0xCB", "2:"],
    prepare: || {
        prepare(0, 0);
        code(ACT.act.value() + 9, 2);
    },
    events: &[Event { general: &[(General::Rbx, 0x4B)], ..UD_COMPAT }],
    results: &[],
}
compat! {
    strings, "strings", "compat.strings",
    "REP MOVSD and MOVSB with addresses of 16 bits: SI, DI and CX count, the upper halves stay.",
    needs: Needs::empty(), cs: "0x5B",
    set: [
        "mov edi, 0x4B", "mov ds, edi", "mov es, edi", "mov esi, 0x12340100", "mov edi, 0x56780200", "mov ecx, 0x10002"
    ],
    act: [".byte 0x67, 0xF3, 0xA5", ".byte 0x67, 0xA4"],
    prepare: || {
        prepare(DATA, 0xFFF);
        write(0x108, 0x99);
        write(0x208, 0);
    },
    events: &[Event {
        general: &[(General::Rcx, 0x1_0000), (General::Rsi, 0x1234_0109), (General::Rdi, 0x5678_0209)],
        ..UD_COMPAT
    }],
    results: &[
        Check { expected: 0x8877_6655_4433_2211, read: || read(0x200) },
        Check { expected: 0x99, read: || read(0x208) },
    ],
}
compat! {
    counts, "counts", "compat.counts",
    "JCXZ, JECXZ and LOOP with addresses of 16 bits; INTO without OF; CALL, RET with an immediate: EBX counts.",
    needs: Needs::empty(), cs: "0x5B", set: ["mov ecx, 0x10000", "mov ebx, 0"],
    act: [
        ".byte 0x67, 0xE3, 3", "lea ebx, [ebx + 1]", "jecxz 2f", "lea ebx, [ebx + 2]", "2:", "mov ecx, 0x10003",
        "lea ebx, [ebx + 0x10]", ".byte 0x67, 0xE2, 0xFA", ".byte 0xCE", "push 5", "call 3f", "jmp 4f", "3:",
        "lea ebx, [ebx + 0x100]", "ret 4", "4:"
    ],
    prepare: || prepare(0, 0),
    events: &[Event { general: &[(General::Rbx, 0x132), (General::Rcx, 0x1_0000)], ..UD_COMPAT }],
    results: &[],
}
compat! {
    stack, "stack", "compat.stack",
    "PUSH ES and POP DS of 4 bytes, and IRETD within ring 3, which pops neither ESP nor SS.",
    needs: Needs::empty(), cs: "0x5B", set: [
        "mov ecx, 0x4B", "mov es, ecx", "mov ebx, -1", "mov ecx, 0", "lea edi, [rip + \"compat.stack.after\"]"
    ],
    act: [
        ".byte 0x06", ".byte 0x1F", "mov ebx, ds", "mov cl, [0x102]", "pushfd", ".byte 0x0E", "push edi",
        "iretd", "ud2"
    ],
    prepare: || prepare(DATA, 0x102),
    events: &[Event { general: &[(General::Rbx, 0x4B), (General::Rcx, 0x33)], ..UD_COMPAT }],
    results: &[],
}
