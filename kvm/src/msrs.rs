//! The MSRs to save and restore.

use fred::cpuid::{FRED, Feature, Register, XFD};
use fred::msr;
use kvm_bindings::kvm_cpuid_entry2;

/// What a CPU must have for an MSR to exist.
#[derive(Clone, Copy)]
enum Condition {
    /// Nothing.
    Always,
    /// Any of these features.
    Any(&'static [Feature]),
}

/// Shadow stacks.
const SHSTK: Feature = Feature { name: "SHSTK", leaf: 7, subleaf: 0, register: Register::Ecx, bit: 7 };
/// Indirect-branch tracking.
const IBT: Feature = Feature { name: "IBT", leaf: 7, subleaf: 0, register: Register::Edx, bit: 20 };

/// In the order in which they are set again. EFER, FS_BASE, GS_BASE and APIC_BASE travel in
/// KVM_SET_SREGS, XSS-managed state in KVM_SET_XSAVE.
///
/// CONFIG is set after the stack pointers and levels that its CSL field selects among; no write of
/// one depends on another's value. XFD comes before XFD_ERR, which has no rule of its own.
const LIST: [(u32, Condition); 34] = [
    (0x10, Condition::Always),  // IA32_TIME_STAMP_COUNTER
    (0x3B, Condition::Always),  // IA32_TSC_ADJUST
    (0x48, Condition::Always),  // IA32_SPEC_CTRL
    (0x174, Condition::Always), // IA32_SYSENTER_CS
    (0x175, Condition::Always), // IA32_SYSENTER_ESP
    (0x176, Condition::Always), // IA32_SYSENTER_EIP
    (0x1A0, Condition::Always), // IA32_MISC_ENABLE
    (0x1D9, Condition::Always), // IA32_DEBUGCTL
    (0x277, Condition::Always), // IA32_PAT
    (msr::STAR, Condition::Always),
    (msr::LSTAR, Condition::Always),
    (msr::CSTAR, Condition::Always),
    (msr::FMASK, Condition::Always),
    (msr::KERNEL_GS_BASE, Condition::Always),
    (0xC000_0103, Condition::Always),       // IA32_TSC_AUX
    (0xDA0, Condition::Always),             // IA32_XSS
    (0x6A0, Condition::Any(&[SHSTK, IBT])), // IA32_U_CET
    (0x6A2, Condition::Any(&[SHSTK, IBT])), // IA32_S_CET
    (0x6A5, Condition::Any(&[SHSTK])),      // IA32_PL1_SSP
    (0x6A6, Condition::Any(&[SHSTK])),      // IA32_PL2_SSP
    (0x6A7, Condition::Any(&[SHSTK])),      // IA32_PL3_SSP
    (0x6A8, Condition::Any(&[SHSTK])),      // IA32_INTERRUPT_SSP_TABLE_ADDR
    (msr::XFD, Condition::Any(&[XFD])),
    (msr::XFD_ERR, Condition::Any(&[XFD])),
    (msr::FRED_RSP0, Condition::Any(&[FRED])),
    (msr::FRED_RSP1, Condition::Any(&[FRED])),
    (msr::FRED_RSP2, Condition::Any(&[FRED])),
    (msr::FRED_RSP3, Condition::Any(&[FRED])),
    (msr::FRED_STKLVLS, Condition::Any(&[FRED])),
    (msr::FRED_SSP0, Condition::Any(&[FRED, SHSTK])),
    (msr::FRED_SSP1, Condition::Any(&[FRED])),
    (msr::FRED_SSP2, Condition::Any(&[FRED])),
    (msr::FRED_SSP3, Condition::Any(&[FRED])),
    (msr::FRED_CONFIG, Condition::Any(&[FRED])),
];

/// The MSRs of this project's list that the kernel's KVM_GET_MSR_INDEX_LIST names and the guest's CPUID has.
///
/// The kernel lists an MSR when the *host* has it; a guest whose CPUID lacks the feature may be
/// refused it.
pub fn to_migrate(kernel: &[u32], cpuid: &[kvm_cpuid_entry2]) -> Vec<u32> {
    let exists = |condition| match condition {
        Condition::Always => true,
        Condition::Any(features) => features.iter().any(|feature| has(cpuid, feature)),
    };
    LIST.iter()
        .filter(|(index, condition)| kernel.contains(index) && exists(*condition))
        .map(|(index, _)| *index)
        .collect()
}

/// Whether `cpuid` has `feature`.
pub(super) fn has(cpuid: &[kvm_cpuid_entry2], feature: &Feature) -> bool {
    cpuid
        .iter()
        .find(|entry| entry.function == feature.leaf && entry.index == feature.subleaf)
        .is_some_and(|entry| feature.is_in([entry.eax, entry.ebx, entry.ecx, entry.edx]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, index: u32, eax: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 { function, index, eax, ..Default::default() }
    }

    #[test]
    fn an_msr_needs_the_kernel_and_the_feature() {
        let kernel =
            [0x1C5, 0x1C4, 0x277, 0x1CC, 0x1CD, 0x1CE, 0x1CF, 0x1D0, 0x1D1, 0x1D2, 0x1D3, 0x1D4, 0x6A4];
        assert_eq!(to_migrate(&kernel, &[]), [0x277]);
        let xfd = [leaf(0xD, 1, 1 << 4)];
        assert_eq!(to_migrate(&kernel, &xfd), [0x277, 0x1C4, 0x1C5]);
        let fred = [leaf(7, 0, 1 << 17), leaf(7, 1, 1 << 17)];
        assert_eq!(
            to_migrate(&kernel, &fred),
            [0x277, 0x1CC, 0x1CD, 0x1CE, 0x1CF, 0x1D0, 0x6A4, 0x1D1, 0x1D2, 0x1D3, 0x1D4]
        );
        assert_eq!(to_migrate(&[0x1CC], &[leaf(7, 0, 1 << 17)]), [0; 0], "the sub-leaf counts");
    }

    #[test]
    fn every_fred_msr_is_in_the_list_once() {
        for index in msr::FRED_ALL {
            assert_eq!(LIST.iter().filter(|(listed, _)| *listed == index).count(), 1, "{index:#x}");
        }
    }
}
