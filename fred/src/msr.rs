//! MSR numbers, and what WRMSR refuses to store in the FRED ones.

use crate::config::FredConfig;

/// IA32_EFER.
pub const EFER: u32 = 0xC000_0080;
/// IA32_STAR: selectors of SYSCALL, SYSRET, FRED delivery from ring 3 and ERETU.
pub const STAR: u32 = 0xC000_0081;
/// IA32_LSTAR: unused while CR4.FRED = 1.
pub const LSTAR: u32 = 0xC000_0082;
/// IA32_CSTAR: unused while CR4.FRED = 1.
pub const CSTAR: u32 = 0xC000_0083;
/// IA32_FMASK.
pub const FMASK: u32 = 0xC000_0084;
/// IA32_FS_BASE.
pub const FS_BASE: u32 = 0xC000_0100;
/// IA32_GS_BASE.
pub const GS_BASE: u32 = 0xC000_0101;
/// IA32_KERNEL_GS_BASE.
pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
/// IA32_XFD: state components whose use raises #NM.
pub const XFD: u32 = 0x1C4;
/// IA32_XFD_ERR: the component whose use raised the last such #NM.
pub const XFD_ERR: u32 = 0x1C5;
/// IA32_PL0_SSP, which is also IA32_FRED_SSP0 and exists with FRED even without CET.
pub const FRED_SSP0: u32 = 0x6A4;
/// IA32_FRED_RSP0; the other three follow.
pub const FRED_RSP0: u32 = 0x1CC;
/// IA32_FRED_RSP1.
pub const FRED_RSP1: u32 = 0x1CD;
/// IA32_FRED_RSP2.
pub const FRED_RSP2: u32 = 0x1CE;
/// IA32_FRED_RSP3.
pub const FRED_RSP3: u32 = 0x1CF;
/// IA32_FRED_STKLVLS.
pub const FRED_STKLVLS: u32 = 0x1D0;
/// IA32_FRED_SSP1; the other two follow.
pub const FRED_SSP1: u32 = 0x1D1;
/// IA32_FRED_SSP2.
pub const FRED_SSP2: u32 = 0x1D2;
/// IA32_FRED_SSP3.
pub const FRED_SSP3: u32 = 0x1D3;
/// IA32_FRED_CONFIG.
pub const FRED_CONFIG: u32 = 0x1D4;

/// Every MSR that exists because of FRED, in the order of their numbers.
pub const FRED_ALL: [u32; 10] = [
    FRED_RSP0,
    FRED_RSP1,
    FRED_RSP2,
    FRED_RSP3,
    FRED_STKLVLS,
    FRED_SSP1,
    FRED_SSP2,
    FRED_SSP3,
    FRED_CONFIG,
    FRED_SSP0,
];

/// WRMSR would raise #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:#x} cannot be written to MSR {msr:#x}: {reason}")]
pub struct RefusedWrite {
    /// The MSR.
    pub msr: u32,
    /// The value refused.
    pub value: u64,
    /// Which rule it breaks.
    pub reason: &'static str,
}

/// Whether bits 63:47 of `address` are all equal: canonical with 48-bit linear addresses.
#[inline]
pub const fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

/// Checks a WRMSR to one of [`FRED_ALL`]; the value of any other MSR is not looked at.
///
/// # Errors
/// When the write would raise #GP(0) (SDM vol. 3, "FRED MSRs").
pub const fn check_write(msr: u32, value: u64) -> Result<(), RefusedWrite> {
    let (reserved, address) = match msr {
        FRED_RSP0..=FRED_RSP3 => (0x3F, value),
        // It is IA32_PL0_SSP, which 32-bit shadow stacks use too: aligned to 4 bytes (vol. 4,
        // IA32_PL0_SSP; KVM's check of it is the same).
        FRED_SSP0 => (0x3, value),
        FRED_SSP1..=FRED_SSP3 => (0x7, value),
        FRED_CONFIG => (FredConfig::RESERVED, FredConfig(value).entry_page()),
        _ => return Ok(()),
    };
    if value & reserved != 0 {
        return Err(RefusedWrite { msr, value, reason: "a reserved bit is set" });
    }
    if !is_canonical(address) {
        return Err(RefusedWrite { msr, value, reason: "the address is not canonical" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_manuals() {
        assert_eq!(FRED_ALL, [0x1CC, 0x1CD, 0x1CE, 0x1CF, 0x1D0, 0x1D1, 0x1D2, 0x1D3, 0x1D4, 0x6A4]);
        assert_eq!((XFD, XFD_ERR, STAR, FMASK), (0x1C4, 0x1C5, 0xC000_0081, 0xC000_0084));
    }

    #[test]
    fn each_reserved_bit_is_refused_alone() {
        for bit in 0..12 {
            let value = 1 << bit;
            assert_eq!(check_write(FRED_RSP0, value).is_err(), bit < 6, "RSP0 bit {bit}");
            assert_eq!(check_write(FRED_SSP1, value).is_err(), bit < 3, "SSP1 bit {bit}");
            assert_eq!(check_write(FRED_SSP0, value).is_err(), bit < 2, "SSP0 bit {bit}");
            assert_eq!(
                check_write(FRED_CONFIG, value).is_err(),
                [2, 4, 5, 11].contains(&bit),
                "CONFIG bit {bit}"
            );
        }
        assert_eq!(check_write(FRED_STKLVLS, !0), Ok(()));
    }

    #[test]
    fn addresses_must_be_canonical() {
        for msr in [FRED_RSP3, FRED_SSP0, FRED_SSP3, FRED_CONFIG] {
            assert_eq!(check_write(msr, 0xFFFF_8000_0000_0000), Ok(()), "{msr:#x}");
            assert!(check_write(msr, 0x0000_8000_0000_0000).is_err(), "{msr:#x}");
            assert!(check_write(msr, 0x0100_0000_0000_0000).is_err(), "{msr:#x}");
        }
    }
}
