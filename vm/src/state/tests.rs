//! The names that a restore's findings have.

use super::compare::differences;
use super::{Field, VmState, xsave};
use crate::msr;
use crate::{MemoryImage, Msr, PAGE, VmConfig, VmKind, Xsave};
use kvm_bindings::{kvm_cpuid_entry2, kvm_vcpu_events, kvm_xcr, kvm_xcrs};
use serde::{Serialize, de::DeserializeOwned};

/// With every bit turned over: the serde form of KVM's structures is their bytes.
fn turned<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let bytes: Vec<u8> = serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap();
    serde_json::from_value(bytes.iter().map(|byte| !byte).collect()).unwrap()
}

/// A state of zeros that has everything there is.
fn zeros() -> VmState {
    let leaf = |function, index| kvm_cpuid_entry2 { function, index, ..kvm_cpuid_entry2::default() };
    let avx = kvm_cpuid_entry2 { eax: 256, ebx: 576, ..leaf(xsave::LEAF, 2) };
    let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
    xcrs.xcrs[0] = kvm_xcr::default();
    let msrs =
        msr::TABLE.iter().map(|row| row.index).chain([0x4567]).map(|index| Msr { index, value: 0 }).collect();
    VmState {
        config: VmConfig {
            memory_size: 4096,
            cpuid: vec![avx],
            exception_payload: true,
            kind: VmKind::Plain,
        },
        cpuid: vec![avx, leaf(1, 0), leaf(7, 0)],
        memory: MemoryImage { pages: vec![None] },
        tsc_khz: Some(0),
        mp_state: Default::default(),
        events: kvm_vcpu_events { flags: u32::MAX, ..Default::default() },
        regs: Default::default(),
        sregs: Default::default(),
        pdptrs: Some([0; 4]),
        debug_regs: Default::default(),
        xcrs: Some(xcrs),
        xsave: Xsave(vec![0; 4096]),
        msrs,
    }
}

/// Everything that a state holds differs, and no finding has a name that a list may not use.
#[test]
fn every_finding_has_the_name_of_a_field() {
    let back = zeros();
    let mut saved = back.clone();
    saved.regs = turned(&saved.regs);
    saved.sregs = turned(&saved.sregs);
    // What is unusable has no limit.
    saved.sregs.cs.unusable = 0;
    saved.debug_regs = turned(&saved.debug_regs);
    saved.mp_state = turned(&saved.mp_state);
    saved.events = kvm_vcpu_events { flags: u32::MAX, ..turned(&saved.events) };
    saved.pdptrs = Some([1; 4]);
    saved.tsc_khz = Some(1);
    saved.xsave.0.fill(0xFF);
    saved.memory.pages[0] = Some(std::sync::Arc::new([7; PAGE]));
    saved.msrs.iter_mut().for_each(|msr| msr.value = 1);
    saved.xcrs.iter_mut().for_each(|all| all.xcrs[0].value = 1);
    saved.cpuid.iter_mut().for_each(|leaf| (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (!0, !1, !2, !3));
    saved.cpuid.push(kvm_cpuid_entry2 { function: 0x1234, ..Default::default() });

    let findings = differences(&saved, &back);
    let found = |name: &str| findings.iter().any(|finding| finding.field.to_string() == name);
    for name in [
        "RAX",
        "CS attributes",
        "TR unusable",
        "IDTR limit",
        "PDPTR3",
        "XCR0",
        "MXCSR",
        "XSAVE component 2",
        "MSR 0x4567",
        "nested bit",
        "exception payload",
        "CPUID leaf 0x7.0 EBX",
        "CPUID leaf 0x1234.0",
        "memory page 0x0",
    ] {
        assert!(found(name), "{name}: {findings:#?}");
    }
    for finding in &findings {
        assert_eq!(finding.field.to_string().parse(), Ok(finding.field));
    }
    for name in ["RAGS", "CS colour", "MSR", "", "interrupt", "MSR 0x10", "MSR 0x04567", "CPUID leaf 0x7"] {
        assert!(name.parse::<Field>().is_err(), "{name}");
    }
}
