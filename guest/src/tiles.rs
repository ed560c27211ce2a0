//! An AMX tile configuration, for cases of extended feature disable.

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

/// Configures tiles: [`ONE_ROW`]. Needs AMX, and tiles enabled in XCR0.
pub fn load() {
    // SAFETY: cases that load tiles need AMX and have enabled it; the configuration is valid.
    unsafe {
        core::arch::asm!("ldtilecfg [{}]", in(reg) &raw const ONE_ROW, options(nostack, preserves_flags));
    }
}
