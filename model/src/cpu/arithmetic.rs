//! Addition, subtraction, logic, multiplication, division, compare and exchange.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::flags;
use super::operand::{mask, sign_extend};
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::{Step, Stop};
use fred::control::rflags::{AF, CF, OF, ZF};
use fred::event::vector;
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Add => |p, m, d| binary(p, m, d, |a, b, _, s| flags::add(a, b, false, s)),
        M::Adc => |p, m, d| binary(p, m, d, flags::add),
        M::Sub => |p, m, d| binary(p, m, d, |a, b, _, s| flags::subtract(a, b, false, s)),
        M::Sbb => |p, m, d| binary(p, m, d, flags::subtract),
        M::And => |p, m, d| binary(p, m, d, |a, b, _, s| (a & b, flags::of_result(a & b, s))),
        M::Or => |p, m, d| binary(p, m, d, |a, b, _, s| (a | b, flags::of_result(a | b, s))),
        M::Xor => |p, m, d| binary(p, m, d, |a, b, _, s| (a ^ b, flags::of_result(a ^ b, s))),
        M::Cmp => |p, m, d| compare(p, m, d, |a, b, s| flags::subtract(a, b, false, s).1),
        M::Test => |p, m, d| compare(p, m, d, |a, b, s| flags::of_result(a & b, s)),
        M::Inc => inc,
        M::Dec => dec,
        M::Neg => neg,
        M::Not => not,
        M::Xadd => xadd,
        M::Cmpxchg => cmpxchg,
        M::Cmpxchg8b => |p, m, d| cmpxchg_pair(p, m, d, 4),
        M::Cmpxchg16b => |p, m, d| cmpxchg_pair(p, m, d, 8),
        M::Mul => mul,
        M::Imul => imul,
        M::Div => div,
        M::Idiv => idiv,
        _ => return None,
    })
}

/// An operation on two operands and CF: result and status flags for a size in bytes.
type Binary = fn(u64, u64, bool, u8) -> (u64, u64);

#[inline]
fn binary(p: &mut Core, m: &mut Memory, d: &Decoded, operation: Binary) -> Step {
    let (target, a, b) = if d.operands[1] == super::decoded::Operand::Memory {
        let b = p.read(m, d, 1)?;
        let (target, a) = p.modify(m, d, 0)?;
        (target, a, b)
    } else {
        let (target, a) = p.modify(m, d, 0)?;
        (target, a, p.read(m, d, 1)?)
    };
    let (result, status) = operation(a, b, p.flag(CF), d.size[0]);
    p.store(m, target, d.size[0], result);
    p.set_status(status);
    Ok(())
}

#[inline]
fn compare(p: &mut Core, m: &mut Memory, d: &Decoded, operation: fn(u64, u64, u8) -> u64) -> Step {
    let a = p.read(m, d, 0)?;
    let b = p.read(m, d, 1)?;
    p.set_status(operation(a, b, d.size[0]));
    Ok(())
}

/// INC and DEC leave CF alone.
fn step_by_one(p: &mut Core, m: &mut Memory, d: &Decoded, operation: Binary) -> Step {
    let (target, a) = p.modify(m, d, 0)?;
    let (result, status) = operation(a, 1, false, d.size[0]);
    let carry = p.rflags & CF;
    p.store(m, target, d.size[0], result);
    p.set_status(status & !CF | carry);
    Ok(())
}

fn inc(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    step_by_one(p, m, d, flags::add)
}

fn dec(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    step_by_one(p, m, d, flags::subtract)
}

fn neg(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (target, a) = p.modify(m, d, 0)?;
    let (result, status) = flags::subtract(0, a, false, d.size[0]);
    p.store(m, target, d.size[0], result);
    p.set_status(status);
    Ok(())
}

fn not(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (target, a) = p.modify(m, d, 0)?;
    p.store(m, target, d.size[0], !a);
    Ok(())
}

fn xadd(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (target, a) = p.modify(m, d, 0)?;
    let b = p.read(m, d, 1)?;
    let (sum, status) = flags::add(a, b, false, d.size[0]);
    // The source first: with the same register twice, the sum stays.
    p.write(m, d, 1, a)?;
    p.store(m, target, d.size[0], sum);
    p.set_status(status);
    Ok(())
}

fn cmpxchg(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.size[0];
    let (target, old) = p.modify(m, d, 0)?;
    let (accumulator, new) = (p.gpr(0, size), p.read(m, d, 1)?);
    let status = flags::subtract(accumulator, old, false, size).1;
    if accumulator == old {
        p.store(m, target, size, new);
    } else {
        // Memory is written either way; a register destination is not.
        if let super::operand::Target::Memory(_) = target {
            p.store(m, target, size, old);
        }
        p.set_gpr(0, size, old);
    }
    p.set_status(status);
    Ok(())
}

fn cmpxchg_pair(p: &mut Core, m: &mut Memory, d: &Decoded, half: u8) -> Step {
    let size = usize::from(half) * 2;
    if half == 8 && !p.features.cx16 {
        return Err(crate::stop::ud());
    }
    if half == 8 && !p.effective_address(d).is_multiple_of(16) {
        return Err(crate::stop::gp0());
    }
    let place = p.memory_operand(m, d, size, Kind::Write)?;
    let mut bytes = [0; 16];
    m.load_place(&place, &mut bytes[..size]);
    let pair = u128::from_le_bytes(bytes);
    let (low, high) = (pair as u64 & mask(half), (pair >> (8 * half)) as u64 & mask(half));
    let equal = p.gpr(0, half) == low && p.gpr(2, half) == high;
    if equal {
        bytes = (u128::from(p.gpr(1, half)) << (8 * half) | u128::from(p.gpr(3, half))).to_le_bytes();
    } else {
        p.set_gpr(0, half, low);
        p.set_gpr(2, half, high);
    }
    m.store_place(&place, &bytes[..size]);
    p.set_flag(ZF, equal);
    Ok(())
}

impl Core {
    /// CF and OF of a multiplication. The manual leaves SF, ZF, AF and PF undefined: SF and PF are
    /// those of the low half of the product here, ZF and AF are 0.
    fn set_product_status(&mut self, overflow: bool, low: u64, size: u8) {
        let status = flags::of_result(low, size) & !(ZF | AF);
        self.set_status(status | if overflow { CF | OF } else { 0 });
    }

    /// The double-width value in (E/R)DX:(E/R)AX, or AX for bytes.
    fn accumulator_pair(&self, size: u8) -> u128 {
        if size == 1 {
            return u128::from(self.gpr(0, 2));
        }
        u128::from(self.gpr(2, size)) << (u32::from(size) * 8) | u128::from(self.gpr(0, size))
    }

    fn set_accumulator_pair(&mut self, size: u8, low: u64, high: u64) {
        if size == 1 {
            self.set_gpr(0, 2, low & 0xFF | (high & 0xFF) << 8);
        } else {
            self.set_gpr(0, size, low);
            self.set_gpr(2, size, high);
        }
    }
}

fn mul(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.size[0];
    let product = u128::from(p.gpr(0, size)) * u128::from(p.read(m, d, 0)?);
    let high = (product >> (u32::from(size) * 8)) as u64;
    p.set_accumulator_pair(size, product as u64, high);
    p.set_product_status(high != 0, product as u64, size);
    Ok(())
}

fn imul(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.size[0];
    let signed = |value| i128::from(sign_extend(value, size) as i64);
    let (a, b) = match d.instruction.op_count() {
        1 => (p.gpr(0, size), p.read(m, d, 0)?),
        2 => (p.read(m, d, 0)?, p.read(m, d, 1)?),
        _ => (p.read(m, d, 1)?, p.read(m, d, 2)?),
    };
    let product = signed(a) * signed(b);
    let low = product as u64 & mask(size);
    if d.instruction.op_count() == 1 {
        let high = (product >> (u32::from(size) * 8)) as u64;
        p.set_accumulator_pair(size, low, high);
    } else {
        p.write(m, d, 0, low)?;
    }
    p.set_product_status(product != signed(low), low, size);
    Ok(())
}

fn divide_error() -> Box<Stop> {
    Stop::Fault(Event::exception(vector::DE)).into()
}

fn div(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.size[0];
    let divisor = u128::from(p.read(m, d, 0)?);
    let dividend = p.accumulator_pair(size);
    if divisor == 0 || dividend / divisor > u128::from(mask(size)) {
        return Err(divide_error());
    }
    p.set_accumulator_pair(size, (dividend / divisor) as u64, (dividend % divisor) as u64);
    Ok(())
}

fn idiv(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size = d.size[0];
    let divisor = i128::from(sign_extend(p.read(m, d, 0)?, size) as i64);
    let bits = u32::from(size) * 16;
    let dividend = (p.accumulator_pair(size) << (128 - bits)) as i128 >> (128 - bits);
    let quotient = dividend.checked_div(divisor).ok_or_else(divide_error)?;
    if quotient != i128::from(sign_extend(quotient as u64, size) as i64) {
        return Err(divide_error());
    }
    p.set_accumulator_pair(size, quotient as u64, (dividend % divisor) as u64);
    Ok(())
}
