//! BMI1, BMI2 and ADX.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::flags;
use super::operand::{mask, sign_extend};
use crate::memory::Memory;
use crate::stop::{Step, ud};
use fred::control::rflags::{CF, OF, ZF};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Andn => |p, m, d| first(p, m, d, |a, b, _| !a & b, |_, _, _| false),
        M::Bextr => bextr,
        M::Blsi => |p, m, d| lowest(p, m, d, |a| a & a.wrapping_neg(), |a| a != 0),
        M::Blsmsk => |p, m, d| lowest(p, m, d, |a| a ^ a.wrapping_sub(1), |a| a == 0),
        M::Blsr => |p, m, d| lowest(p, m, d, |a| a & a.wrapping_sub(1), |a| a == 0),
        M::Bzhi => bzhi,
        M::Mulx => mulx,
        M::Pdep => |p, m, d| second(p, m, d, deposit),
        M::Pext => |p, m, d| second(p, m, d, extract),
        M::Rorx => rorx,
        M::Sarx => |p, m, d| shift(p, m, d, |a, n, s| (sign_extend(a, s) as i64 >> n) as u64),
        M::Shlx => |p, m, d| shift(p, m, d, |a, n, _| a << n),
        M::Shrx => |p, m, d| shift(p, m, d, |a, n, _| a >> n),
        M::Adcx => |p, m, d| add_with(p, m, d, CF),
        M::Adox => |p, m, d| add_with(p, m, d, OF),
        _ => return None,
    })
}

impl Core {
    fn require_bmi1(&self) -> Step {
        if self.features.bmi1 && !self.is_real_mode() { Ok(()) } else { Err(ud()) }
    }

    fn require_bmi2(&self) -> Step {
        if self.features.bmi2 && !self.is_real_mode() { Ok(()) } else { Err(ud()) }
    }

    /// SF and ZF of a result, and CF. The manual leaves AF and PF undefined; both are 0 here.
    fn set_bmi_status(&mut self, result: u64, size: u8, carry: bool) {
        let status = flags::of_result(result, size) & (ZF | fred::control::rflags::SF);
        self.set_status(status | if carry { CF } else { 0 });
    }
}

/// A function of the second and third operand, BMI1.
fn first(
    p: &mut Core,
    m: &mut Memory,
    d: &Decoded,
    operation: fn(u64, u64, u8) -> u64,
    carry: fn(u64, u64, u8) -> bool,
) -> Step {
    p.require_bmi1()?;
    let (a, b, size) = (p.read(m, d, 1)?, p.read(m, d, 2)?, d.size[0]);
    let result = operation(a, b, size) & mask(size);
    p.write(m, d, 0, result)?;
    p.set_bmi_status(result, size, carry(a, b, size));
    Ok(())
}

fn bextr(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_bmi1()?;
    let (source, control) = (p.read(m, d, 1)?, p.read(m, d, 2)?);
    let (start, length) = (control as u8, (control >> 8) as u8);
    let shifted = source.checked_shr(start.into()).unwrap_or(0);
    let result = shifted & !u64::MAX.checked_shl(length.into()).unwrap_or(0);
    p.write(m, d, 0, result)?;
    p.set_bmi_status(result, d.size[0], false);
    Ok(())
}

/// BLSI, BLSMSK and BLSR.
fn lowest(
    p: &mut Core,
    m: &mut Memory,
    d: &Decoded,
    operation: fn(u64) -> u64,
    carry: fn(u64) -> bool,
) -> Step {
    p.require_bmi1()?;
    let source = p.read(m, d, 1)?;
    let result = operation(source) & mask(d.size[0]);
    p.write(m, d, 0, result)?;
    p.set_bmi_status(result, d.size[0], carry(source));
    Ok(())
}

fn bzhi(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_bmi2()?;
    let (source, index) = (p.read(m, d, 1)?, p.read(m, d, 2)? as u8);
    let beyond = u32::from(index) >= u32::from(d.size[0]) * 8;
    let result = if beyond { source } else { source & !(u64::MAX << index) };
    p.write(m, d, 0, result)?;
    p.set_bmi_status(result, d.size[0], beyond);
    Ok(())
}

/// The high half is written last: with the same destination twice, it stays.
fn mulx(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_bmi2()?;
    let size = d.size[0];
    let product = u128::from(p.gpr(2, size)) * u128::from(p.read(m, d, 2)?);
    p.write(m, d, 1, product as u64 & mask(size))?;
    p.write(m, d, 0, (product >> (u32::from(size) * 8)) as u64)
}

/// A function of the second and third operand that touches no flag, BMI2.
fn second(p: &mut Core, m: &mut Memory, d: &Decoded, operation: fn(u64, u64) -> u64) -> Step {
    p.require_bmi2()?;
    let (a, b) = (p.read(m, d, 1)?, p.read(m, d, 2)?);
    p.write(m, d, 0, operation(a, b))
}

/// The low bits of `source` go where `places` has bits set.
fn deposit(source: u64, places: u64) -> u64 {
    let (mut source, mut left, mut result) = (source, places, 0);
    while left != 0 {
        let place = left & left.wrapping_neg();
        result |= if source & 1 != 0 { place } else { 0 };
        source >>= 1;
        left ^= place;
    }
    result
}

/// The bits of `source` where `places` has bits set, side by side.
fn extract(source: u64, places: u64) -> u64 {
    let (mut left, mut result, mut at) = (places, 0, 0);
    while left != 0 {
        let place = left & left.wrapping_neg();
        result |= u64::from(source & place != 0) << at;
        at += 1;
        left ^= place;
    }
    result
}

fn rorx(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_bmi2()?;
    let (size, source) = (d.size[0], p.read(m, d, 1)?);
    let result = if size == 8 {
        source.rotate_right(d.immediate as u32 & 63)
    } else {
        u64::from((source as u32).rotate_right(d.immediate as u32 & 31))
    };
    p.write(m, d, 0, result)
}

fn shift(p: &mut Core, m: &mut Memory, d: &Decoded, operation: fn(u64, u32, u8) -> u64) -> Step {
    p.require_bmi2()?;
    let size = d.size[0];
    let (value, count) = (p.read(m, d, 1)?, p.read(m, d, 2)? as u32);
    let count = count & if size == 8 { 63 } else { 31 };
    p.write(m, d, 0, operation(value, count, size))
}

/// ADCX and ADOX: one flag is carry in and carry out, no other changes.
fn add_with(p: &mut Core, m: &mut Memory, d: &Decoded, carry: u64) -> Step {
    if !p.features.adx {
        return Err(ud());
    }
    let (a, b) = (p.read(m, d, 0)?, p.read(m, d, 1)?);
    let (sum, status) = flags::add(a, b, p.flag(carry), d.size[0]);
    p.write(m, d, 0, sum)?;
    p.set_flag(carry, status & CF != 0);
    Ok(())
}
