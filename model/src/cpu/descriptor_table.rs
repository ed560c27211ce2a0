//! The descriptor-table registers, the LDT and the task register.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::load_segment::{Descriptor, null_segment, selector_fault};
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::{DescriptorTable, Segment};
use crate::stop::{Step, Stop, gp0, ud};
use fred::event::vector;
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Lgdt | M::Lidt => load_table,
        M::Sgdt | M::Sidt => store_table,
        M::Lldt => lldt,
        M::Ltr => ltr,
        M::Sldt => |p, m, d| p.write(m, d, 0, p.segments.ldtr.selector.into()),
        M::Str => |p, m, d| p.write(m, d, 0, p.segments.tr.selector.into()),
        _ => return None,
    })
}

fn load_table(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_ring_0()?;
    let size = if p.is_64_bit() { 8 } else { 4 };
    let place = p.memory_operand(m, d, size + 2, Kind::Read)?;
    let mut bytes = [0; 10];
    m.load_place(&place, &mut bytes[..size + 2]);
    let [low, high, base @ ..] = bytes;
    let mut base = u64::from_le_bytes(base);
    if p.code_bits() == 16 || is_16_bit_form(d) {
        base &= 0xFF_FFFF;
    }
    if size == 8 && !fred::msr::is_canonical(base) {
        return Err(gp0());
    }
    let table = DescriptorTable { base, limit: u16::from_le_bytes([low, high]) };
    if d.instruction.mnemonic() == Mnemonic::Lgdt {
        p.gdtr = table;
    } else {
        p.idtr = table;
    }
    Ok(())
}

fn is_16_bit_form(d: &Decoded) -> bool {
    use iced_x86::Code as C;
    matches!(d.instruction.code(), C::Lgdt_m1632_16 | C::Lidt_m1632_16)
}

fn store_table(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let table = if d.instruction.mnemonic() == Mnemonic::Sgdt { p.gdtr } else { p.idtr };
    let size = if p.is_64_bit() { 10 } else { 6 };
    let place = p.memory_operand(m, d, size, Kind::Write)?;
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&table.limit.to_le_bytes());
    bytes[2..].copy_from_slice(&table.base.to_le_bytes());
    m.store_place(&place, &bytes[..size]);
    Ok(())
}

/// The type that LLDT takes.
const LDT: &[u8] = &[2];

/// The system segment that LLDT and LTR load: descriptor base with its upper half in long mode.
fn system_segment(
    p: &mut Core,
    m: &mut Memory,
    selector: u16,
    types: &[u8],
) -> Result<(Descriptor, Segment), Box<Stop>> {
    let gp = || selector_fault(vector::GP, selector);
    let size = if p.is_long_mode_active() { 16 } else { 8 };
    if selector & 4 != 0 {
        return Err(gp());
    }
    let address = p.descriptor_address(selector, size).ok_or_else(gp)?;
    let low = Descriptor(p.read_system(m, address, 8)?);
    if low.s() || !types.contains(&low.segment_type()) {
        return Err(gp());
    }
    let mut segment = low.load(selector);
    if size == 16 {
        let high = p.read_system(m, address.wrapping_add(8), 8)?;
        // Of a TSS alone (SDM vol. 2, LTR, 64-bit mode exceptions).
        if types != LDT && high >> 40 & 0xF != 0 {
            return Err(gp());
        }
        segment.base |= high << 32;
        if !fred::msr::is_canonical(segment.base) {
            return Err(gp());
        }
    }
    if !low.present() {
        return Err(selector_fault(vector::NP, selector));
    }
    Ok((low, segment))
}

fn lldt(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if p.is_real_mode() {
        return Err(ud());
    }
    p.require_ring_0()?;
    let selector = p.read(m, d, 0)? as u16;
    p.segments.ldtr =
        if selector & !3 == 0 { null_segment(selector, 0) } else { system_segment(p, m, selector, LDT)?.1 };
    Ok(())
}

fn ltr(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if p.is_real_mode() {
        return Err(ud());
    }
    p.require_ring_0()?;
    let selector = p.read(m, d, 0)? as u16;
    if selector & !3 == 0 {
        return Err(gp0());
    }
    let types: &[u8] = if p.is_long_mode_active() { &[9] } else { &[1, 9] };
    let (descriptor, mut segment) = system_segment(p, m, selector, types)?;
    // Busy.
    p.write_descriptor_type(m, selector, descriptor, 2)?;
    segment.segment_type |= 2;
    p.segments.tr = segment;
    Ok(())
}
