//! Every MSR that a guest of the model can write is saved, restored and compared, and a difference in it has
//! its name: a guest finds out by WRMSR which ones there are.

use kvm_bindings::{kvm_mp_state, kvm_regs};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::ops::Range;
use vm::msr::TABLE;
use vm::state::{self, restore_and_check};
use vm::{Exit, Machine, RunMode, Vcpu, VmConfig};

/// Where MSRs are: the architectural ones, hypervisors' own, AMD's.
const PLACES: [Range<u32>; 5] = [
    0..0x2000,
    0x4000_0000..0x4000_0200,
    0x4B56_4D00..0x4B56_4D20,
    0xC000_0000..0xC000_2000,
    0xC001_0000..0xC001_2000,
];
/// An MSR that takes anything but what it holds takes one of these: single bits, an address that is
/// aligned, one that is not, memory types, TILEDATA, the bits of IA32_FRED_CONFIG.
const VALUES: [u64; 8] = [1, 2, 0x500, 0x1004, 0x1040, 0x0007_0406_0007_0401, 1 << 18, 0x5CB];
/// It runs on between a write and a read.
const TSC: u32 = 0x10;
/// Some that there must be, and what a difference in them is called.
const NAMES: [(u32, &str); 9] = [
    (0x174, "IA32_SYSENTER_CS"),
    (0x1C5, "IA32_XFD_ERR"),
    (0x1CC, "IA32_FRED_RSP0"),
    (0x1D9, "IA32_DEBUGCTL"),
    (0x277, "IA32_PAT"),
    (0x6A4, "IA32_PL0_SSP"),
    (0xC000_0080, "IA32_EFER"),
    (0xC000_0102, "IA32_KERNEL_GS_BASE"),
    (0xC000_0103, "IA32_TSC_AUX"),
];
const WRMSR: u64 = 0x1000;
const RDMSR: u64 = 0x1010;

/// The name of a difference in this MSR: two of them are parts of segment registers.
fn found_as(index: u32) -> String {
    match index {
        0xC000_0100 => "FS base".to_owned(),
        0xC000_0101 => "GS base".to_owned(),
        _ => TABLE.iter().find(|row| row.index == index).unwrap().name.to_owned(),
    }
}

/// A guest in real-address mode, where an exception ends it: there is no handler.
struct GuestVcpu(Box<dyn Vcpu>);

impl GuestVcpu {
    fn new(machine: &dyn Machine, config: &VmConfig) -> Self {
        let mut vcpu = machine.create(config).unwrap();
        let mut sregs = vcpu.sregs().unwrap();
        (sregs.cs.selector, sregs.cs.base, sregs.idt.limit) = (0, 0, 0);
        vcpu.set_sregs(&sregs).unwrap();
        // Each instruction, and HLT.
        vcpu.write_memory(WRMSR, &[0x0F, 0x30, 0xF4]).unwrap();
        vcpu.write_memory(RDMSR, &[0x0F, 0x32, 0xF4]).unwrap();
        Self(vcpu)
    }

    /// Runs the instruction at `rip`; EDX:EAX after it, `None` when it faults.
    fn run(&mut self, rip: u64, index: u32, value: u64) -> Option<u64> {
        let regs = kvm_regs {
            rip,
            rflags: 2,
            rax: value & 0xFFFF_FFFF,
            rcx: index.into(),
            rdx: value >> 32,
            ..Default::default()
        };
        self.0.set_regs(&regs).unwrap();
        let exit = self.0.run(RunMode::Normal).unwrap();
        self.0.set_mp_state(kvm_mp_state::default()).unwrap();
        let regs = self.0.regs().unwrap();
        (exit == Exit::Halt).then_some(regs.rax | regs.rdx << 32)
    }

    fn read(&mut self, index: u32) -> Option<u64> {
        self.run(RDMSR, index, 0)
    }

    fn write(&mut self, index: u32, value: u64) -> bool {
        self.run(WRMSR, index, value).is_some()
    }
}

#[test]
fn every_msr_that_a_guest_can_write_is_saved_restored_and_compared() {
    let machine = ModelMachine::new(&CORRECT);
    let config = VmConfig::plain(&machine, 0x2000, true);
    let mut guest = GuestVcpu::new(&machine, &config);
    // MSR, value after reset, value now.
    let mut written = Vec::new();
    for index in PLACES.into_iter().flatten() {
        let Some(before) = guest.read(index) else { continue };
        let now = VALUES.into_iter().find(|&value| value != before && guest.write(index, value));
        let now = now.unwrap_or_else(|| panic!("no value for MSR {index:#x}"));
        written.push((index, before, now));
    }
    let indices: Vec<u32> = written.iter().map(|(index, ..)| *index).collect();
    for (index, name) in NAMES {
        assert!(indices.contains(&index), "{index:#x} of {indices:#x?}");
        assert_eq!(found_as(index), name);
    }
    for row in TABLE.iter().filter(|row| row.is_modelled() && row.exists(&config.cpuid)) {
        assert!(indices.contains(&row.index), "{row:?}");
    }

    let saved = state::save(guest.0.as_mut(), &machine, &config).unwrap();
    let mut restored = restore_and_check(&machine, &saved).unwrap();
    assert!(restored.findings.is_empty(), "{:#?}", restored.findings);
    let fresh = machine.create(&config).unwrap();
    let mut destination = GuestVcpu(std::mem::replace(&mut restored.vcpu, fresh));
    for &(index, _, now) in written.iter().filter(|(index, ..)| *index != TSC) {
        assert_eq!(destination.read(index), Some(now), "MSR {index:#x} in the new VM");
    }

    for &(index, before, now) in written.iter().filter(|(index, ..)| *index != TSC) {
        assert!(destination.write(index, before), "MSR {index:#x} := {before:#x}");
        destination.0.set_regs(&saved.regs).unwrap();
        std::mem::swap(&mut restored.vcpu, &mut destination.0);
        restored.check(&saved).unwrap();
        let findings: Vec<_> = restored
            .findings
            .iter()
            .map(|found| (found.field.to_string(), found.expected.to_string(), found.got.to_string()))
            .collect();
        let expected = (found_as(index), format!("{now:#x}"), format!("{before:#x}"));
        assert_eq!(findings, [expected], "MSR {index:#x}");
        std::mem::swap(&mut restored.vcpu, &mut destination.0);
        assert!(destination.write(index, now), "MSR {index:#x} := {now:#x}");
    }
}
