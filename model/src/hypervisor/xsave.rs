//! KVM_GET_XSAVE2 and KVM_SET_XSAVE: the standard, uncompacted format.

use super::Vm;
use crate::xstate::{XState, component};
use std::sync::Arc;

/// Size of the area: x87 and SSE, the header, and AMX at the offsets of CPUID leaf 0xD.
pub(super) const SIZE: usize = 0x2B00;
const HEADER: usize = 512;
const TILE_CONFIG: usize = 0xAC0;
const TILE_DATA: usize = 0xB00;
/// Components that the legacy area holds.
const LEGACY: u64 = component::X87 | component::SSE;

impl Vm {
    /// KVM_GET_XSAVE2.
    pub(super) fn xsave_area(&self) -> Vec<u8> {
        let state = &self.processor.xstate;
        let mut area = vec![0; SIZE];
        area[..HEADER].copy_from_slice(&state.fxsave);
        area[HEADER..HEADER + 8].copy_from_slice(&(state.in_use | LEGACY).to_le_bytes());
        area[TILE_CONFIG..TILE_DATA].copy_from_slice(&state.tile_config);
        area[TILE_DATA..].copy_from_slice(&state.tile_data[..]);
        area
    }

    /// KVM_SET_XSAVE. Returns false when the area is too short for the components it names.
    pub(super) fn load_xsave_area(&mut self, area: &[u8]) -> bool {
        let Some(header) = area.get(HEADER..HEADER + 8) else { return false };
        let mut bytes = [0; 8];
        bytes.copy_from_slice(header);
        let present = u64::from_le_bytes(bytes);
        let amx = present & (component::TILECFG | component::TILEDATA) != 0;
        if amx && area.len() < SIZE {
            return false;
        }
        let mut state = XState { in_use: present & !LEGACY, ..XState::default() };
        if present & LEGACY != 0 {
            state.fxsave.copy_from_slice(&area[..HEADER]);
            state.in_use |= present & LEGACY;
        }
        if present & component::TILECFG != 0 {
            state.tile_config.copy_from_slice(&area[TILE_CONFIG..TILE_DATA]);
        }
        if present & component::TILEDATA != 0 {
            Arc::make_mut(&mut state.tile_data).copy_from_slice(&area[TILE_DATA..SIZE]);
        }
        self.processor.xstate = state;
        true
    }
}
