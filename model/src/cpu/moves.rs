//! Data moves and conversions.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::operand::{mask, sign_bit, sign_extend};
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::{Step, Stop, ud};
use fred::control::rflags;
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Mov => mov,
        M::Movzx | M::Movnti => movzx,
        M::Movsx | M::Movsxd => movsx,
        M::Lea => lea,
        M::Xchg => xchg,
        M::Lahf => lahf,
        M::Sahf => sahf,
        M::Cbw => |p, _, _| p.widen(1),
        M::Cwde => |p, _, _| p.widen(2),
        M::Cdqe => |p, _, _| p.widen(4),
        M::Cwd => |p, _, _| p.widen_into_rdx(2),
        M::Cdq => |p, _, _| p.widen_into_rdx(4),
        M::Cqo => |p, _, _| p.widen_into_rdx(8),
        M::Bswap => bswap,
        M::Movbe => movbe,
        M::Xlatb => xlatb,
        _ => return None,
    })
}

fn mov(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    match (d.operands[0], d.operands[1]) {
        (Operand::Gpr(to), Operand::Gpr(from)) => {
            let value = p.gpr(from, d.size[1]);
            p.set_gpr(to, d.size[0], value);
            Ok(())
        }
        (Operand::Control(_) | Operand::Debug(_), _) | (_, Operand::Control(_) | Operand::Debug(_)) => {
            super::control_register::mov(p, m, d)
        }
        (Operand::Segment(index), _) => {
            let selector = p.read(m, d, 1)? as u16;
            p.load_segment(m, index, selector)?;
            if index == seg::SS {
                p.loaded_ss();
            }
            Ok(())
        }
        _ => {
            let value = p.read(m, d, 1)?;
            p.write(m, d, 0, value)
        }
    }
}

fn movzx(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = p.read(m, d, 1)?;
    p.write(m, d, 0, value)
}

fn movsx(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = sign_extend(p.read(m, d, 1)?, d.size[1]);
    p.write(m, d, 0, value)
}

fn lea(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let address = p.effective_address(d);
    p.write(m, d, 0, address)
}

fn xchg(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    // The memory operand can be encoded as either; iced puts it first.
    let (target, old) = p.modify(m, d, 0)?;
    let new = p.read(m, d, 1)?;
    p.store(m, target, d.size[0], new);
    p.write(m, d, 1, old)
}

impl Core {
    fn widen(&mut self, from: u8) -> Step {
        let value = sign_extend(self.gpr(0, from), from);
        self.set_gpr(0, from * 2, value);
        Ok(())
    }

    fn widen_into_rdx(&mut self, size: u8) -> Step {
        let value = if self.gpr(0, size) & sign_bit(size) != 0 { u64::MAX } else { 0 };
        self.set_gpr(2, size, value);
        Ok(())
    }
}

const LOW_FLAGS: u64 = rflags::CF | rflags::PF | rflags::AF | rflags::ZF | rflags::SF;

fn lahf(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    let image = p.rflags & LOW_FLAGS | rflags::FIXED;
    p.gpr[0] = p.gpr[0] & !0xFF00 | image << 8;
    Ok(())
}

fn sahf(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.rflags = p.rflags & !LOW_FLAGS | p.gpr[0] >> 8 & LOW_FLAGS;
    Ok(())
}

fn bswap(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = p.read(m, d, 0)?;
    let swapped = match d.size[0] {
        8 => value.swap_bytes(),
        4 => u64::from((value as u32).swap_bytes()),
        // Undefined for 16 bits.
        _ => return Err(Stop::Unknown.into()),
    };
    p.write(m, d, 0, swapped)
}

fn movbe(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if !p.features.movbe {
        return Err(ud());
    }
    let value = p.read(m, d, 1)?;
    let unused = 64 - 8 * u32::from(d.size[0]);
    p.write(m, d, 0, value.swap_bytes() >> unused)
}

fn xlatb(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = match d.instruction.memory_base() {
        iced_x86::Register::BX => 2,
        iced_x86::Register::EBX => 4,
        _ => 8,
    };
    let offset = p.gpr[3].wrapping_add(p.gpr[0] & 0xFF) & mask(size);
    let place = p.data(m, d.memory.segment, offset, 1, Kind::Read)?;
    let value = m.load_number(&place, 1);
    p.set_gpr(0, 1, value);
    Ok(())
}

/// CMOVcc.
pub(super) fn cmov(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    // The source is read, and a 32-bit destination's upper half cleared, either way.
    let value = p.read(m, d, 1)?;
    let met = p.condition(d.condition);
    let value = if met { value } else { p.read(m, d, 0)? };
    p.write(m, d, 0, value)
}
