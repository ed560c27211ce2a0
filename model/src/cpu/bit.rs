//! Bit tests, bit scans, counts, SETcc.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::flags;
use super::operand::{Target, mask, sign_extend};
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::{Step, ud};
use fred::control::rflags::{CF, ZF};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Bt => |p, m, d| bit_test(p, m, d, |value, _| value, Kind::Read),
        M::Bts => |p, m, d| bit_test(p, m, d, |value, bit| value | bit, Kind::Write),
        M::Btr => |p, m, d| bit_test(p, m, d, |value, bit| value & !bit, Kind::Write),
        M::Btc => |p, m, d| bit_test(p, m, d, |value, bit| value ^ bit, Kind::Write),
        M::Bsf => |p, m, d| scan(p, m, d, false),
        M::Bsr => |p, m, d| scan(p, m, d, true),
        M::Tzcnt => tzcnt,
        M::Lzcnt => lzcnt,
        M::Popcnt => popcnt,
        _ => return None,
    })
}

/// With a register offset, the bit string in memory reaches beyond the operand, to either side.
fn bit_test(p: &mut Core, m: &mut Memory, d: &Decoded, change: fn(u64, u64) -> u64, kind: Kind) -> Step {
    let size = d.size[0];
    let width = u64::from(size) * 8;
    let offset = p.read(m, d, 1)?;
    let bit = 1u64 << (offset % width);
    let (target, value) = if d.operands[0] != Operand::Memory {
        p.modify(m, d, 0)?
    } else {
        let mut address = p.effective_address(d);
        if d.operands[1] != Operand::Immediate {
            let units = (sign_extend(offset, size) as i64).div_euclid(width as i64);
            let bytes = units.wrapping_mul(size.into()) as u64;
            address = address.wrapping_add(bytes) & mask(d.memory.address_size);
        }
        let place = p.data(m, d.memory.segment, address, size.into(), kind)?;
        (Target::Memory(place), m.load_number(&place, size.into()))
    };
    if kind == Kind::Write {
        p.store(m, target, size, change(value, bit));
    }
    p.set_flag(CF, value & bit != 0);
    Ok(())
}

/// BSF and BSR. Of a zero source the destination stays; the undefined flags are those of the
/// source.
fn scan(p: &mut Core, m: &mut Memory, d: &Decoded, reverse: bool) -> Step {
    let source = p.read(m, d, 1)?;
    if source == 0 {
        p.set_status(flags::of_result(0, d.size[0]));
        return Ok(());
    }
    let index = if reverse { 63 - source.leading_zeros() } else { source.trailing_zeros() };
    p.write(m, d, 0, index.into())?;
    p.set_status(flags::of_result(source, d.size[0]) & !ZF);
    Ok(())
}

fn count(p: &mut Core, m: &mut Memory, d: &Decoded, number: fn(u64, u32) -> u32) -> Step {
    let size = d.size[0];
    let source = p.read(m, d, 1)?;
    let count = number(source, u32::from(size) * 8);
    p.write(m, d, 0, count.into())?;
    p.set_status(if source == 0 { CF } else { 0 } | if count == 0 { ZF } else { 0 });
    Ok(())
}

fn tzcnt(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if !p.features.bmi1 {
        return scan(p, m, d, false);
    }
    count(p, m, d, |value, width| value.trailing_zeros().min(width))
}

fn lzcnt(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if !p.features.lzcnt {
        return scan(p, m, d, true);
    }
    count(p, m, d, |value, width| value.leading_zeros() - (64 - width))
}

fn popcnt(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if !p.features.popcnt {
        return Err(ud());
    }
    let source = p.read(m, d, 1)?;
    p.write(m, d, 0, source.count_ones().into())?;
    p.set_status(if source == 0 { ZF } else { 0 });
    Ok(())
}

/// SETcc.
pub(super) fn set(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let met = p.condition(d.condition);
    p.write(m, d, 0, met.into())
}
