//! What reports, `known-issues.toml` and `midflight doctor` say about this host's KVM.

use super::{KvmMachine, NestedFlag};
use fred::cpuid::{AMX_TILE, FRED, XFD};
use kvm_bindings::{
    KVM_CAP_DIRTY_LOG_RING, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_GUEST_MEMFD, KVM_CAP_IMMEDIATE_EXIT,
    KVM_CAP_MEMORY_FAULT_INFO, KVM_CAP_NESTED_STATE, KVM_CAP_READONLY_MEM, KVM_CAP_XSAVE2,
};
use std::fs;
use std::path::Path;
use vm::VcpuError;
use vm::cpuid::has;

/// This host, as far as the results depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `model name` of /proc/cpuinfo.
    pub cpu: String,
    /// `vendor_id` of /proc/cpuinfo.
    pub vendor: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Names under /sys/module that start with `kvm`, sorted.
    pub modules: Vec<String>,
    /// Whether the CPU's own CPUID has FRED.
    pub fred_in_cpu: bool,
    /// Whether the kernel runs on FRED: it is in the flags of /proc/cpuinfo.
    pub fred_in_kernel: bool,
    /// What /dev/kvm offers, or why it cannot be used.
    pub kvm: Result<KvmFacts, VcpuError>,
}

/// What /dev/kvm offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvmFacts {
    /// Whether KVM_GET_SUPPORTED_CPUID has FRED.
    pub fred: bool,
    /// Whether it has XFD.
    pub xfd: bool,
    /// Whether it has AMX tiles.
    pub amx: bool,
    /// How `kvm_vcpu_events` carries an exception's nested bit.
    pub nested_flag: NestedFlag,
    /// The capabilities that stops and migration depend on.
    pub capabilities: Vec<Capability>,
}

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The constant's name in linux/kvm.h.
    pub name: &'static str,
    /// What KVM_CHECK_EXTENSION returns: 0 is absent.
    pub value: i32,
}

const CAPABILITIES: [(&str, u32); 8] = [
    ("KVM_CAP_EXCEPTION_PAYLOAD", KVM_CAP_EXCEPTION_PAYLOAD),
    ("KVM_CAP_MEMORY_FAULT_INFO", KVM_CAP_MEMORY_FAULT_INFO),
    ("KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT),
    ("KVM_CAP_XSAVE2", KVM_CAP_XSAVE2),
    ("KVM_CAP_READONLY_MEM", KVM_CAP_READONLY_MEM),
    ("KVM_CAP_DIRTY_LOG_RING", KVM_CAP_DIRTY_LOG_RING),
    ("KVM_CAP_NESTED_STATE", KVM_CAP_NESTED_STATE),
    ("KVM_CAP_GUEST_MEMFD", KVM_CAP_GUEST_MEMFD),
];

/// The facts of this host and of the KVM at `device`. An unknown fact is an empty text, `false`, or the error of
/// opening KVM.
pub fn facts(device: &Path) -> Facts {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Facts {
        cpu: cpuinfo_value(&cpuinfo, "model name").to_owned(),
        vendor: cpuinfo_value(&cpuinfo, "vendor_id").to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        modules: modules(),
        fred_in_cpu: cpu_has_fred(),
        fred_in_kernel: cpuinfo_value(&cpuinfo, "flags").split(' ').any(|flag| flag == "fred"),
        kvm: KvmMachine::open(device).map(|machine| machine.facts()),
    }
}

impl KvmMachine {
    /// What this KVM offers.
    pub fn facts(&self) -> KvmFacts {
        let value = |number: u32| self.kvm.check_extension_raw(number.into());
        KvmFacts {
            fred: has(&self.cpuid, FRED),
            xfd: has(&self.cpuid, XFD),
            amx: has(&self.cpuid, AMX_TILE),
            nested_flag: self.nested_flag,
            capabilities: CAPABILITIES
                .map(|(name, number)| Capability { name, value: value(number) })
                .to_vec(),
        }
    }
}

/// The value of the first line `key : value` of /proc/cpuinfo.
fn cpuinfo_value<'a>(cpuinfo: &'a str, key: &str) -> &'a str {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map_or("", |(_, value)| value.trim())
}

fn modules() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/module")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("kvm"))
        .collect();
    names.sort();
    names
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_fred() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // A leaf above the highest one answers with that one's data.
    if __cpuid(0).eax < FRED.leaf || __cpuid_count(FRED.leaf, 0).eax < FRED.subleaf {
        return false;
    }
    let output = __cpuid_count(FRED.leaf, FRED.subleaf);
    FRED.is_in([output.eax, output.ebx, output.ecx, output.edx])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuinfo_keys_are_whole_words() {
        let cpuinfo =
            "vendor_id\t: GenuineIntel\nmodel\t\t: 173\nmodel name\t: Xeon: 6\nflags\t\t: fpu fred\n";
        assert_eq!(cpuinfo_value(cpuinfo, "vendor_id"), "GenuineIntel");
        assert_eq!(cpuinfo_value(cpuinfo, "model"), "173");
        assert_eq!(cpuinfo_value(cpuinfo, "model name"), "Xeon: 6");
        assert_eq!(cpuinfo_value(cpuinfo, "power"), "");
    }
}
