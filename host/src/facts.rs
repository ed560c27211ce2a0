//! Facts about the host, as reports carry them and known-issues.toml names them.

use crate::machine::kvm;
use serde::Serialize;
use std::path::Path;

/// What results depend on and a reader of them must know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// The external emulator and its version; empty when there is none.
    pub emulator: String,
    /// midflight's version.
    pub midflight: String,
}

impl HostFacts {
    /// Asks the host, and the KVM behind `device`.
    pub fn gather(device: &Path) -> Self {
        let facts = kvm::facts(device);
        Self {
            cpu: facts.cpu,
            vendor: facts.vendor,
            kernel: facts.kernel,
            kvm_module: facts.modules.join(" "),
            cpu_fred: facts.fred_in_cpu,
            kvm_fred: facts.kvm.is_ok_and(|kvm| kvm.fred),
            emulator: String::new(),
            midflight: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether a fact named in known-issues.toml holds. `kernel` and `emulator` are compared as
    /// prefixes, `kvm_module` as one of the loaded modules; an unknown name never holds.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        match name {
            "vendor" => self.vendor == value,
            "kernel" => self.kernel.starts_with(value),
            "kvm_module" => self.kvm_module.split(' ').any(|module| module == value),
            "emulator" => self.emulator.starts_with(value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(facts.holds("vendor", "AuthenticAMD") && !facts.holds("colour", "blue"));
    }
}
