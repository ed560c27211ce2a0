//! The stack: PUSH, POP, PUSHF, POPF, ENTER, LEAVE.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::operand::mask;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::Step;
use fred::control::rflags;
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Push => push,
        M::Pop => pop,
        M::Enter => enter,
        M::Leave => leave,
        M::Pusha | M::Pushad => pusha,
        M::Popa | M::Popad => popa,
        M::Pushf | M::Pushfd | M::Pushfq => pushf,
        M::Popf | M::Popfd | M::Popfq => popf,
        _ => return None,
    })
}

fn push(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = match d.operands[0] {
        Operand::Immediate => d.immediate,
        _ => p.read(m, d, 0)?,
    };
    p.push(m, value, d.stack)
}

fn pop(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = p.peek(m, 0, d.stack)?;
    let above = p.stack_at(d.stack.into());
    match d.operands[0] {
        Operand::Segment(index) => {
            p.load_segment(m, index, value as u16)?;
            if index == seg::SS {
                p.loaded_ss();
            }
            p.set_stack(above);
        }
        Operand::Memory => {
            // An address that uses RSP is computed with its new value.
            let old = p.gpr[4];
            p.set_stack(above);
            if let Err(stop) = p.write(m, d, 0, value) {
                p.gpr[4] = old;
                return Err(stop);
            }
        }
        _ => {
            p.set_stack(above);
            p.write(m, d, 0, value)?;
        }
    }
    Ok(())
}

fn leave(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.stack_size_of_frame();
    let frame = p.gpr(5, p.stack_size());
    let place = p.data(m, seg::SS, frame, size.into(), Kind::Read)?;
    let value = m.load_number(&place, size.into());
    p.set_stack(frame);
    let above = p.stack_at(size.into());
    p.set_stack(above);
    p.set_gpr(5, size, value);
    Ok(())
}

impl Decoded {
    /// Bytes that ENTER and LEAVE push and pop at a time.
    fn stack_size_of_frame(&self) -> u8 {
        use iced_x86::Code as C;
        match self.instruction.code() {
            C::Enterw_imm16_imm8 | C::Leavew => 2,
            C::Enterd_imm16_imm8 | C::Leaved => 4,
            _ => 8,
        }
    }
}

/// Every access is resolved before the first is made, so that a fault leaves nothing partly done; then
/// they are made in the manual's order, because the old frame may lie where the new one is built.
fn enter(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.stack_size_of_frame();
    let step = i64::from(size);
    let released = i64::from(d.instruction.immediate16());
    let level = i64::from(d.instruction.immediate8_2nd() & 31);
    let (old_frame, frame) = (p.gpr[5], p.stack_at(-step));
    let mut copies = Vec::new();
    let mut pushed = 1;
    let first = p.data(m, seg::SS, frame, size.into(), Kind::Write)?;
    while pushed < level {
        let at = old_frame.wrapping_sub((pushed * step) as u64) & mask(p.stack_size());
        let from = p.data(m, seg::SS, at, size.into(), Kind::Read)?;
        pushed += 1;
        let to = p.data(m, seg::SS, p.stack_at(-step * pushed), size.into(), Kind::Write)?;
        copies.push((from, to));
    }
    let last = if level > 0 {
        pushed += 1;
        Some(p.data(m, seg::SS, p.stack_at(-step * pushed), size.into(), Kind::Write)?)
    } else {
        None
    };
    let stack = p.stack_at(-step * pushed - released);
    // The stack must be writable where the stack pointer comes to lie; nothing is written there.
    p.data(m, seg::SS, stack, size.into(), Kind::Write)?;
    m.store_number(&first, size.into(), old_frame);
    for (from, to) in copies {
        let value = m.load_number(&from, size.into());
        m.store_number(&to, size.into(), value);
    }
    if let Some(last) = last {
        m.store_number(&last, size.into(), frame);
    }
    p.set_gpr(5, size, frame);
    p.set_stack(stack);
    Ok(())
}

/// PUSHA: eight registers, RSP as it was before.
fn pusha(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.stack / 8;
    let top = p.stack_at(-i64::from(d.stack));
    let place = p.data(m, seg::SS, top, d.stack.into(), Kind::Write)?;
    let mut bytes = [0; 32];
    for (n, chunk) in bytes.chunks_exact_mut(size.into()).take(8).enumerate() {
        chunk.copy_from_slice(&p.gpr[7 - n].to_le_bytes()[..size.into()]);
    }
    m.store_place(&place, &bytes[..d.stack.into()]);
    p.set_stack(top);
    Ok(())
}

/// POPA: the popped RSP is thrown away.
fn popa(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.stack / 8;
    let at = p.stack_at(0);
    let place = p.data(m, seg::SS, at, d.stack.into(), Kind::Read)?;
    let mut bytes = [0; 32];
    m.load_place(&place, &mut bytes[..d.stack.into()]);
    let above = p.stack_at(d.stack.into());
    for (n, chunk) in bytes.chunks_exact(size.into()).take(8).enumerate().filter(|(n, _)| *n != 3) {
        let value = chunk.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        p.set_gpr(7 - n as u8, size, value);
    }
    p.set_stack(above);
    Ok(())
}

fn pushf(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let image = p.rflags & !(rflags::RF | rflags::VM);
    p.push(m, image, d.stack)
}

fn popf(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let value = p.peek(m, 0, d.stack)?;
    let above = p.stack_at(d.stack.into());
    p.load_rflags(value, d.stack);
    p.rflags &= !rflags::RF;
    p.set_stack(above);
    Ok(())
}

impl Core {
    /// Loads RFLAGS from a popped image of `size` bytes, as far as the CPL allows. RF and VM are
    /// the caller's business: RF is loaded, VM kept.
    pub(crate) fn load_rflags(&mut self, image: u64, size: u8) {
        use rflags::{AC, AF, CF, DF, ID, IF, IOPL, NT, OF, PF, RF, SF, TF, ZF};
        let mut loaded = CF | PF | AF | ZF | SF | TF | DF | OF | NT;
        if size > 2 {
            loaded |= AC | ID | RF;
        }
        if self.cpl() == 0 {
            loaded |= IOPL;
        }
        if self.cpl() <= self.iopl() {
            loaded |= IF;
        }
        self.rflags = self.rflags & !loaded | image & loaded | rflags::FIXED;
    }
}
