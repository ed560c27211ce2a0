//! Facts about the host, as reports carry them and known-issues.toml names them.

use crate::machines::qemu::Side;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Facts about the host that results depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The CPU's model name.
    pub cpu: String,
    /// Its vendor.
    pub vendor: String,
    /// The kernel's release.
    pub kernel: String,
    /// KVM modules that are loaded, separated by blanks.
    pub kvm_module: String,
    /// Whether the CPU has FRED.
    pub cpu_fred: bool,
    /// Whether KVM offers FRED to guests.
    pub kvm_fred: bool,
    /// The hypervisor or emulator that this host runs in: `qemu-tcg 7.2` in QEMU without acceleration, `bochs 2.7` in
    /// the Bochs of `on-kernel`, another hypervisor's CPUID signature otherwise; empty on hardware, or if it is hidden.
    pub nested: String,
    /// Where a process of this host is when INT1 has trapped: `after` it, as the manual says, or `at`
    /// it; empty where it raises no SIGTRAP.
    pub int1: String,
    /// The external emulators and their versions, separated by `; `; empty when there is none.
    pub emulator: String,
    /// The emulator that migrated guests continue in, where it is another.
    #[serde(default)]
    pub emulator_destination: String,
    /// Which FRED series this KVM was built with, such as `v9`: what no kernel says and the user states
    /// with `--host-fact`. Empty if it was not stated.
    pub fred_series: String,
    /// midflight's version, with the commit.
    pub midflight: String,
}

impl HostFacts {
    /// Reads them from the host, and from the KVM at `device`.
    pub fn gather(device: &Path) -> Self {
        let facts = kvm::facts(device);
        Self {
            cpu: facts.cpu,
            vendor: facts.vendor,
            kernel: facts.kernel,
            kvm_module: facts.modules.join(" "),
            cpu_fred: facts.fred_in_cpu,
            kvm_fred: facts.kvm.is_ok_and(|kvm| kvm.fred),
            nested: nested(),
            int1: kvm::rip_after_int1().to_owned(),
            emulator: String::new(),
            emulator_destination: String::new(),
            fred_series: String::new(),
            midflight: crate::version::VERSION.to_owned(),
        }
    }

    /// Takes another external emulator.
    pub fn add_emulator(&mut self, version: &str) {
        let separator = if self.emulator.is_empty() { "" } else { EMULATORS };
        self.emulator = [&self.emulator, separator, version].concat();
    }

    /// The emulator that reports call so, with its version; without one, that name.
    pub fn emulator_of<'a>(&'a self, machine: &'a str) -> &'a str {
        let is_it = |version: &&str| version.to_lowercase().starts_with(machine);
        self.emulator.split(EMULATORS).find(is_it).unwrap_or(machine)
    }

    /// The facts that known-issues.toml may name.
    pub const NAMES: [&'static str; 9] = [
        "vendor",
        "kernel",
        "kvm_module",
        "nested",
        "int1",
        "emulator",
        "saved_by",
        "accelerator",
        "fred_series",
    ];

    /// Takes a fact, `NAME=VALUE`, that only the user can know.
    /// Fails with a sentence when it is no such fact.
    pub fn state(&mut self, fact: &str) -> Result<(), String> {
        match fact.split_once('=') {
            Some(("fred_series", series)) if !series.is_empty() => {
                series.clone_into(&mut self.fred_series);
                Ok(())
            }
            Some((name, _)) if Self::NAMES.contains(&name) && name != "fred_series" => {
                Err(format!("{name} is read from the host; only fred_series can be stated"))
            }
            _ => Err(format!("`{fact}` is not a fact that can be stated; the only one is fred_series=NAME")),
        }
    }

    /// Whether a fact named in known-issues.toml holds for what ends in `side`: `emulator` is the one of that side,
    /// `saved_by` the one of the source. The rest is as in [`holds`](Self::holds).
    pub fn holds_in(&self, side: Side, name: &str, value: &str) -> bool {
        match (name, side) {
            ("emulator", Side::Destination) if !self.emulator_destination.is_empty() => {
                self.emulator_destination.starts_with(value)
            }
            _ => self.holds(name, value),
        }
    }

    /// Whether a fact named in known-issues.toml holds. `kernel`, `nested`, `emulator` and `saved_by` are
    /// compared as prefixes, `kvm_module` as one of the loaded modules; an unknown name never holds.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        match name {
            "vendor" => self.vendor == value,
            "kernel" => self.kernel.starts_with(value),
            "kvm_module" => self.kvm_module.split(' ').any(|module| module == value),
            "nested" => !self.nested.is_empty() && self.nested.starts_with(value),
            "int1" => self.int1 == value,
            "emulator" | "saved_by" => {
                self.emulator.split(EMULATORS).any(|emulator| emulator.starts_with(value))
            }
            "accelerator" => self.emulator.split(EMULATORS).any(|emulator| {
                emulator.split(", ").any(|part| part.strip_prefix("accelerator ") == Some(value))
            }),
            // What was stated of a KVM without FRED is wrong.
            "fred_series" => self.kvm_fred && self.fred_series == value,
            _ => false,
        }
    }
}

/// What separates emulators.
const EMULATORS: &str = "; ";

/// What TCG answers for the hypervisor's CPUID signature.
const TCG: &str = "TCGTCGTCGTCG";
/// QEMU's name for the machine, version included: `pc-i440fx-7.2`.
const MACHINE_VERSION: &str = "/sys/class/dmi/id/product_version";
/// On a kernel under test: the emulator that `midflight on-kernel` has started, where no CPUID tells it.
pub(crate) const EMULATOR: &str = "/midflight/emulator";

fn nested() -> String {
    if let Ok(emulator) = std::fs::read_to_string(EMULATOR) {
        return emulator;
    }
    match hypervisor_signature() {
        Some(signature) if signature == TCG => {
            let machine = std::fs::read_to_string(MACHINE_VERSION).unwrap_or_default();
            let version = machine.trim().rsplit_once('-').map_or("", |(_, version)| version);
            format!("qemu-tcg {version}").trim_end().to_owned()
        }
        other => other.unwrap_or_default(),
    }
}

/// EBX, ECX, EDX of leaf 0x4000_0000 as text, where CPUID says that there is a hypervisor.
#[cfg(target_arch = "x86_64")]
fn hypervisor_signature() -> Option<String> {
    use std::arch::x86_64::__cpuid;
    const HYPERVISOR_PRESENT: u32 = 1 << 31;
    if __cpuid(1).ecx & HYPERVISOR_PRESENT == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let bytes: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect();
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_host_says_can_be_stated() {
        let mut facts = HostFacts::default();
        facts.state("fred_series=v9").unwrap();
        assert!(!facts.holds("fred_series", "v9"), "a KVM without FRED has no series");
        facts.kvm_fred = true;
        assert!(facts.holds("fred_series", "v9") && !facts.holds("fred_series", "v"));
        assert!(facts.state("kernel=6.1").unwrap_err().contains("is read from the host"));
        for wrong in ["fred_series", "fred_series=", "colour=blue", ""] {
            assert!(facts.state(wrong).unwrap_err().contains("not a fact that can be stated"), "{wrong}");
        }
        assert!(!HostFacts { kvm_fred: true, ..HostFacts::default() }.holds("fred_series", "v9"));
    }

    #[test]
    fn facts_are_compared_as_documented() {
        let facts = HostFacts {
            kernel: "6.18.44-x".into(),
            kvm_module: "kvm kvm_amd".into(),
            vendor: "AuthenticAMD".into(),
            ..HostFacts::default()
        };
        assert!(facts.holds("kernel", "6.18.") && !facts.holds("kernel", "6.1."));
        assert!(facts.holds("kvm_module", "kvm_amd") && !facts.holds("kvm_module", "kvm_a"));
        assert!(!facts.holds("nested", "qemu-tcg") && !facts.holds("nested", ""), "hardware");
        let nested = HostFacts { nested: "qemu-tcg 7.2".into(), ..facts.clone() };
        assert!(nested.holds("nested", "qemu-tcg 7.") && !nested.holds("nested", "qemu-tcg 8."));
        let measured = HostFacts { int1: "at".into(), ..facts.clone() };
        assert!(measured.holds("int1", "at") && !measured.holds("int1", "after"));
        assert!(!facts.holds("int1", "at"), "not measured");
        let mut emulators = HostFacts::default();
        assert!(!emulators.holds("emulator", "Bochs"));
        emulators.add_emulator("QEMU emulator version 7.2");
        emulators.add_emulator("Bochs x86 Emulator 2.7 (tigerlake)");
        assert!(emulators.holds("emulator", "QEMU") && emulators.holds("emulator", "Bochs x86 Emulator 2."));
        assert!(!emulators.holds("emulator", "Emulator"));
        emulators.add_emulator("QEMU emulator version 11.1, accelerator tcg, machine microvm, CPU max");
        assert!(emulators.holds("accelerator", "tcg") && !emulators.holds("accelerator", "t"));
        assert!(facts.holds("vendor", "AuthenticAMD") && !facts.holds("colour", "blue"));
    }

    #[test]
    fn of_two_emulators_the_one_counts_in_which_the_case_ends() {
        let mut facts = HostFacts::default();
        facts.add_emulator("QEMU emulator version 7.2, accelerator tcg");
        for side in [Side::Source, Side::Destination] {
            assert!(facts.holds_in(side, "emulator", "QEMU emulator version 7."), "there is one");
        }
        facts.emulator_destination = "QEMU emulator version 11.1, accelerator tcg".into();
        let holds = |side, name, version: &str| {
            facts.holds_in(side, name, &format!("QEMU emulator version {version}"))
        };
        assert!(holds(Side::Source, "emulator", "7.") && !holds(Side::Source, "emulator", "11."));
        assert!(holds(Side::Destination, "emulator", "11.") && !holds(Side::Destination, "emulator", "7."));
        for side in [Side::Source, Side::Destination] {
            assert!(holds(side, "saved_by", "7.") && !holds(side, "saved_by", "11."), "{side:?}");
        }
        assert!(facts.holds_in(Side::Destination, "accelerator", "tcg"), "both have it");
    }
}
