//! x87 and SSE, as far as #NM and a context switch need them: control instructions, FXSAVE and
//! FXRSTOR, and moves. The checks of every other x87, MMX and SSE instruction are made before it
//! stops as unknown.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::{Step, Stop, gp0, ud};
use crate::xstate::{XState, component};
use fred::control::{CR0_EM, CR0_MP, CR0_TS, CR4_OSFXSR};
use fred::event::vector;
use iced_x86::{CpuidFeature, Mnemonic};

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Fninit => fninit,
        M::Fnop => |p, _, _| p.require_waiting_x87(),
        M::Wait => wait,
        M::Fnclex => fnclex,
        M::Fnstcw => |p, m, d| store_word(p, m, d, 0),
        M::Fnstsw => |p, m, d| store_word(p, m, d, 2),
        M::Fldcw => fldcw,
        M::Fxsave | M::Fxsave64 => fxsave,
        M::Fxrstor | M::Fxrstor64 => fxrstor,
        M::Ldmxcsr => ldmxcsr,
        M::Stmxcsr => stmxcsr,
        M::Movups | M::Movupd | M::Movdqu => |p, m, d| move_xmm(p, m, d, false),
        M::Movaps | M::Movapd | M::Movdqa => |p, m, d| move_xmm(p, m, d, true),
        M::Xorps | M::Xorpd | M::Pxor => |p, m, d| logic_xmm(p, m, d, |a, b| a ^ b),
        M::Andps | M::Andpd | M::Pand => |p, m, d| logic_xmm(p, m, d, |a, b| a & b),
        M::Orps | M::Orpd | M::Por => |p, m, d| logic_xmm(p, m, d, |a, b| a | b),
        _ => return None,
    })
}

/// #NM of CR0.TS or CR0.EM: no event data, IA32_XFD_ERR stays.
pub(super) fn not_available() -> Box<Stop> {
    Stop::Fault(Event::exception(vector::NM)).into()
}

impl Core {
    /// What every x87 instruction checks first.
    fn require_x87(&self) -> Step {
        if self.cr0 & (CR0_EM | CR0_TS) != 0 { Err(not_available()) } else { Ok(()) }
    }

    /// What every x87 instruction checks first that is none of the "no-wait" ones.
    fn require_waiting_x87(&self) -> Step {
        self.require_x87()?;
        self.require_no_x87_exception()
    }

    /// What every SSE instruction checks first.
    pub(super) fn require_sse(&self) -> Step {
        if self.cr0 & CR0_EM != 0 || self.cr4 & CR4_OSFXSR == 0 {
            return Err(ud());
        }
        if self.cr0 & CR0_TS != 0 { Err(not_available()) } else { Ok(()) }
    }

    fn require_mmx(&self) -> Step {
        if self.cr0 & CR0_EM != 0 {
            return Err(ud());
        }
        self.require_x87()
    }

    /// The checks of an instruction that no handler executes.
    pub(super) fn require_extension(&self, d: &Decoded) -> Step {
        for feature in d.instruction.cpuid_features() {
            match feature {
                CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387 => {
                    self.require_x87()?;
                    if !is_no_wait(d.instruction.mnemonic()) {
                        self.require_no_x87_exception()?;
                    }
                }
                CpuidFeature::MMX => self.require_mmx()?,
                CpuidFeature::SSE
                | CpuidFeature::SSE2
                | CpuidFeature::SSE3
                | CpuidFeature::SSSE3
                | CpuidFeature::SSE4_1
                | CpuidFeature::SSE4_2 => self.require_sse()?,
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn xmm(&self, index: u8) -> u128 {
        let at = XState::XMM + 16 * usize::from(index & 15);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.xstate.fxsave[at..at + 16]);
        u128::from_le_bytes(bytes)
    }

    fn set_xmm(&mut self, index: u8, value: u128) {
        let at = XState::XMM + 16 * usize::from(index & 15);
        self.xstate.fxsave[at..at + 16].copy_from_slice(&value.to_le_bytes());
        self.xstate.in_use |= component::SSE;
    }

    /// A 16-byte operand.
    fn read_xmm(&mut self, m: &mut Memory, d: &Decoded, n: usize, aligned: bool) -> Result<u128, Box<Stop>> {
        match d.operands[n] {
            Operand::Xmm(index) => Ok(self.xmm(index)),
            Operand::Memory => {
                let place = self.xmm_place(m, d, Kind::Read, aligned)?;
                let mut bytes = [0; 16];
                m.load_place(&place, &mut bytes);
                Ok(u128::from_le_bytes(bytes))
            }
            _ => Err(Stop::Unknown.into()),
        }
    }

    fn xmm_place(
        &mut self,
        m: &mut Memory,
        d: &Decoded,
        kind: Kind,
        aligned: bool,
    ) -> Result<crate::mmu::access::Place, Box<Stop>> {
        let offset = self.effective_address(d);
        let linear = self.linear(d.memory.segment, offset, 16, kind)?;
        if aligned && !linear.is_multiple_of(16) {
            return Err(gp0());
        }
        self.memory_operand(m, d, 16, kind)
    }
}

/// Whether an x87 instruction that no handler executes does not look at pending exceptions.
fn is_no_wait(mnemonic: Mnemonic) -> bool {
    matches!(mnemonic, Mnemonic::Fnsave | Mnemonic::Fnstenv)
}

fn fninit(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_x87()?;
    // The image counts registers from the top of the stack, which becomes 0; they keep what they hold.
    let top = usize::from(p.xstate.fxsave[3] >> 3 & 7);
    p.xstate.fxsave[XState::ST..XState::XMM].rotate_right(16 * top);
    // FCW 0x037F, everything else 0: all registers empty in the abridged tag word.
    p.xstate.fxsave[0..24].fill(0);
    p.xstate.fxsave[0..2].copy_from_slice(&0x037Fu16.to_le_bytes());
    Ok(())
}

fn wait(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.cr0 & CR0_MP != 0 && p.cr0 & CR0_TS != 0 {
        return Err(not_available());
    }
    p.require_no_x87_exception()
}

fn fnclex(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_x87()?;
    // IE DE ZE OE UE PE SF ES B of the status word.
    p.xstate.fxsave[2] = 0;
    p.xstate.fxsave[3] &= 0x7F;
    Ok(())
}

fn store_word(p: &mut Core, m: &mut Memory, d: &Decoded, at: usize) -> Step {
    p.require_x87()?;
    let word = u16::from_le_bytes([p.xstate.fxsave[at], p.xstate.fxsave[at + 1]]);
    p.write(m, d, 0, word.into())
}

fn fldcw(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_waiting_x87()?;
    let word = p.read(m, d, 0)? as u16;
    p.xstate.fxsave[0..2].copy_from_slice(&word.to_le_bytes());
    p.xstate.in_use |= component::X87;
    Ok(())
}

fn fx_area(
    p: &mut Core,
    m: &mut Memory,
    d: &Decoded,
    kind: Kind,
) -> Result<crate::mmu::access::Place, Box<Stop>> {
    p.require_x87()?;
    let offset = p.effective_address(d);
    if !p.linear(d.memory.segment, offset, 512, kind)?.is_multiple_of(16) {
        return Err(gp0());
    }
    p.memory_operand(m, d, 512, kind)
}

/// Bytes of the image that FXSAVE writes; the rest of the 512 is the software's.
const FXSAVE_SIZE: usize = 416;

fn fxsave(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let place = fx_area(p, m, d, Kind::Write)?;
    let mut image = [0; 512];
    m.load_place(&place, &mut image);
    image[..FXSAVE_SIZE].copy_from_slice(&p.xstate.fxsave[..FXSAVE_SIZE]);
    m.store_place(&place, &image);
    Ok(())
}

fn fxrstor(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let place = fx_area(p, m, d, Kind::Read)?;
    let mut image = [0; 512];
    m.load_place(&place, &mut image);
    check_mxcsr(u32::from_le_bytes([image[24], image[25], image[26], image[27]]))?;
    // MXCSR_MASK is read-only.
    image[28..32].copy_from_slice(&p.xstate.fxsave[28..32]);
    image[FXSAVE_SIZE..].fill(0);
    p.xstate.fxsave = image;
    p.xstate.in_use |= component::X87 | component::SSE;
    Ok(())
}

/// Reserved bits of MXCSR raise #GP(0).
pub(super) fn check_mxcsr(value: u32) -> Step {
    if value >> 16 == 0 { Ok(()) } else { Err(gp0()) }
}

fn ldmxcsr(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_sse()?;
    let value = p.read(m, d, 0)? as u32;
    check_mxcsr(value)?;
    p.xstate.fxsave[XState::MXCSR..XState::MXCSR + 4].copy_from_slice(&value.to_le_bytes());
    Ok(())
}

fn stmxcsr(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_sse()?;
    let value = p.xstate.mxcsr();
    p.write(m, d, 0, value.into())
}

fn move_xmm(p: &mut Core, m: &mut Memory, d: &Decoded, aligned: bool) -> Step {
    p.require_sse()?;
    let value = p.read_xmm(m, d, 1, aligned)?;
    match d.operands[0] {
        Operand::Xmm(index) => p.set_xmm(index, value),
        _ => {
            let place = p.xmm_place(m, d, Kind::Write, aligned)?;
            m.store_place(&place, &value.to_le_bytes());
        }
    }
    Ok(())
}

fn logic_xmm(p: &mut Core, m: &mut Memory, d: &Decoded, operation: fn(u128, u128) -> u128) -> Step {
    p.require_sse()?;
    let (Operand::Xmm(to), true) = (d.operands[0], d.operands[1] != Operand::Other) else {
        // MMX registers.
        p.require_mmx()?;
        return Err(Stop::Unknown.into());
    };
    let b = p.read_xmm(m, d, 1, true)?;
    p.set_xmm(to, operation(p.xmm(to), b));
    Ok(())
}
