//! Event data: the quadword at offset 0x30 of the frame.
//!
//! Defined for #PF, #DB and #NM (and for NMI with NMI-source reporting); 0 for every other event.

use crate::debug::{Dr6, names};
use core::fmt;

/// Event data of #PF: the faulting linear address, the value that CR2 receives too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PageFaultData(pub u64);

impl fmt::Display for PageFaultData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} (linear address)", self.0)
    }
}

/// Event data of #DB: the conditions of *this* #DB, every bit in positive polarity.
///
/// The format is that of a #DB exit qualification in VMX. Unlike DR6 it holds nothing of earlier
/// #DBs, and bit 12 (an enabled breakpoint was hit) and bit 15 (BT) are not part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DebugData(pub u64);

impl DebugData {
    /// Bits that #DB's event data defines.
    pub const DEFINED: u64 = Dr6::B | Dr6::BLD | Dr6::BD | Dr6::BS | Dr6::RTM;
    /// BS: single step.
    pub const BS: u64 = Dr6::BS;
    /// BD: debug registers were accessed under DR7.GD.
    pub const BD: u64 = Dr6::BD;
}

impl fmt::Display for DebugData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} (", self.0)?;
        names(f, self.0 & Self::DEFINED, &crate::debug::DB_BITS)?;
        if self.0 & !Self::DEFINED != 0 {
            write!(f, ", undefined {:#x}", self.0 & !Self::DEFINED)?;
        }
        f.write_str(")")
    }
}

/// Event data of #NM: what the fault established in IA32_XFD_ERR; 0 when CR0.TS or CR0.EM caused it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DeviceNotAvailableData(pub u64);

impl DeviceNotAvailableData {
    /// XTILEDATA, state component 18: what AMX tile instructions that touch tile data report.
    pub const TILEDATA: u64 = 1 << 18;
}

impl fmt::Display for DeviceNotAvailableData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0x0 (CR0.TS or CR0.EM)"),
            Self::TILEDATA => f.write_str("0x40000 (XFD: TILEDATA)"),
            other => write!(f, "{other:#x} (XFD)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_data_has_neither_bit_12_nor_bit_15() {
        assert_eq!(DebugData::DEFINED, 0x1_680F);
        assert_eq!(std::format!("{}", DebugData(0x4001)), "0x4001 (B0|BS)");
        assert_eq!(std::format!("{}", DebugData(0xE000)), "0xe000 (BD|BS, undefined 0x8000)");
    }

    #[test]
    fn device_not_available_data_decodes() {
        assert_eq!(DeviceNotAvailableData::TILEDATA, 0x40000);
        assert_eq!(std::format!("{}", DeviceNotAvailableData(0)), "0x0 (CR0.TS or CR0.EM)");
        assert_eq!(std::format!("{}", PageFaultData(0x1000)), "0x0000000000001000 (linear address)");
    }
}
