//! The processor that the tests run on: whose it is, which one, and what is between it and them.
#![allow(dead_code, reason = "each test uses its part")]

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::fmt;

/// Whose manual says what a processor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Intel,
    /// Hygon's processors too.
    Amd,
    /// Neither manual is this processor's.
    Other,
}

pub(crate) const MAKES: [Make; 3] = [Make::Intel, Make::Amd, Make::Other];

/// A processor, as far as a comparison depends on it and its reader must know it.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) make: Make,
    /// CPUID's twelve letters.
    pub(crate) signature: String,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
    /// As the kernel has it; empty where it says nothing.
    pub(crate) microcode: String,
    /// The signature of the hypervisor below; `None` where CPUID shows none.
    pub(crate) hypervisor: Option<String>,
    /// Linear addresses may have 57 bits.
    pub(crate) la57: bool,
    /// User accesses to the upper half may be #GP instead of #PF.
    pub(crate) lass: bool,
}

impl Host {
    /// This one.
    pub(crate) fn this() -> Self {
        let letters = |words: [u32; 3]| {
            String::from_utf8_lossy(words.map(u32::to_le_bytes).as_flattened()).into_owned()
        };
        let (leaf_0, leaf_1) = (__cpuid(0), __cpuid(1));
        let signature = letters([leaf_0.ebx, leaf_0.edx, leaf_0.ecx]);
        // A leaf above the highest one answers with that one's data.
        let leaf_7 = |subleaf: u32| {
            (leaf_0.eax >= 7 && __cpuid_count(7, 0).eax >= subleaf).then(|| __cpuid_count(7, subleaf))
        };
        let (base_family, base_model) = (leaf_1.eax >> 8 & 0xF, leaf_1.eax >> 4 & 0xF);
        let extended = base_family == 0xF || base_family == 6;
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let microcode = cpuinfo.lines().find(|line| line.starts_with("microcode"));
        let microcode = microcode.and_then(|line| line.split_once(": "));
        Self {
            make: Self::make(&signature),
            signature,
            family: if base_family == 0xF { 0xF + (leaf_1.eax >> 20 & 0xFF) } else { base_family },
            model: base_model | if extended { leaf_1.eax >> 12 & 0xF0 } else { 0 },
            stepping: leaf_1.eax & 0xF,
            microcode: microcode.map_or("", |(_, value)| value).to_owned(),
            hypervisor: (leaf_1.ecx >> 31 != 0).then(|| {
                let leaf = __cpuid(0x4000_0000);
                letters([leaf.ebx, leaf.ecx, leaf.edx]).trim_end_matches('\0').to_owned()
            }),
            la57: leaf_7(0).is_some_and(|leaf| leaf.ecx >> 16 & 1 != 0),
            lass: leaf_7(1).is_some_and(|leaf| leaf.eax >> 6 & 1 != 0),
        }
    }

    fn make(signature: &str) -> Make {
        match signature {
            "GenuineIntel" => Make::Intel,
            "AuthenticAMD" | "HygonGenuine" => Make::Amd,
            _ => Make::Other,
        }
    }

    /// Some processor of a make, with everything that rows may ask for.
    pub(crate) fn of(make: Make) -> Self {
        let signature = ["GenuineIntel", "AuthenticAMD", "CentaurHauls"][make as usize].to_owned();
        Self {
            make: Self::make(&signature),
            signature,
            family: 6,
            model: 0x8F,
            stepping: 8,
            microcode: String::new(),
            hypervisor: Some("KVMKVMKVM".to_owned()),
            la57: true,
            lass: true,
        }
    }

    /// The same without a hypervisor below.
    pub(crate) fn bare(mut self) -> Self {
        self.hypervisor = None;
        self
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signature, family, model, stepping, .. } = self;
        let microcode = if self.microcode.is_empty() { "unknown" } else { &self.microcode };
        write!(
            f,
            "{signature} family {family:#x} model {model:#x} stepping {stepping:#x}, microcode {microcode}, "
        )?;
        match &self.hypervisor {
            Some(hypervisor) => write!(f, "under the hypervisor {hypervisor:?}"),
            None => write!(f, "no hypervisor"),
        }
    }
}
