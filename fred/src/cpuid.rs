//! Where CPUID enumerates FRED and the features that its event data depends on.

use core::fmt;

/// A register of CPUID's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// One feature bit: the leaf and sub-leaf to ask, the register and the bit to look at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Feature {
    /// The name the manual uses.
    pub name: &'static str,
    /// Input EAX.
    pub leaf: u32,
    /// Input ECX.
    pub subleaf: u32,
    /// Output register that holds the bit.
    pub register: Register,
    /// Bit number, 0..=31.
    pub bit: u32,
}

impl Feature {
    /// Whether the feature's bit is set in the output `[eax, ebx, ecx, edx]` of its leaf.
    pub const fn is_in(&self, output: [u32; 4]) -> bool {
        output[self.register as usize] & self.mask() != 0
    }

    /// The feature's bit as a mask of its register.
    pub const fn mask(&self) -> u32 {
        1 << self.bit
    }
}

impl fmt::Debug for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, leaf, subleaf, register, bit } = self;
        write!(f, "{name} = CPUID.({leaf:#x},{subleaf}):{register:?}[{bit}]")
    }
}

const fn feature(name: &'static str, leaf: u32, subleaf: u32, register: Register, bit: u32) -> Feature {
    Feature { name, leaf, subleaf, register, bit }
}

/// Flexible Return and Event Delivery.
pub const FRED: Feature = feature("FRED", 7, 1, Register::Eax, 17);
/// The LKGS instruction; FRED implies it.
pub const LKGS: Feature = feature("LKGS", 7, 1, Register::Eax, 18);
/// Non-serialising WRMSR.
pub const WRMSRNS: Feature = feature("WRMSRNS", 7, 1, Register::Eax, 19);
/// NMI-source reporting: with it an NMI's event data may be other than 0.
pub const NMI_SOURCE: Feature = feature("NMI-source", 7, 1, Register::Eax, 20);
/// AMX tile registers.
pub const AMX_TILE: Feature = feature("AMX-TILE", 7, 0, Register::Edx, 24);
/// Supervisor-mode execution prevention.
pub const SMEP: Feature = feature("SMEP", 7, 0, Register::Ebx, 7);
/// Supervisor-mode access prevention.
pub const SMAP: Feature = feature("SMAP", 7, 0, Register::Ebx, 20);
/// XSAVE, XGETBV and XCR0.
pub const XSAVE: Feature = feature("XSAVE", 1, 0, Register::Ecx, 26);
/// Extended feature disable: IA32_XFD and IA32_XFD_ERR.
pub const XFD: Feature = feature("XFD", 0xD, 1, Register::Eax, 4);
/// Execute-disable page bit.
pub const NX: Feature = feature("NX", 0x8000_0001, 0, Register::Edx, 20);
/// 1-GiB pages.
pub const PAGE_1G: Feature = feature("1-GiB pages", 0x8000_0001, 0, Register::Edx, 26);
/// RDTSCP and IA32_TSC_AUX.
pub const RDTSCP: Feature = feature("RDTSCP", 0x8000_0001, 0, Register::Edx, 27);
/// A hypervisor is present.
pub const HYPERVISOR: Feature = feature("hypervisor", 1, 0, Register::Ecx, 31);

/// The vendor of Intel's processors.
pub const INTEL: [u8; 12] = *b"GenuineIntel";

/// The vendor that the output `[eax, ebx, ecx, edx]` of leaf 0 names.
pub fn vendor([_, ebx, ecx, edx]: [u32; 4]) -> [u8; 12] {
    let mut name = [0; 12];
    for (bytes, register) in name.chunks_exact_mut(4).zip([ebx, edx, ecx]) {
        bytes.copy_from_slice(&register.to_le_bytes());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_spelled_by_ebx_edx_and_ecx() {
        assert_eq!(vendor([0x1D, 0x756E_6547, 0x6C65_746E, 0x4965_6E69]), INTEL);
        assert_eq!(vendor([0x10, 0x6874_7541, 0x444D_4163, 0x6974_6E65]), *b"AuthenticAMD");
    }

    #[test]
    fn fred_is_bit_17_of_eax_of_leaf_7_1() {
        assert!(FRED.is_in([0x0002_0000, 0, 0, 0]));
        assert!(!FRED.is_in([0xFFFD_FFFF, !0, !0, !0]));
        assert!(LKGS.is_in([0x0004_0000, 0, 0, 0]));
        assert!(WRMSRNS.is_in([0x0008_0000, 0, 0, 0]));
        assert!(AMX_TILE.is_in([0, 0, 0, 0x0100_0000]));
        assert!(XFD.is_in([0x10, 0, 0, 0]));
    }

    #[test]
    fn a_feature_prints_where_it_is() {
        assert_eq!(std::format!("{FRED:?}"), "FRED = CPUID.(0x7,1):Eax[17]");
    }
}
