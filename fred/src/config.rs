//! IA32_FRED_CONFIG and IA32_FRED_STKLVLS.

use core::fmt;

/// IA32_FRED_CONFIG. Its low two bits are not configuration but the *live* current stack level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FredConfig(pub u64);

impl FredConfig {
    /// Bits 2, 5:4 and 11 are reserved.
    pub const RESERVED: u64 = 0x834;
    /// Bit 3: same-level delivery decrements SSP by 8.
    pub const SHADOW_STACK_DECREMENT: u64 = 1 << 3;
    /// Bits 8:6 in place: what same-level delivery subtracts from RSP, in bytes.
    pub const REDZONE: u64 = 0x1C0;

    /// Current stack level, 0..=3.
    pub const fn csl(self) -> u8 {
        self.0 as u8 & 3
    }

    /// The same configuration with another current stack level (0..=3; higher bits are ignored).
    pub const fn with_csl(self, level: u8) -> Self {
        Self(self.0 & !3 | (level as u64 & 3))
    }

    /// Bytes that same-level delivery leaves untouched below RSP: 0, 64, .. 448.
    pub const fn redzone(self) -> u64 {
        self.0 & Self::REDZONE
    }

    /// Stack level of external interrupts, 0..=3.
    pub const fn interrupt_level(self) -> u8 {
        (self.0 >> 9) as u8 & 3
    }

    /// The entry page: ring-3 events enter here, ring-0 events 0x100 bytes further.
    pub const fn entry_page(self) -> u64 {
        self.0 & !0xFFF
    }
}

impl fmt::Display for FredConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:#018x} (CSL {}, redzone {}, interrupt level {}, entry page {:#x})",
            self.0,
            self.csl(),
            self.redzone(),
            self.interrupt_level(),
            self.entry_page()
        )
    }
}

/// IA32_FRED_STKLVLS: two bits for each vector 0..=31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct StackLevels(pub u64);

impl StackLevels {
    /// The stack level of a vector; 0 above vector 31, which has none.
    pub const fn level(self, vector: u8) -> u8 {
        if vector < 32 { (self.0 >> (2 * vector)) as u8 & 3 } else { 0 }
    }

    /// The same levels with `vector` (0..=31) at `level` (0..=3); other arguments change nothing.
    pub const fn with(self, vector: u8, level: u8) -> Self {
        if vector >= 32 || level > 3 {
            return self;
        }
        let shift = 2 * vector;
        Self(self.0 & !(3 << shift) | (level as u64) << shift)
    }
}

impl fmt::Display for StackLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} (", self.0)?;
        let mut separator = "";
        for vector in 0..32 {
            if self.level(vector) != 0 {
                write!(f, "{separator}vector {vector}: {}", self.level(vector))?;
                separator = ", ";
            }
        }
        f.write_str(if separator.is_empty() { "all 0)" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_fields_are_where_the_manual_puts_them() {
        let config = FredConfig(0xFFFF_8000_0010_0000 | 2 << 9 | 3 << 6 | 1);
        assert_eq!(config.csl(), 1);
        assert_eq!(config.redzone(), 192);
        assert_eq!(config.interrupt_level(), 2);
        assert_eq!(config.entry_page(), 0xFFFF_8000_0010_0000);
        assert_eq!(config.with_csl(3).0, 0xFFFF_8000_0010_04C3);
    }

    #[test]
    fn stack_levels_are_two_bits_a_vector() {
        let levels = StackLevels::default().with(14, 1).with(8, 3);
        assert_eq!(levels.0, 0x1003_0000);
        assert_eq!((levels.level(14), levels.level(8), levels.level(13), levels.level(40)), (1, 3, 0, 0));
        assert_eq!(levels.with(14, 2).level(14), 2);
        assert_eq!(levels.with(32, 1), levels);
        assert_eq!(std::format!("{levels}"), "0x0000000010030000 (vector 8: 3, vector 14: 1)");
    }
}
