//! Results and flags of integer instructions, against the processor this test runs on.
//!
//! Flags that the manual leaves undefined are not compared.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, Guest};
use proptest::prelude::*;

const ALL: u64 = 0x8D5;
const CF: u64 = 1;
const AF: u64 = 0x10;
const ZF: u64 = 0x40;
const OF: u64 = 0x800;
const PF: u64 = 4;
const SF: u64 = 0x80;

/// Flags and the registers after.
type Outcome = (u64, [u64; 4]);

macro_rules! native {
    ($name:ident, $text:literal) => {
        #[inline(never)]
        fn $name(flags: u64, r: [u64; 4]) -> Outcome {
            let [mut a, mut b, mut c, mut d] = r;
            let mut f = flags;
            // SAFETY: the instruction works on the registers named here and on the flags, which are
            // saved and restored around it; the stack is used as push and pop do.
            unsafe {
                std::arch::asm!(
                    "mov r8, rbx",
                    "mov rbx, r9",
                    "pushfq",
                    "push r10",
                    "popfq",
                    $text,
                    "pushfq",
                    "pop r10",
                    "popfq",
                    "mov r9, rbx",
                    "mov rbx, r8",
                    out("r8") _,
                    inout("r9") b,
                    inout("r10") f,
                    inout("rax") a,
                    inout("rcx") c,
                    inout("rdx") d,
                );
            }
            (f, [a, c, d, b])
        }
    };
}

macro_rules! instructions {
    ($($name:ident: $text:literal, $defined:expr, [$($byte:literal),+];)+) => {
        $(native!($name, $text);)+
        const INSTRUCTIONS: &[(&str, fn(u64, [u64; 4]) -> Outcome, Defined, &[u8])] =
            &[$(($text, $name, $defined, &[$($byte),+]),)+];
    };
}

/// The flags that are defined for RCX's count (a shift's or rotate's), given its width in bits.
type Defined = fn(u64, [u64; 4]) -> u64;

const fn all(_: u64, _: [u64; 4]) -> u64 {
    ALL
}
const fn logic(_: u64, _: [u64; 4]) -> u64 {
    ALL & !AF
}
const fn product(_: u64, _: [u64; 4]) -> u64 {
    CF | OF
}
const fn scan(_: u64, _: [u64; 4]) -> u64 {
    ZF
}
const fn carry(_: u64, _: [u64; 4]) -> u64 {
    CF | ZF
}
fn shifted(width: u64, r: [u64; 4]) -> u64 {
    let count = r[2] & if width == 64 { 63 } else { 31 };
    match count {
        0 => ALL,
        1 => ALL & !AF,
        n if n > width => ZF | SF | PF,
        _ => ALL & !(AF | OF),
    }
}
fn shift8(_: u64, r: [u64; 4]) -> u64 {
    shifted(8, r)
}
fn shift16(_: u64, r: [u64; 4]) -> u64 {
    shifted(16, r)
}
fn shift32(_: u64, r: [u64; 4]) -> u64 {
    shifted(32, r)
}
fn shift64(_: u64, r: [u64; 4]) -> u64 {
    shifted(64, r)
}
fn rotate32(_: u64, r: [u64; 4]) -> u64 {
    if r[2] & 31 > 1 { ALL & !OF } else { ALL }
}
fn rotate64(_: u64, r: [u64; 4]) -> u64 {
    if r[2] & 63 > 1 { ALL & !OF } else { ALL }
}

instructions! {
    add8: "add al, bl", all, [0x00, 0xD8];
    add16: "add ax, bx", all, [0x66, 0x01, 0xD8];
    add32: "add eax, ebx", all, [0x01, 0xD8];
    add64: "add rax, rbx", all, [0x48, 0x01, 0xD8];
    adc8: "adc al, bl", all, [0x10, 0xD8];
    adc32: "adc eax, ebx", all, [0x11, 0xD8];
    adc64: "adc rax, rbx", all, [0x48, 0x11, 0xD8];
    sub8: "sub ah, bl", all, [0x28, 0xDC];
    sub64: "sub rax, rbx", all, [0x48, 0x29, 0xD8];
    sbb16: "sbb ax, bx", all, [0x66, 0x19, 0xD8];
    sbb64: "sbb rax, rbx", all, [0x48, 0x19, 0xD8];
    cmp32: "cmp eax, ebx", all, [0x39, 0xD8];
    and32: "and eax, ebx", logic, [0x21, 0xD8];
    or64: "or rax, rbx", logic, [0x48, 0x09, 0xD8];
    xor16: "xor ax, bx", logic, [0x66, 0x31, 0xD8];
    test8: "test al, bh", logic, [0x84, 0xF8];
    inc32: "inc eax", all, [0xFF, 0xC0];
    dec8: "dec al", all, [0xFE, 0xC8];
    neg64: "neg rax", all, [0x48, 0xF7, 0xD8];
    not32: "not eax", all, [0xF7, 0xD0];
    mul8: "mul bl", product, [0xF6, 0xE3];
    mul32: "mul ebx", product, [0xF7, 0xE3];
    mul64: "mul rbx", product, [0x48, 0xF7, 0xE3];
    imul8: "imul bl", product, [0xF6, 0xEB];
    imul64: "imul rbx", product, [0x48, 0xF7, 0xEB];
    imul32: "imul eax, ebx", product, [0x0F, 0xAF, 0xC3];
    imul_immediate: "imul rax, rbx, -77", product, [0x48, 0x6B, 0xC3, 0xB3];
    shl8: "shl al, cl", shift8, [0xD2, 0xE0];
    shl32: "shl eax, cl", shift32, [0xD3, 0xE0];
    shr16: "shr ax, cl", shift16, [0x66, 0xD3, 0xE8];
    shr64: "shr rax, cl", shift64, [0x48, 0xD3, 0xE8];
    sar8: "sar al, cl", shift8, [0xD2, 0xF8];
    sar32: "sar eax, cl", shift32, [0xD3, 0xF8];
    sar64: "sar rax, cl", shift64, [0x48, 0xD3, 0xF8];
    rol8: "rol al, cl", rotate32, [0xD2, 0xC0];
    rol32: "rol eax, cl", rotate32, [0xD3, 0xC0];
    ror16: "ror ax, cl", rotate32, [0x66, 0xD3, 0xC8];
    ror64: "ror rax, cl", rotate64, [0x48, 0xD3, 0xC8];
    rcl8: "rcl al, cl", rotate32, [0xD2, 0xD0];
    rcl64: "rcl rax, cl", rotate64, [0x48, 0xD3, 0xD0];
    rcr16: "rcr ax, cl", rotate32, [0x66, 0xD3, 0xD8];
    rcr32: "rcr eax, cl", rotate32, [0xD3, 0xD8];
    shld32: "shld eax, ebx, cl", shift32, [0x0F, 0xA5, 0xD8];
    shrd64: "shrd rax, rbx, cl", shift64, [0x48, 0x0F, 0xAD, 0xD8];
    bt32: "bt eax, ebx", carry, [0x0F, 0xA3, 0xD8];
    bts64: "bts rax, rbx", carry, [0x48, 0x0F, 0xAB, 0xD8];
    btr16: "btr ax, bx", carry, [0x66, 0x0F, 0xB3, 0xD8];
    btc32: "btc eax, ebx", carry, [0x0F, 0xBB, 0xD8];
    bsf64: "bsf rax, rbx", scan, [0x48, 0x0F, 0xBC, 0xC3];
    bsr32: "bsr eax, ebx", scan, [0x0F, 0xBD, 0xC3];
    popcnt: "popcnt rax, rbx", all, [0xF3, 0x48, 0x0F, 0xB8, 0xC3];
    lzcnt: "lzcnt eax, ebx", carry, [0xF3, 0x0F, 0xBD, 0xC3];
    xadd32: "xadd eax, ebx", all, [0x0F, 0xC1, 0xD8];
    cmpxchg64: "cmpxchg rbx, rdx", all, [0x48, 0x0F, 0xB1, 0xD3];
    cmpxchg32: "cmpxchg ebx, edx", all, [0x0F, 0xB1, 0xD3];
    xchg8: "xchg al, bh", all, [0x86, 0xF8];
    bswap32: "bswap eax", all, [0x0F, 0xC8];
    movzx: "movzx eax, bh", all, [0x0F, 0xB6, 0xC7];
    movsx: "movsx rax, bl", all, [0x48, 0x0F, 0xBE, 0xC3];
    movsxd: "movsxd rax, ebx", all, [0x48, 0x63, 0xC3];
    cmov: "cmovle eax, ebx", all, [0x0F, 0x4E, 0xC3];
    cmov16: "cmovp ax, bx", all, [0x66, 0x0F, 0x4A, 0xC3];
    setg: "setg al", all, [0x0F, 0x9F, 0xC0];
    seta: "seta bh", all, [0x0F, 0x97, 0xC7];
    cdq: "cdq", all, [0x99];
    cqo: "cqo", all, [0x48, 0x99];
    cbw: "cbw", all, [0x66, 0x98];
    cdqe: "cdqe", all, [0x48, 0x98];
    lahf: "lahf", all, [0x9F];
    sahf: "sahf", all, [0x9E];
    lea: "lea eax, [rbx + 4 * rcx - 5]", all, [0x8D, 0x44, 0x8B, 0xFB];
}

fn in_the_model(flags: u64, [a, b, c, d]: [u64; 4], bytes: &[u8]) -> Outcome {
    let mut g = Guest::idt().with_bytes(bytes);
    (g.cpu.gpr[0], g.cpu.gpr[1], g.cpu.gpr[2], g.cpu.gpr[3]) = (a, c, d, b);
    g.cpu.rflags = flags | 2;
    let exit = g.run();
    assert_eq!(g.cpu.rip, CODE + bytes.len() as u64 + 1, "{exit:x?}");
    (g.cpu.rflags, [g.cpu.gpr[0], g.cpu.gpr[1], g.cpu.gpr[2], g.cpu.gpr[3]])
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..70u64,
        prop::sample::select(
            &[0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF_FFFF, 0x8000_0000, 1 << 63, u64::MAX, 1 << 31][..]
        )
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_agrees(a in number(), b in number(), c in number(), d in number(), f in any::<u64>(), same in any::<bool>()) {
        let flags = f & ALL;
        let registers = [a, if same { a } else { b }, c, d];
        for (text, native, defined, bytes) in INSTRUCTIONS {
            // SHLD and SHRD by more than the width, and BSF and BSR of 0, are undefined.
            if text.starts_with("bs") && !text.starts_with("bswap") && registers[1] & 0xFFFF_FFFF == 0 {
                continue;
            }
            let (flags_there, there) = native(flags, registers);
            let (flags_here, here) = in_the_model(flags, registers, bytes);
            let compared = defined(flags, registers);
            prop_assert_eq!(here, there, "{} {:x?} flags {:x}", text, registers, flags);
            prop_assert_eq!(
                flags_here & compared, flags_there & compared,
                "flags of {} {:x?} flags {:x}", text, registers, flags
            );
        }
    }
}
