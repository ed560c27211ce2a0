//! The capabilities without which nothing can be run, and where they came from.

use kvm_bindings::{
    KVM_CAP_DEBUGREGS, KVM_CAP_EXT_CPUID, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_MP_STATE,
    KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR, KVM_CAP_USER_MEMORY, KVM_CAP_VCPU_EVENTS,
    KVM_CAP_XCRS, KVM_CAP_XSAVE,
};

/// A capability, its name, and the first Linux that has it (Documentation/virt/kvm/api.rst and the
/// history of include/uapi/linux/kvm.h).
pub(super) type Needed = (u32, &'static str, &'static str);

const NEEDED: [Needed; 10] = [
    (KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "2.6.25"),
    (KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", "2.6.25"),
    (KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "2.6.26"),
    (KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "2.6.26"),
    (KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR", "2.6.32"),
    (KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "2.6.33"),
    (KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "2.6.35"),
    (KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "2.6.36"),
    (KVM_CAP_XCRS, "KVM_CAP_XCRS", "2.6.36"),
    // The deadline and the stop `io` depend on it.
    (KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.11"),
];

/// The first that is missing, as a sentence; `value` is what KVM_CHECK_EXTENSION says.
pub(super) fn missing(value: impl Fn(u32) -> i32) -> Option<String> {
    let (_, name, since) = NEEDED.into_iter().find(|(number, ..)| value(*number) <= 0)?;
    Some(format!(
        "this KVM lacks {name}, without which no guest can be stopped or migrated: use Linux {since} or later"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing(|_| 1), None);
        for (number, name, since) in NEEDED {
            let sentence = missing(|asked| i32::from(asked != number)).unwrap();
            assert!(sentence.contains(name) && sentence.contains(&format!("Linux {since} or")), "{sentence}");
        }
        assert!(missing(|_| -1).is_some());
    }
}
