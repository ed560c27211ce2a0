//! An AMX tile configuration, for cases of extended feature disable.

use crate::features::XCR0_TILES;
use crate::registers::{XFD, enable_components, write_msr};

/// What LDTILECFG reads: 64 bytes (SDM vol. 1 ch. 18, "TILECFG").
#[derive(Debug)]
#[repr(C, align(64))]
pub struct TileConfiguration([u8; 64]);

/// Palette 1; tile 0 has one row of 64 bytes.
pub static ONE_ROW: TileConfiguration = TileConfiguration({
    let mut bytes = [0; 64];
    bytes[0] = 1;
    bytes[16] = 64;
    bytes[48] = 1;
    bytes
});

/// Makes the next access to a tile raise #NM: IA32_XFD disables TILEDATA. Needs AMX and XFD.
pub fn disable() {
    enable_components(XCR0_TILES);
    // The configuration comes first: XFD does not keep TILEZERO's #UD away from unconfigured tiles.
    // SAFETY: the case needs AMX, tiles are enabled in XCR0 by now, and the configuration is valid.
    unsafe {
        core::arch::asm!("ldtilecfg [{}]", in(reg) &raw const ONE_ROW, options(nostack, preserves_flags));
    }
    write_msr(XFD, 1 << 18);
}
