//! XSAVE, XSAVEC and XRSTOR (SDM vol. 1, "Managing state using the XSAVE feature set").

use super::amx;
use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::fpu::{check_mxcsr, not_available};
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::mmu::access::Place;
use crate::stop::{Step, Stop, gp0, ud};
use crate::xstate::{XState, component};
use fred::control::{CR0_TS, CR4_OSXSAVE};
use fred::cpuid::{Feature, Register};
use iced_x86::Mnemonic;
use std::sync::Arc;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Xsave | M::Xsave64 => |p, m, d| xsave(p, m, d, false),
        M::Xsavec | M::Xsavec64 => |p, m, d| xsave(p, m, d, true),
        M::Xrstor | M::Xrstor64 => xrstor,
        _ => return None,
    })
}

const XSAVEC: Feature = Feature { name: "XSAVEC", leaf: 0xD, subleaf: 1, register: Register::Eax, bit: 1 };
const LEGACY: u64 = component::X87 | component::SSE;
/// XCOMP_BV: the compacted format.
const COMPACTED: u64 = 1 << 63;
/// The legacy region and the header.
const FIXED: usize = 576;
const HEADER: usize = 512;
/// An access is resolved in pieces that straddle at most two pages.
const PIECE: usize = 4096;

/// A component after the header: its bit, and where it lies in an area.
struct Component {
    bit: u64,
    offset: u64,
    size: usize,
}

impl Core {
    /// The components of `bits` after the header, in the standard or the compacted format.
    fn components(&self, bits: u64, compacted: bool) -> Vec<Component> {
        let mut next = FIXED as u64;
        let mut found = Vec::new();
        for number in (2..63).filter(|number| bits >> number & 1 != 0) {
            let [size, offset, how, _] = self.cpuid.get(0xD, number);
            if compacted && how & 2 != 0 {
                next = next.next_multiple_of(64);
            }
            let offset = if compacted { next } else { offset.into() };
            next = offset + u64::from(size);
            found.push(Component { bit: 1 << number, offset, size: size as usize });
        }
        found
    }

    /// Bytes of an area for the components of `bits`: CPUID.(0xD, 0 and 1).EBX.
    pub(crate) fn xsave_size(&self, bits: u64, compacted: bool) -> u32 {
        let end = |c: &Component| c.offset + c.size as u64;
        self.components(bits, compacted).iter().map(end).max().unwrap_or(0).max(FIXED as u64) as u32
    }

    /// The area's offset and RFBM, after the checks that all of them make first.
    fn xsave_area(&mut self, d: &Decoded, kind: Kind) -> Result<(u64, u64), Box<Stop>> {
        if self.cr4 & CR4_OSXSAVE == 0 {
            return Err(ud());
        }
        if self.cr0 & CR0_TS != 0 {
            return Err(not_available());
        }
        let offset = self.effective_address(d);
        if !self.linear(d.memory.segment, offset, FIXED, kind)?.is_multiple_of(64) {
            return Err(gp0());
        }
        Ok((offset, self.xcr0 & (self.gpr(0, 4) | self.gpr(2, 4) << 32)))
    }

    /// The bytes of a component after the header.
    fn component(&mut self, bit: u64) -> Option<&mut [u8]> {
        match bit {
            component::TILECFG => Some(&mut self.xstate.tile_config[..]),
            component::TILEDATA => Some(&mut Arc::make_mut(&mut self.xstate.tile_data)[..]),
            _ => None,
        }
    }

    /// A component's bytes in an area at `offset`; #NM if IA32_XFD disables it.
    fn load_component(
        &mut self,
        m: &mut Memory,
        d: &Decoded,
        offset: u64,
        c: &Component,
    ) -> Result<Vec<u8>, Box<Stop>> {
        self.require_enabled(c.bit)?;
        let mut bytes = vec![0; c.size];
        let places = self.pieces(m, d, offset.wrapping_add(c.offset), c.size, Kind::Read)?;
        for (place, part) in places.iter().zip(bytes.chunks_mut(PIECE)) {
            m.load_place(place, part);
        }
        Ok(bytes)
    }

    fn pieces(
        &mut self,
        m: &mut Memory,
        d: &Decoded,
        at: u64,
        size: usize,
        kind: Kind,
    ) -> Result<Vec<Place>, Box<Stop>> {
        (0..size)
            .step_by(PIECE)
            .map(|start| {
                let length = PIECE.min(size - start);
                self.data(m, d.memory.segment, at.wrapping_add(start as u64), length, kind)
            })
            .collect()
    }
}

/// The part of the legacy region that belongs to x87, to SSE, and MXCSR with its mask.
const X87: [std::ops::Range<usize>; 2] = [0..24, 32..160];
const XMM: std::ops::Range<usize> = 160..416;
const MXCSR: std::ops::Range<usize> = 24..32;

/// A quadword of the header.
fn word(area: &[u8; FIXED], at: usize) -> u64 {
    area[at..at + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn xsave(p: &mut Core, m: &mut Memory, d: &Decoded, compacted: bool) -> Step {
    if compacted && !p.cpuid.has(XSAVEC) {
        return Err(ud());
    }
    let (offset, wanted) = p.xsave_area(d, Kind::Write)?;
    // A component that IA32_XFD disables counts as unused.
    let used = (p.xstate.in_use | LEGACY) & !p.msrs.xfd;
    let fixed = p.data(m, d.memory.segment, offset, FIXED, Kind::Write)?;
    let mut stores = Vec::new();
    for c in p.components(wanted, compacted) {
        if !compacted || used & c.bit != 0 {
            stores.push((c.bit, p.pieces(m, d, offset.wrapping_add(c.offset), c.size, Kind::Write)?));
        }
    }
    let mut area = [0; FIXED];
    m.load_place(&fixed, &mut area);
    let image = &p.xstate.fxsave;
    if wanted & component::X87 != 0 {
        X87.into_iter().for_each(|part| area[part.clone()].copy_from_slice(&image[part]));
    }
    if wanted & component::SSE != 0 {
        area[XMM].copy_from_slice(&image[XMM]);
        area[MXCSR].copy_from_slice(&image[MXCSR]);
    }
    let old = if compacted { 0 } else { word(&area, HEADER) & !wanted };
    area[HEADER..HEADER + 8].copy_from_slice(&(old | used & wanted).to_le_bytes());
    if compacted {
        area[HEADER + 8..HEADER + 16].copy_from_slice(&(wanted | COMPACTED).to_le_bytes());
    }
    m.store_place(&fixed, &area);
    for (bit, places) in stores {
        let Some(state) = p.component(bit) else { continue };
        for (place, bytes) in places.iter().zip(state.chunks(PIECE)) {
            if used & bit != 0 {
                m.store_place(place, bytes);
            } else {
                m.store_place(place, &vec![0; bytes.len()]);
            }
        }
    }
    Ok(())
}

/// The header of an area to be restored.
struct Header {
    /// XSTATE_BV.
    present: u64,
    compacted: bool,
    /// The components that have a place in the area.
    layout: u64,
}

impl Header {
    /// #GP(0) for one that XRSTOR refuses.
    fn of(p: &Core, area: &[u8; FIXED]) -> Result<Self, Box<Stop>> {
        let (present, format) = (word(area, HEADER), word(area, HEADER + 8));
        let compacted = format & COMPACTED != 0;
        let layout = if compacted { format & !COMPACTED } else { p.xcr0 };
        let reserved = if compacted { &area[HEADER + 16..] } else { &area[HEADER + 8..HEADER + 24] };
        let bad = compacted && !p.cpuid.has(XSAVEC) || layout & !p.xcr0 != 0 || present & !layout != 0;
        if bad || reserved.iter().any(|byte| *byte != 0) {
            Err(gp0())
        } else {
            Ok(Self { present, compacted, layout })
        }
    }

    /// Whether the area has MXCSR: in the standard format always, in the compacted one with SSE.
    fn has_mxcsr(&self) -> bool {
        !self.compacted || self.present & component::SSE != 0
    }
}

fn xrstor(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let (offset, wanted) = p.xsave_area(d, Kind::Read)?;
    let fixed = p.data(m, d.memory.segment, offset, FIXED, Kind::Read)?;
    let mut area = [0; FIXED];
    m.load_place(&fixed, &mut area);
    let header = Header::of(p, &area)?;
    let mut loads = Vec::new();
    for c in p.components(header.layout, header.compacted).into_iter().filter(|c| wanted & c.bit != 0) {
        let bytes =
            if header.present & c.bit != 0 { p.load_component(m, d, offset, &c)? } else { Vec::new() };
        loads.push((c.bit, bytes));
    }
    if wanted & component::SSE != 0 && header.has_mxcsr() {
        check_mxcsr(u32::from_le_bytes([area[24], area[25], area[26], area[27]]))?;
    }
    restore_legacy(&mut p.xstate.fxsave, &area, wanted, &header);
    p.xstate.in_use = p.xstate.in_use & !wanted | header.present & wanted;
    for (bit, bytes) in loads {
        let Some(state) = p.component(bit) else { continue };
        // A tile configuration that LDTILECFG would refuse becomes the initial one.
        let valid = bit != component::TILECFG || amx::is_valid_or_initial(&bytes);
        if bytes.len() == state.len() && valid {
            state.copy_from_slice(&bytes);
        } else {
            state.fill(0);
            p.xstate.in_use &= !bit;
        }
    }
    Ok(())
}

/// x87 and SSE, from the area or as they are initially.
fn restore_legacy(image: &mut [u8; 512], area: &[u8; FIXED], wanted: u64, header: &Header) {
    let initial = XState::default().fxsave;
    let source = |bit: u64| if header.present & bit != 0 { &area[..HEADER] } else { &initial[..] };
    if wanted & component::X87 != 0 {
        X87.into_iter().for_each(|part| image[part.clone()].copy_from_slice(&source(component::X87)[part]));
    }
    if wanted & component::SSE != 0 {
        image[XMM].copy_from_slice(&source(component::SSE)[XMM]);
        image[24..28].copy_from_slice(if header.has_mxcsr() { &area[24..28] } else { &initial[24..28] });
    }
}
