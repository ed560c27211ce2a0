//! AMX tiles: configuration, release, TILEZERO. Loads and stores of tiles make their checks, XFD's
//! #NM among them, and then stop as unknown.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::fpu::not_available;
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::stop::{Step, Stop, gp0, ud};
use crate::xstate::component::{TILECFG, TILEDATA};
use fred::control::{CR0_TS, CR4_OSXSAVE};
use fred::event::vector;
use iced_x86::Mnemonic;
use std::sync::Arc;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Ldtilecfg => ldtilecfg,
        M::Sttilecfg => sttilecfg,
        M::Tilerelease => tilerelease,
        M::Tilezero => tilezero,
        M::Tileloadd | M::Tileloaddt1 | M::Tilestored => |p, _, d| {
            p.require_tile(d)?;
            Err(Stop::Unknown.into())
        },
        _ => return None,
    })
}

/// Palette 1.
const TILES: usize = 8;
const TILE_BYTES: usize = 1024;
const ROW_BYTES: u16 = 64;
const ROWS: u8 = 16;

impl Core {
    /// What every AMX instruction checks first. Outside 64-bit mode none is decoded.
    fn require_amx(&self) -> Step {
        let enabled = self.xcr0 & (TILECFG | TILEDATA) == TILECFG | TILEDATA;
        let offered = self.cpuid.has(fred::cpuid::AMX_TILE);
        if !offered || self.cr4 & CR4_OSXSAVE == 0 || !enabled {
            return Err(ud());
        }
        if self.cr0 & CR0_TS != 0 { Err(not_available()) } else { Ok(()) }
    }

    /// The checks of an instruction that uses tile data, and the tile it names.
    fn require_tile(&mut self, d: &Decoded) -> Result<usize, Box<Stop>> {
        let tile = d.operands.iter().find_map(|operand| match operand {
            Operand::Tile(index) => Some(usize::from(*index)),
            _ => None,
        });
        let configured = self.xstate.tile_config[0] != 0;
        let amx = self.require_amx();
        // #UD of any kind comes before #NM.
        if amx == Err(ud()) {
            return Err(ud());
        }
        let Some(tile) = tile.filter(|tile| configured && *tile < TILES && self.rows(*tile) != 0) else {
            return Err(ud());
        };
        amx?;
        self.require_enabled(TILEDATA)?;
        Ok(tile)
    }

    /// #NM for a component that IA32_XFD disables. IA32_XFD_ERR is written before an intercept.
    pub(super) fn require_enabled(&mut self, component: u64) -> Step {
        if self.cpuid.has(fred::cpuid::XFD) && self.msrs.xfd & component != 0 {
            self.msrs.xfd_err = component;
            return Err(Stop::Fault(Event { data: component, ..Event::exception(vector::NM) }).into());
        }
        Ok(())
    }

    fn rows(&self, tile: usize) -> u8 {
        self.xstate.tile_config[48 + tile]
    }
}

/// Whether a configuration is one of palette 1 (SDM vol. 2, LDTILECFG).
fn is_valid(config: &[u8; 64]) -> bool {
    let columns = |tile: usize| u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]);
    let rows = |tile: usize| config[48 + tile];
    let tiles = (0..TILES).all(|tile| {
        columns(tile) <= ROW_BYTES && rows(tile) <= ROWS && (columns(tile) == 0) == (rows(tile) == 0)
    });
    let unused = (TILES..16).all(|tile| columns(tile) == 0 && rows(tile) == 0);
    config[0] == 1 && config[2..16].iter().all(|byte| *byte == 0) && tiles && unused
}

/// Whether XRSTOR takes a configuration as it is.
pub(super) fn is_valid_or_initial(config: &[u8]) -> bool {
    <&[u8; 64]>::try_from(config).is_ok_and(is_valid)
}

fn ldtilecfg(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_amx()?;
    let place = p.memory_operand(m, d, 64, Kind::Read)?;
    let mut config = [0; 64];
    m.load_place(&place, &mut config);
    if config[0] == 0 {
        release(p);
        return Ok(());
    }
    if !is_valid(&config) {
        return Err(gp0());
    }
    p.xstate.tile_config = config;
    Arc::make_mut(&mut p.xstate.tile_data).fill(0);
    p.xstate.in_use = p.xstate.in_use & !TILEDATA | TILECFG;
    Ok(())
}

fn sttilecfg(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_amx()?;
    let place = p.memory_operand(m, d, 64, Kind::Write)?;
    m.store_place(&place, &p.xstate.tile_config);
    Ok(())
}

fn release(p: &mut Core) {
    p.xstate.tile_config = [0; 64];
    Arc::make_mut(&mut p.xstate.tile_data).fill(0);
    p.xstate.in_use &= !(TILECFG | TILEDATA);
}

fn tilerelease(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_amx()?;
    release(p);
    Ok(())
}

fn tilezero(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    let tile = p.require_tile(d)?;
    Arc::make_mut(&mut p.xstate.tile_data)[tile * TILE_BYTES..(tile + 1) * TILE_BYTES].fill(0);
    p.xstate.tile_config[1] = 0;
    p.xstate.in_use |= TILEDATA;
    Ok(())
}
