//! What CPUID offers: an instruction that is not offered is #UD.

use crate::cpuid::{CpuidTable, Vendor};
use fred::cpuid::{Feature, Register};
use iced_x86::{CpuidFeature as F, Instruction};

/// What the processor often needs from CPUID, looked up once for each entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    pub(crate) adx: bool,
    pub(crate) bmi1: bool,
    pub(crate) bmi2: bool,
    pub(crate) cx16: bool,
    pub(crate) lzcnt: bool,
    pub(crate) movbe: bool,
    pub(crate) popcnt: bool,
    /// 1-GiB pages.
    pub(crate) page_1g: bool,
    /// MAXPHYADDR.
    pub(crate) physical_bits: u32,
    /// Whose processor this is.
    pub(crate) vendor: Vendor,
}

impl Features {
    pub(crate) fn of(cpuid: &CpuidTable) -> Self {
        let has = |feature| bit_of(feature).is_some_and(|bit| cpuid.has(bit));
        Self {
            adx: has(F::ADX),
            bmi1: has(F::BMI1),
            bmi2: has(F::BMI2),
            cx16: has(F::CMPXCHG16B),
            lzcnt: has(F::LZCNT),
            movbe: has(F::MOVBE),
            popcnt: has(F::POPCNT),
            page_1g: cpuid.has(fred::cpuid::PAGE_1G),
            physical_bits: match cpuid.get(0x8000_0008, 0)[0] & 0xFF {
                0 => 36,
                bits => bits.min(52),
            },
            vendor: cpuid.vendor(),
        }
    }
}

/// Where CPUID offers a feature (SDM vol. 2, CPUID; AMD's manual for SVM and what is under
/// 0x8000_0001).
fn bit_of(feature: F) -> Option<Feature> {
    let (leaf, subleaf, register, bit) =
        *BITS.iter().find(|(f, ..)| *f == feature).map(|(_, place)| place)?;
    Some(Feature { name: "", leaf, subleaf, register, bit })
}

type Bit = (u32, u32, Register, u32);

#[rustfmt::skip]
const BITS: &[(F, Bit)] = &[
    (F::SSE3, (1, 0, Register::Ecx, 0)),
    (F::PCLMULQDQ, (1, 0, Register::Ecx, 1)),
    (F::MONITOR, (1, 0, Register::Ecx, 3)),
    (F::VMX, (1, 0, Register::Ecx, 5)),
    (F::SMX, (1, 0, Register::Ecx, 6)),
    (F::SSSE3, (1, 0, Register::Ecx, 9)),
    (F::CMPXCHG16B, (1, 0, Register::Ecx, 13)),
    (F::SSE4_1, (1, 0, Register::Ecx, 19)),
    (F::SSE4_2, (1, 0, Register::Ecx, 20)),
    (F::MOVBE, (1, 0, Register::Ecx, 22)),
    (F::POPCNT, (1, 0, Register::Ecx, 23)),
    (F::AES, (1, 0, Register::Ecx, 25)),
    (F::XSAVE, (1, 0, Register::Ecx, 26)),
    (F::RDRAND, (1, 0, Register::Ecx, 30)),
    (F::MMX, (1, 0, Register::Edx, 23)),
    (F::FSGSBASE, (7, 0, Register::Ebx, 0)),
    (F::BMI1, (7, 0, Register::Ebx, 3)),
    (F::BMI2, (7, 0, Register::Ebx, 8)),
    (F::INVPCID, (7, 0, Register::Ebx, 10)),
    (F::RTM, (7, 0, Register::Ebx, 11)),
    (F::RDSEED, (7, 0, Register::Ebx, 18)),
    (F::ADX, (7, 0, Register::Ebx, 19)),
    (F::SMAP, (7, 0, Register::Ebx, 20)),
    (F::CLFLUSHOPT, (7, 0, Register::Ebx, 23)),
    (F::CLWB, (7, 0, Register::Ebx, 24)),
    (F::SHA, (7, 0, Register::Ebx, 29)),
    (F::PKU, (7, 0, Register::Ecx, 3)),
    (F::WAITPKG, (7, 0, Register::Ecx, 5)),
    (F::GFNI, (7, 0, Register::Ecx, 8)),
    (F::RDPID, (7, 0, Register::Ecx, 22)),
    (F::MOVDIRI, (7, 0, Register::Ecx, 27)),
    (F::MOVDIR64B, (7, 0, Register::Ecx, 28)),
    (F::ENQCMD, (7, 0, Register::Ecx, 29)),
    (F::UINTR, (7, 0, Register::Edx, 5)),
    (F::SERIALIZE, (7, 0, Register::Edx, 14)),
    (F::XSAVEOPT, (0xD, 1, Register::Eax, 0)),
    (F::XSAVEC, (0xD, 1, Register::Eax, 1)),
    (F::XSAVES, (0xD, 1, Register::Eax, 3)),
    (F::SVM, (0x8000_0001, 0, Register::Ecx, 2)),
    (F::LZCNT, (0x8000_0001, 0, Register::Ecx, 5)),
    (F::SSE4A, (0x8000_0001, 0, Register::Ecx, 6)),
    (F::XOP, (0x8000_0001, 0, Register::Ecx, 11)),
    (F::FMA4, (0x8000_0001, 0, Register::Ecx, 16)),
    (F::TBM, (0x8000_0001, 0, Register::Ecx, 21)),
];

/// Whether an instruction belongs to a feature that CPUID certainly does not offer.
pub(crate) fn is_missing(cpuid: &CpuidTable, instruction: &Instruction) -> bool {
    let missing = |feature: &F| bit_of(*feature).is_some_and(|bit| !cpuid.has(bit));
    instruction.cpuid_features().iter().any(missing)
}
