//! CPUID as KVM_SET_CPUID2 takes it.

use fred::cpuid::Feature;
use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// What `cpuid` answers to a leaf and sub-leaf, `[eax, ebx, ecx, edx]`; zeros for one that it lacks.
pub fn output(cpuid: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32) -> [u32; 4] {
    let any = |entry: &kvm_cpuid_entry2| entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX == 0;
    cpuid
        .iter()
        .find(|entry| entry.function == leaf && (any(entry) || entry.index == subleaf))
        .map_or([0; 4], |entry| [entry.eax, entry.ebx, entry.ecx, entry.edx])
}

/// Whether `cpuid` has `feature`.
pub fn has(cpuid: &[kvm_cpuid_entry2], feature: Feature) -> bool {
    feature.is_in(output(cpuid, feature.leaf, feature.subleaf))
}
