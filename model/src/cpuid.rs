//! CPUID: what the processor says about itself, and therefore what it is.

use fred::cpuid::Feature;
use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// Everything CPUID answers. A leaf that is not in the table reads as zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuidTable {
    /// The leaves.
    pub entries: Vec<kvm_cpuid_entry2>,
}

impl CpuidTable {
    /// The answer `[eax, ebx, ecx, edx]` to a leaf and sub-leaf, before the bits that mirror CR4.
    pub fn get(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        vm::cpuid::output(&self.entries, leaf, subleaf)
    }

    /// Whose processor the table describes.
    pub fn vendor(&self) -> Vendor {
        let [_, ebx, ecx, edx] = self.get(0, 0);
        Vendor::of([ebx, edx, ecx].map(u32::to_le_bytes).as_flattened())
    }

    /// Whether the table offers a feature.
    pub fn has(&self, feature: Feature) -> bool {
        vm::cpuid::has(&self.entries, feature)
    }
}

/// Whose processor it is, where the manuals or the silicon of the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// `GenuineIntel`, and every vendor that is not AMD.
    #[default]
    Intel,
    /// `AuthenticAMD`, and Hygon, who build AMD's cores.
    Amd,
}

impl Vendor {
    /// EBX, EDX and ECX of CPUID leaf 0, in this order: twelve letters.
    pub const fn signature(self) -> &'static [u8; 12] {
        match self {
            Self::Intel => b"GenuineIntel",
            Self::Amd => b"AuthenticAMD",
        }
    }

    /// Whose signature it is.
    pub fn of(signature: &[u8]) -> Self {
        if signature == Self::Amd.signature() || signature == b"HygonGenuine" {
            Self::Amd
        } else {
            Self::Intel
        }
    }
}

const fn entry(leaf: u32, subleaf: Option<u32>, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    let (index, flags) = match subleaf {
        Some(index) => (index, KVM_CPUID_FLAG_SIGNIFCANT_INDEX),
        None => (0, 0),
    };
    kvm_cpuid_entry2 { function: leaf, index, flags, eax, ebx, ecx, edx, padding: [0; 3] }
}

/// A generic 64-bit processor with FRED, LKGS, WRMSRNS, XFD and AMX under a hypervisor.
pub fn default_table() -> CpuidTable {
    const fn bits<const N: usize>(bits: [u32; N]) -> u32 {
        let mut value = 0;
        let mut i = 0;
        while i < N {
            value |= 1 << bits[i];
            i += 1;
        }
        value
    }
    // FPU DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT CLFSH MMX FXSR SSE SSE2.
    let features = bits([0, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 19, 23, 24, 25, 26]);
    // CX16 MOVBE POPCNT XSAVE HYPERVISOR.
    let more_features = bits([13, 22, 23, 26, 31]);
    // SYSCALL NX PDPE1GB RDTSCP LM.
    let extended = bits([11, 20, 26, 27, 29]);
    CpuidTable {
        entries: vec![
            // "GenuineIntel"; the highest basic leaf is 0x1D.
            entry(0, None, [0x1D, 0x756E_6547, 0x6C65_746E, 0x4965_6E69]),
            entry(1, None, [0x000C_06F2, 0x0001_0800, more_features, features]),
            // BMI1 (3), SMEP (7), BMI2 (8), ADX (19), SMAP (20); AMX-TILE is EDX[24].
            entry(7, Some(0), [1, bits([3, 7, 8, 19, 20]), 0, bits([24])]),
            // FRED, LKGS, WRMSRNS.
            entry(7, Some(1), [bits([17, 18, 19]), 0, 0, 0]),
            // XCR0: x87, SSE, XTILECFG, XTILEDATA. The area without compaction is 11008 bytes.
            entry(0xD, Some(0), [0x0006_0003, 0x2B00, 0x2B00, 0]),
            // XSAVEC (1), XFD (4); EBX is that of XCR0, as in sub-leaf 0.
            entry(0xD, Some(1), [bits([1, 4]), 0x2B00, 0, 0]),
            entry(0xD, Some(17), [0x40, 0xAC0, 0b10, 0]),
            entry(0xD, Some(18), [0x2000, 0xB00, 0b110, 0]),
            // Palette 1: 8192 bytes in all, 1024 a tile, 64 a row, 8 tiles of 16 rows.
            entry(0x1D, Some(0), [1, 0, 0, 0]),
            entry(0x1D, Some(1), [0x0400_2000, 0x0008_0040, 0x10, 0]),
            entry(0x4000_0000, None, [0x4000_0000, 0, 0, 0]),
            entry(0x8000_0000, None, [0x8000_0008, 0, 0, 0]),
            // LAHF-SAHF, LZCNT, PREFETCHW.
            entry(0x8000_0001, None, [0, 0, bits([0, 5, 8]), extended]),
            // 46 physical and 48 linear address bits.
            entry(0x8000_0008, None, [0x302E, 0, 0, 0]),
        ],
    }
}
