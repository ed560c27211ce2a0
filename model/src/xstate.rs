//! Extended state: what XSAVE saves.

use std::sync::{Arc, LazyLock};

/// TILEDATA of a processor that has not used it.
static NO_TILES: LazyLock<Arc<[u8; 8192]>> = LazyLock::new(|| Arc::new([0; 8192]));

/// State components, by their number in XCR0 and in XSAVE's XSTATE_BV.
pub mod component {
    /// x87.
    pub const X87: u64 = 1 << 0;
    /// XMM registers and MXCSR.
    pub const SSE: u64 = 1 << 1;
    /// TILECFG.
    pub const TILECFG: u64 = 1 << 17;
    /// TILEDATA, which IA32_XFD can disable.
    pub const TILEDATA: u64 = 1 << 18;
}

/// The extended state of a processor.
#[derive(Clone, PartialEq, Eq)]
pub struct XState {
    /// x87 and SSE state in FXSAVE's 64-bit format; XMM registers from byte 160 on.
    pub fxsave: [u8; 512],
    /// TILECFG in LDTILECFG's format; all zeros when tiles are not configured.
    pub tile_config: [u8; 64],
    /// Eight tiles of 16 rows of 64 bytes. Most guests have none: those share the zeros.
    pub tile_data: Arc<[u8; 8192]>,
    /// Components that are in use: XINUSE. See [`component`].
    pub in_use: u64,
}

impl XState {
    /// Offset of ST0 in the FXSAVE image; each register takes 16 bytes.
    pub(crate) const ST: usize = 32;
    /// Offset of XMM0 in the FXSAVE image; each register takes 16 bytes.
    pub(crate) const XMM: usize = 160;
    /// Offset of MXCSR in the FXSAVE image.
    pub(crate) const MXCSR: usize = 24;

    /// MXCSR.
    pub fn mxcsr(&self) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.fxsave[Self::MXCSR..Self::MXCSR + 4]);
        u32::from_le_bytes(bytes)
    }
}

impl Default for XState {
    /// The state after FNINIT and reset: FCW 0x037F, MXCSR 0x1F80.
    fn default() -> Self {
        let mut fxsave = [0; 512];
        fxsave[0..2].copy_from_slice(&0x037Fu16.to_le_bytes());
        fxsave[Self::MXCSR..Self::MXCSR + 4].copy_from_slice(&0x1F80u32.to_le_bytes());
        fxsave[28..32].copy_from_slice(&0xFFFFu32.to_le_bytes());
        Self { fxsave, tile_config: [0; 64], tile_data: Arc::clone(&NO_TILES), in_use: 0 }
    }
}

impl std::fmt::Debug for XState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XState")
            .field("in_use", &format_args!("{:#x}", self.in_use))
            .field("mxcsr", &format_args!("{:#x}", self.mxcsr()))
            .field("palette", &self.tile_config[0])
            .finish_non_exhaustive()
    }
}
