//! Floating-point exceptions: #MF, which x87 instructions raise for an earlier one, and #XM of SSE comparisons.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::{Step, Stop, ud};
use crate::xstate::{XState, component};
use fred::control::rflags::{CF, PF, ZF};
use fred::control::{CR0_NE, CR4_OSXMMEXCPT};
use fred::event::vector;
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Comiss => |p, m, d| compare(p, m, d, 4, Quiet::Invalid),
        M::Ucomiss => |p, m, d| compare(p, m, d, 4, Quiet::Valid),
        M::Comisd => |p, m, d| compare(p, m, d, 8, Quiet::Invalid),
        M::Ucomisd => |p, m, d| compare(p, m, d, 8, Quiet::Valid),
        _ => return None,
    })
}

/// The six exceptions, in the x87 status word and in MXCSR.
const EXCEPTIONS: u32 = 0x3F;
/// Invalid operation.
const INVALID: u32 = 1 << 0;
/// Denormal operand.
const DENORMAL: u32 = 1 << 1;
/// MXCSR.DAZ: denormal operands are zeros.
const DAZ: u32 = 1 << 6;
/// From an exception in MXCSR to its mask.
const MASKS: u32 = 7;

impl Core {
    /// #MF if an x87 exception is pending that is not masked: every x87 instruction but the "no-wait" ones, and
    /// WAIT (SDM vol. 3, "Interrupt 16").
    pub(super) fn require_no_x87_exception(&self) -> Step {
        let word = |at: usize| u16::from_le_bytes([self.xstate.fxsave[at], self.xstate.fxsave[at + 1]]);
        let (control, status) = (u32::from(word(0)), u32::from(word(2)));
        if status & !control & EXCEPTIONS == 0 {
            return Ok(());
        }
        if self.cr0 & CR0_NE == 0 {
            return Err(Stop::Unsupported("an x87 exception that an external interrupt reports").into());
        }
        Err(Stop::Fault(Event::exception(vector::MF)).into())
    }

    /// Records SSE exceptions in MXCSR; #XM if one is not masked, or #UD without CR4.OSXMMEXCPT (SDM vol. 3,
    /// "Interrupt 19").
    fn sse_exceptions(&mut self, exceptions: u32) -> Step {
        let mxcsr = self.xstate.mxcsr() | exceptions;
        self.xstate.fxsave[XState::MXCSR..XState::MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        if exceptions != 0 {
            self.xstate.in_use |= component::SSE;
        }
        if exceptions & !(mxcsr >> MASKS) == 0 {
            return Ok(());
        }
        if self.cr4 & CR4_OSXMMEXCPT == 0 {
            Err(ud())
        } else {
            Err(Stop::Fault(Event::exception(vector::XM)).into())
        }
    }
}

/// What a quiet NaN is to a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quiet {
    Invalid,
    Valid,
}

/// A number as it lies in a register or in memory.
#[derive(Clone, Copy)]
struct Scalar {
    bits: u64,
    size: u8,
}

impl Scalar {
    fn value(self) -> f64 {
        if self.size == 4 { f32::from_bits(self.bits as u32).into() } else { f64::from_bits(self.bits) }
    }

    /// Bits of the fraction.
    fn fraction(self) -> u32 {
        if self.size == 4 { 23 } else { 52 }
    }

    fn is_denormal(self) -> bool {
        let magnitude = self.bits & (u64::MAX >> (65 - 8 * u32::from(self.size)));
        magnitude != 0 && magnitude >> self.fraction() == 0
    }

    fn is_invalid(self, quiet: Quiet) -> bool {
        let signaling = self.bits >> (self.fraction() - 1) & 1 == 0;
        self.value().is_nan() && (signaling || quiet == Quiet::Invalid)
    }

    /// This number, or zero if it is a denormal that MXCSR.DAZ makes one.
    fn under(self, mxcsr: u32) -> Self {
        if mxcsr & DAZ != 0 && self.is_denormal() { Self { bits: 0, ..self } } else { self }
    }
}

fn scalar(p: &mut Core, m: &mut Memory, d: &Decoded, n: usize, size: u8) -> Result<Scalar, Box<Stop>> {
    let bits = match d.operands[n] {
        Operand::Xmm(index) => p.xmm(index) as u64,
        Operand::Memory => {
            let place = p.memory_operand(m, d, size.into(), Kind::Read)?;
            m.load_number(&place, size.into())
        }
        _ => return Err(Stop::Unknown.into()),
    };
    Ok(Scalar { bits: bits & u64::MAX >> (64 - 8 * u32::from(size)), size })
}

/// (U)COMISS and (U)COMISD (SDM vol. 2): an invalid operand leaves no room for a denormal one.
fn compare(p: &mut Core, m: &mut Memory, d: &Decoded, size: u8, quiet: Quiet) -> Step {
    p.require_sse()?;
    let mxcsr = p.xstate.mxcsr();
    let a = scalar(p, m, d, 0, size)?.under(mxcsr);
    let b = scalar(p, m, d, 1, size)?.under(mxcsr);
    let unordered = a.value().is_nan() || b.value().is_nan();
    p.sse_exceptions(if a.is_invalid(quiet) || b.is_invalid(quiet) {
        INVALID
    } else if !unordered && (a.is_denormal() || b.is_denormal()) {
        DENORMAL
    } else {
        0
    })?;
    p.set_status(match a.value().partial_cmp(&b.value()) {
        None => ZF | PF | CF,
        Some(std::cmp::Ordering::Less) => CF,
        Some(std::cmp::Ordering::Equal) => ZF,
        Some(std::cmp::Ordering::Greater) => 0,
    });
    Ok(())
}
