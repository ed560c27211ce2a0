//! The names that a restore's findings have.

use midflight::machine::model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use serde::{Serialize, de::DeserializeOwned};
use vm::Machine;
use vm::state::{differences, is_field, read};
use vm::{PAGE, VmConfig, VmKind};

/// With every bit turned over: the serde form of KVM's structures is their bytes.
fn turned<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let bytes: Vec<u8> = serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap();
    serde_json::from_value(bytes.iter().map(|byte| !byte).collect()).unwrap()
}

/// Everything that a state holds differs, and no finding has a name that a list may not use.
#[test]
fn every_finding_has_the_name_of_a_field() {
    let machine = ModelMachine::new(&CORRECT);
    let config = VmConfig {
        memory_size: 2 * PAGE as u64,
        cpuid: machine.cpuid().to_vec(),
        exception_payload: true,
        kind: VmKind::Plain,
    };
    let mut vcpu = machine.create(&config).unwrap();
    let mut back = read(vcpu.as_mut(), machine.msr_indices(), &config).unwrap();
    back.events.flags = u32::MAX;
    let mut saved = back.clone();
    saved.regs = turned(&saved.regs);
    saved.sregs = turned(&saved.sregs);
    saved.debug_regs = turned(&saved.debug_regs);
    saved.mp_state = turned(&saved.mp_state);
    saved.events = turned(&saved.events);
    saved.pdptrs = Some([1; 4]);
    saved.tsc_khz = Some(0);
    saved.xsave.0.iter_mut().for_each(|byte| *byte = !*byte);
    saved.memory.pages[0] = Some(std::sync::Arc::new([7; PAGE]));
    saved.msrs.iter_mut().for_each(|msr| msr.value = !msr.value);
    saved.xcrs.iter_mut().for_each(|all| all.xcrs[0].value = !all.xcrs[0].value);
    for entry in &mut saved.cpuid {
        (entry.eax, entry.ebx, entry.ecx, entry.edx) = (!entry.eax, !entry.ebx, !entry.ecx, !entry.edx);
    }
    saved.cpuid[0].function = 0x1234;
    for segment in [&mut saved.sregs.cs, &mut saved.sregs.ldt] {
        segment.unusable = 0;
    }

    let findings = differences(&saved, &back);
    assert!(findings.len() > 150, "{}", findings.len());
    for finding in &findings {
        assert!(is_field(&finding.field), "{finding:?}");
    }
    for name in ["RAGS", "CS colour", "MSR", "", "interrupt"] {
        assert!(!is_field(name), "{name}");
    }
}
