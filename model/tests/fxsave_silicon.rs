//! The x87 and SSE instructions that the model executes, against this machine's processor: each runs
//! between FXRSTOR and FXSAVE natively and on the model, and the images are compared. All of them are in
//! every 64-bit processor.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod guest;
mod host;

use guest::{DATA, Guest};
use host::Host;
use model::processor::Entry;
use std::arch::asm;
use std::ops::Range;

/// What FXSAVE writes; the rest is the software's.
const SAVED: usize = 416;

/// Bytes of the area that are not compared, and why.
const NOT_COMPARED: &[(Range<usize>, &str)] = &[
    // FOP, FIP, FCS, FDP and FDS.
    (
        6..24,
        "the last instruction's opcode and addresses: Intel's newer processors keep FOP and FDP for unmasked \
         exceptions alone and have no FCS and FDS (SDM vol. 1, \"x87 FPU instruction and data (operand) \
         pointers\", CPUID.7.0:EBX[6, 13]); AMD's store and load none of them without a pending exception \
         (APM vol. 5, FXSAVE)",
    ),
    (28..32, "MXCSR_MASK, which is the processor's"),
];

fn is_compared(byte: usize) -> bool {
    !NOT_COMPARED.iter().any(|(bytes, _)| bytes.contains(&byte))
}

/// Bits of MXCSR that the instructions below set: FZ, the masks, and DAZ.
const MXCSR: u32 = 0x9FC0;
const OPERAND: u64 = DATA + 0x800;

#[repr(C, align(64))]
#[derive(Clone)]
struct Area([u8; 512]);

/// An instruction: its bytes with RDI as the operand's address, and the same natively.
struct Instruction {
    name: &'static str,
    bytes: &'static [u8],
    /// FXRSTOR from the first, the instruction with its operand in the second, FXSAVE to the first.
    native: fn(&mut Area, &mut Area),
}

/// An instruction in both forms.
macro_rules! instruction {
    ($text:literal, $($byte:literal)*) => {
        Instruction {
            name: $text,
            bytes: &[$($byte),*],
            native: |area, operand| {
                let mut own = Area([0; 512]);
                // SAFETY: the three areas are aligned and as large as FXSAVE wants them, the operand is
                // larger than any that an instruction here reads or writes, and the caller's own
                // floating-point state is put back.
                unsafe {
                    asm!(
                        "fxsave64 [rdx]",
                        "fxrstor64 [rsi]",
                        $text,
                        "fxsave64 [rsi]",
                        "fxrstor64 [rdx]",
                        in("rdx") &raw mut own,
                        in("rsi") &raw mut *area,
                        in("rdi") &raw mut *operand,
                    );
                }
            },
        }
    };
}

const INSTRUCTIONS: &[Instruction] = &[
    instruction!("fninit", 0xDB 0xE3),
    instruction!("fnop", 0xD9 0xD0),
    instruction!("fwait", 0x9B),
    instruction!("fnclex", 0xDB 0xE2),
    instruction!("fnstcw [rdi]", 0xD9 0x3F),
    instruction!("fnstsw [rdi]", 0xDD 0x3F),
    instruction!("fldcw [rdi + 0x40]", 0xD9 0x6F 0x40),
    instruction!("ldmxcsr [rdi + 0x48]", 0x0F 0xAE 0x57 0x48),
    instruction!("stmxcsr [rdi]", 0x0F 0xAE 0x1F),
    instruction!("movups xmm1, [rdi + 1]", 0x0F 0x10 0x4F 0x01),
    instruction!("movups [rdi + 3], xmm2", 0x0F 0x11 0x57 0x03),
    instruction!("movups xmm3, xmm4", 0x0F 0x10 0xDC),
    instruction!("movupd xmm9, [rdi + 7]", 0x66 0x44 0x0F 0x10 0x4F 0x07),
    instruction!("movdqu xmm5, [rdi + 5]", 0xF3 0x0F 0x6F 0x6F 0x05),
    instruction!("movdqu [rdi + 9], xmm15", 0xF3 0x44 0x0F 0x7F 0x7F 0x09),
    instruction!("movaps xmm6, [rdi + 0x10]", 0x0F 0x28 0x77 0x10),
    instruction!("movdqa [rdi + 0x20], xmm7", 0x66 0x0F 0x7F 0x7F 0x20),
    instruction!("movapd xmm0, xmm8", 0x66 0x41 0x0F 0x28 0xC0),
    instruction!("xorps xmm1, xmm2", 0x0F 0x57 0xCA),
    instruction!("pxor xmm3, [rdi + 0x10]", 0x66 0x0F 0xEF 0x5F 0x10),
    instruction!("andps xmm4, [rdi]", 0x0F 0x54 0x27),
    instruction!("pand xmm10, xmm11", 0x66 0x45 0x0F 0xDB 0xD3),
    instruction!("orps xmm12, xmm13", 0x45 0x0F 0x56 0xE5),
    instruction!("por xmm0, [rdi + 0x30]", 0x66 0x0F 0xEB 0x47 0x30),
];

/// Random-looking bytes, the same each time.
fn bytes(seed: u64) -> impl Iterator<Item = u8> {
    let mut x = seed;
    std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    })
}

/// The bits of MXCSR that this processor has: others are #GP. 0 stands for a processor without DAZ (SDM
/// vol. 1, "Guidelines for writing to the MXCSR register").
fn mxcsr_mask() -> u32 {
    let mut area = Area([0; 512]);
    // SAFETY: the area is aligned and as large as FXSAVE wants it.
    unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut area) };
    match u32::from_le_bytes(area.0[28..32].try_into().unwrap()) {
        0 => 0xFFBF,
        mask => mask,
    }
}

/// A state to start from: no exception is pending or unmasked, the registers hold anything.
fn start(seed: u64) -> (Area, Area) {
    let (mut area, mut operand) = (Area([0; 512]), Area([0; 512]));
    for (to, byte) in area.0[32..SAVED].iter_mut().zip(bytes(seed)) {
        *to = byte;
    }
    for register in 0..8 {
        area.0[32 + 16 * register + 10..48 + 16 * register].fill(0);
    }
    // FCW, FSW, the abridged tag word, MXCSR. TOP is 5, two masked exceptions have been met.
    area.0[..5].copy_from_slice(&[0x7F, 0x03, 0x21, 0x6F, 0xA5]);
    area.0[24..28].copy_from_slice(&0x1F80u32.to_le_bytes());
    for (to, byte) in operand.0.iter_mut().zip(bytes(!seed)) {
        *to = byte;
    }
    operand.0[0x40..0x42].copy_from_slice(&0x0C7Fu16.to_le_bytes());
    operand.0[0x48..0x4C].copy_from_slice(&(MXCSR & mxcsr_mask()).to_le_bytes());
    (area, operand)
}

fn on_the_model(instruction: &Instruction, area: &Area, operand: &Area) -> (Area, Area) {
    // FXRSTOR64 [RSI]; the instruction; FXSAVE64 [RSI].
    let program = [&[0x48, 0x0F, 0xAE, 0x0E][..], instruction.bytes, &[0x48, 0x0F, 0xAE, 0x06]].concat();
    let mut g = Guest::fred().with_bytes(&program);
    (g.cpu.gpr[6], g.cpu.gpr[7]) = (DATA, OPERAND);
    g.memory.write(DATA, &area.0).unwrap();
    g.memory.write(OPERAND, &operand.0).unwrap();
    let exit = g.enter(Entry { instructions: 3, ..Entry::default() });
    assert_eq!(exit.instructions, 3, "{}: {exit:x?}", instruction.name);
    let (mut area, mut operand) = (Area([0; 512]), Area([0; 512]));
    g.memory.read(DATA, &mut area.0).unwrap();
    g.memory.read(OPERAND, &mut operand.0).unwrap();
    (area, operand)
}

#[test]
fn x87_and_sse_state() {
    for instruction in INSTRUCTIONS {
        for seed in 1..20u64 {
            let (area, operand) = start(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (model_area, model_operand) = on_the_model(instruction, &area, &operand);
            let (mut native_area, mut native_operand) = (area.clone(), operand.clone());
            (instruction.native)(&mut native_area, &mut native_operand);
            let context = format!("{}, seed {seed}, {}", instruction.name, Host::this());
            assert_eq!(differing(&model_area, &native_area), [0; 0], "{context}, image");
            let bytes = |area: &Area| area.0.to_vec();
            assert_eq!(bytes(&model_operand), bytes(&native_operand), "{context}, operand");
        }
    }
}

/// The bytes of an image that differ, among those that are compared.
fn differing(a: &Area, b: &Area) -> Vec<usize> {
    (0..SAVED).filter(|n| a.0[*n] != b.0[*n] && is_compared(*n)).collect()
}

#[test]
fn what_processors_keep_or_not_is_not_compared() {
    let (area, _) = start(1);
    let mut other = area.clone();
    // An Intel processor's FOP, FIP and FDP, where an AMD one has none; another MXCSR_MASK.
    other.0[6..24].fill(0x5A);
    other.0[28..32].fill(0x5A);
    assert_eq!(differing(&area, &other), [0; 0]);
    for byte in [0, 2, 4, 5, 24, 32, 160, SAVED - 1] {
        let mut other = area.clone();
        other.0[byte] ^= 1;
        assert_eq!(differing(&area, &other), [byte]);
    }
}
