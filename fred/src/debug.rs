//! DR6 and DR7.

use core::fmt;

/// DR6. Two of its bits, [`RTM`](Self::RTM) and [`BLD`](Self::BLD), are active low: 1 means *no*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Dr6(pub u64);

impl Dr6 {
    /// B0..B3: the breakpoint conditions met. Rewritten by every #DB.
    pub const B: u64 = 0xF;
    /// Bit 11, active low: 0 after a bus-lock #DB.
    pub const BLD: u64 = 1 << 11;
    /// BD: debug registers were accessed under DR7.GD. Sticky.
    pub const BD: u64 = 1 << 13;
    /// BS: single step. Sticky.
    pub const BS: u64 = 1 << 14;
    /// BT: task switch. Sticky.
    pub const BT: u64 = 1 << 15;
    /// Bit 16, active low: 0 after a #DB inside a transactional region.
    pub const RTM: u64 = 1 << 16;
    /// Bits that read as 1 whatever is written: 31:17 and 10:4.
    pub const FIXED_1: u64 = 0xFFFE_07F0;
    /// Bits that software can change.
    pub const VOLATILE: u64 = Self::B | Self::BLD | Self::BD | Self::BS | Self::BT | Self::RTM;
    /// The value after reset: nothing has happened.
    pub const RESET: Self = Self(0xFFFF_0FF0);
    /// The active-low bits.
    pub const ACTIVE_LOW: u64 = Self::BLD | Self::RTM;
}

impl Default for Dr6 {
    fn default() -> Self {
        Self::RESET
    }
}

impl fmt::Display for Dr6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened = self.0 ^ Self::ACTIVE_LOW;
        write!(f, "{:#010x} (", self.0)?;
        names(f, happened, &DB_BITS)?;
        f.write_str(")")
    }
}

/// Name of each condition that DR6 and #DB's event data can report.
pub(crate) const DB_BITS: [(u64, &str); 9] = [
    (1, "B0"),
    (2, "B1"),
    (4, "B2"),
    (8, "B3"),
    (Dr6::BLD, "BLD"),
    (Dr6::BD, "BD"),
    (Dr6::BS, "BS"),
    (Dr6::BT, "BT"),
    (Dr6::RTM, "RTM"),
];

/// Writes the names of the set bits separated by `|`, or `none`.
pub(crate) fn names(f: &mut fmt::Formatter<'_>, bits: u64, table: &[(u64, &str)]) -> fmt::Result {
    let mut separator = "";
    for (bit, name) in table {
        if bits & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
    }
    if separator.is_empty() { f.write_str("none") } else { Ok(()) }
}

/// What kind of access a breakpoint watches: the R/W field of DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BreakOn {
    /// Instruction execution; a fault.
    Execute = 0,
    /// Data writes; a trap.
    Write = 1,
    /// I/O reads and writes, with CR4.DE.
    Io = 2,
    /// Data reads and writes; a trap.
    ReadWrite = 3,
}

impl fmt::Display for BreakOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Execute => "execute",
            Self::Write => "write",
            Self::Io => "I/O",
            Self::ReadWrite => "read or write",
        })
    }
}

/// DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Dr7(pub u64);

impl Dr7 {
    /// Bit 10 reads as 1: the value after reset.
    pub const RESET: Self = Self(0x400);
    /// GD: any access to a debug register raises #DB. Cleared by #DB delivery.
    pub const GD: u64 = 1 << 13;
    /// L0 and G0..L3 and G3.
    pub const ENABLES: u64 = 0xFF;

    /// Whether breakpoint `index` (0..=3) is enabled, locally or globally.
    pub const fn enabled(self, index: u8) -> bool {
        self.0 >> (2 * (index & 3)) & 3 != 0
    }

    /// What breakpoint `index` (0..=3) watches.
    pub const fn break_on(self, index: u8) -> BreakOn {
        match self.0 >> (16 + 4 * (index & 3)) & 3 {
            0 => BreakOn::Execute,
            1 => BreakOn::Write,
            2 => BreakOn::Io,
            _ => BreakOn::ReadWrite,
        }
    }

    /// How many bytes breakpoint `index` (0..=3) watches: 1, 2, 4 or 8.
    pub const fn length(self, index: u8) -> u64 {
        match self.0 >> (18 + 4 * (index & 3)) & 3 {
            0 => 1,
            1 => 2,
            2 => 8,
            _ => 4,
        }
    }
}

impl Default for Dr7 {
    fn default() -> Self {
        Self::RESET
    }
}

impl fmt::Display for Dr7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} (", self.0)?;
        let mut separator = "";
        for index in (0..4).filter(|index| self.enabled(*index)) {
            write!(f, "{separator}{index}: {} {} bytes", self.break_on(index), self.length(index))?;
            separator = ", ";
        }
        if self.0 & Self::GD != 0 {
            write!(f, "{separator}GD")?;
            separator = ", ";
        }
        f.write_str(if separator.is_empty() { "none)" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dr6_reset_reports_nothing() {
        assert_eq!(Dr6::RESET.0, 0xFFFF_0FF0);
        assert_eq!(Dr6::FIXED_1 | Dr6::ACTIVE_LOW, 0xFFFF_0FF0);
        assert_eq!(std::format!("{}", Dr6::RESET), "0xffff0ff0 (none)");
        assert_eq!(std::format!("{}", Dr6(0xFFFF_EFF1)), "0xffffeff1 (B0|BD|BS|BT)");
        assert_eq!(std::format!("{}", Dr6(0xFFFE_07F0)), "0xfffe07f0 (BLD|RTM)");
    }

    #[test]
    fn dr7_fields_are_where_the_manual_puts_them() {
        let dr7 = Dr7(0x400 | 0x1 | 0b1001 << 16 | 0x8 | 0b1111 << 20);
        assert!(dr7.enabled(0) && dr7.enabled(1) && !dr7.enabled(2));
        assert_eq!((dr7.break_on(0), dr7.length(0)), (BreakOn::Write, 8));
        assert_eq!((dr7.break_on(1), dr7.length(1)), (BreakOn::ReadWrite, 4));
        assert_eq!(std::format!("{}", Dr7(0x2401)), "0x00002401 (0: execute 1 bytes, GD)");
        assert_eq!(std::format!("{}", Dr7::RESET), "0x00000400 (none)");
    }
}
