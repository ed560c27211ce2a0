//! Shifts and rotates.
//!
//! Flags that the manual leaves undefined (OF for counts above 1, AF) follow one rule each, stated
//! where it is applied.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::flags;
use super::operand::{mask, sign_bit, sign_extend};
use crate::memory::Memory;
use crate::stop::{Step, Stop};
use fred::control::rflags::{CF, OF};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Shl | M::Sal => |p, m, d| shift(p, m, d, shl, true),
        M::Shr => |p, m, d| shift(p, m, d, shr, true),
        M::Sar => |p, m, d| shift(p, m, d, sar, true),
        M::Rol => |p, m, d| shift(p, m, d, rol, false),
        M::Ror => |p, m, d| shift(p, m, d, ror, false),
        M::Rcl => |p, m, d| shift(p, m, d, rcl, false),
        M::Rcr => |p, m, d| shift(p, m, d, rcr, false),
        M::Shld => |p, m, d| double(p, m, d, true),
        M::Shrd => |p, m, d| double(p, m, d, false),
        _ => return None,
    })
}

/// Result, CF and OF of a value shifted by a count of 1 to 63, with CF as it was, for a size in bytes.
type Shift = fn(u64, u32, bool, u8) -> (u64, bool, bool);

fn count(p: &mut Core, m: &mut Memory, d: &Decoded, n: usize, size: u8) -> Result<u32, Box<Stop>> {
    let count = p.read(m, d, n)? as u32;
    Ok(count & if size == 8 { 63 } else { 31 })
}

/// A shift, after which SF, ZF and PF are those of the result, or a rotation, which leaves them.
#[inline]
fn shift(p: &mut Core, m: &mut Memory, d: &Decoded, operation: Shift, sets_status: bool) -> Step {
    let size = d.size[0];
    let (target, value) = p.modify(m, d, 0)?;
    let count = count(p, m, d, 1, size)?;
    if count == 0 {
        // A 32-bit register is still written, which clears its upper half.
        p.store(m, target, size, value);
        return Ok(());
    }
    let (result, carry, overflow) = operation(value, count, p.flag(CF), size);
    p.store(m, target, size, result);
    if sets_status {
        p.set_status(flags::of_result(result, size));
    }
    p.set_flag(CF, carry);
    p.set_flag(OF, overflow);
    Ok(())
}

fn bits(size: u8) -> u32 {
    u32::from(size) * 8
}

/// OF is CF xor the new sign, whatever the count.
fn shl(value: u64, count: u32, _: bool, size: u8) -> (u64, bool, bool) {
    let wide = u128::from(value) << count;
    let carry = wide >> bits(size) & 1 != 0;
    let result = wide as u64 & mask(size);
    (result, carry, carry != (result & sign_bit(size) != 0))
}

/// OF is the old sign for a count of 1, else the top bit xor the one below it of the result.
fn shr(value: u64, count: u32, _: bool, size: u8) -> (u64, bool, bool) {
    let carry = count <= 64 && value >> (count - 1) & 1 != 0;
    let result = value.checked_shr(count).unwrap_or(0);
    let overflow = count == 1 && value & sign_bit(size) != 0;
    (result, carry, overflow)
}

/// OF is 0.
fn sar(value: u64, count: u32, _: bool, size: u8) -> (u64, bool, bool) {
    let wide = sign_extend(value, size) as i64;
    let carry = wide >> (count - 1) & 1 != 0;
    ((wide >> count) as u64 & mask(size), carry, false)
}

/// The low `width` bits, at most 65, rotated to the left.
fn rotated(value: u128, count: u32, width: u32) -> u128 {
    let count = count % width;
    (value << count | value >> (width - count)) & ((1 << width) - 1)
}

/// OF is CF xor the new sign.
fn rol(value: u64, count: u32, _: bool, size: u8) -> (u64, bool, bool) {
    let result = rotated(value.into(), count, bits(size)) as u64;
    let carry = result & 1 != 0;
    (result, carry, carry != (result & sign_bit(size) != 0))
}

/// OF is the top bit xor the one below it.
fn ror(value: u64, count: u32, _: bool, size: u8) -> (u64, bool, bool) {
    let result = rotated(value.into(), bits(size) - count % bits(size), bits(size)) as u64;
    let top = result & sign_bit(size) != 0;
    (result, top, top != (result & sign_bit(size) >> 1 != 0))
}

/// OF is CF xor the new sign.
fn rcl(value: u64, count: u32, carry: bool, size: u8) -> (u64, bool, bool) {
    let width = bits(size) + 1;
    let wide = u128::from(carry) << bits(size) | u128::from(value);
    let rotated = rotated(wide, count, width);
    let (result, carry) = (rotated as u64 & mask(size), rotated >> bits(size) & 1 != 0);
    (result, carry, carry != (result & sign_bit(size) != 0))
}

/// OF is the top bit xor the one below it.
fn rcr(value: u64, count: u32, carry: bool, size: u8) -> (u64, bool, bool) {
    let width = bits(size) + 1;
    let wide = u128::from(carry) << bits(size) | u128::from(value);
    let rotated = rotated(wide, width - count % width, width);
    let (result, carry) = (rotated as u64 & mask(size), rotated >> bits(size) & 1 != 0);
    let top = result & sign_bit(size) != 0;
    (result, carry, top != (result & sign_bit(size) >> 1 != 0))
}

/// SHLD and SHRD. OF is the change of sign.
fn double(p: &mut Core, m: &mut Memory, d: &Decoded, left: bool) -> Step {
    let size = d.size[0];
    let (target, value) = p.modify(m, d, 0)?;
    let filler = p.read(m, d, 1)?;
    let count = count(p, m, d, 2, size)?;
    if count == 0 {
        p.store(m, target, size, value);
        return Ok(());
    }
    if count > bits(size) {
        // Undefined result.
        return Err(Stop::Unknown.into());
    }
    let width = bits(size);
    let (result, carry) = if left {
        let wide = u128::from(value) << width | u128::from(filler);
        ((wide << count >> width) as u64 & mask(size), value >> (width - count) & 1 != 0)
    } else {
        let wide = u128::from(filler) << width | u128::from(value);
        ((wide >> count) as u64 & mask(size), value >> (count - 1) & 1 != 0)
    };
    p.store(m, target, size, result);
    p.set_status(flags::of_result(result, size));
    p.set_flag(CF, carry);
    p.set_flag(OF, (result ^ value) & sign_bit(size) != 0);
    Ok(())
}
