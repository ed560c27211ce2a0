//! What a processor under a kernel under test lacks for FRED in guests.

use fred::cpuid::FRED;
use kvm::{DEVICE, KvmMachine};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use vm::Machine;

/// The MSRs with the allowed controls of VMX (SDM vol. 3, appendix A), and how a kernel lets them be read.
const MSRS: &str = "/dev/cpu/0/msr";
const IA32_VMX_EXIT_CTLS: u64 = 0x483;
const IA32_VMX_ENTRY_CTLS: u64 = 0x484;
const IA32_VMX_EXIT_CTLS2: u64 = 0x493;
/// Of the VM-exit controls, those that may be 1 are the upper half: activate secondary controls.
const EXIT_ACTIVATES_SECONDARY: u64 = 1 << (32 + 31);
/// Of the VM-entry controls: load IA32_FRED.
const ENTRY_LOADS_FRED: u64 = 1 << (32 + 23);
/// Of the secondary VM-exit controls: save and load IA32_FRED.
const EXIT_SAVES_AND_LOADS_FRED: u64 = 3;

/// A sentence; `None` where nothing is known to lack.
pub(super) fn lack() -> Option<&'static str> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let has = |flag: &str| cpuinfo.split_whitespace().any(|word| word == flag);
    if !has("fred") {
        // Where the kernel was told not to use it, it does not show it.
        return Some("no FRED: the emulated processor has none, or the kernel does not use it (fred=on)");
    }
    has("vmx").then(lack_of_emulator).flatten().or_else(lack_of_kvm)
}

/// What the MSRs tell, where the kernel has a driver for them.
fn lack_of_emulator() -> Option<&'static str> {
    let file = File::open(MSRS).ok()?;
    let msr = |number: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, number).ok().map(|()| u64::from_le_bytes(bytes))
    };
    lack_of_vmx([IA32_VMX_EXIT_CTLS, IA32_VMX_ENTRY_CTLS].map(msr), msr(IA32_VMX_EXIT_CTLS2))
}

/// What KVM tells, which does not say why.
fn lack_of_kvm() -> Option<&'static str> {
    let machine = KvmMachine::open(Path::new(DEVICE)).ok()?;
    (!vm::cpuid::has(machine.cpuid(), FRED)).then_some(
        "no FRED in guests: the processor has it and KVM does not offer it: the kernel lacks the FRED series, or the \
         emulator's VMX lacks the controls that load and save FRED's MSRs",
    )
}

/// Of the allowed VM-exit and VM-entry controls, and the secondary VM-exit controls where they can be read.
fn lack_of_vmx([exit, entry]: [Option<u64>; 2], secondary: Option<u64>) -> Option<&'static str> {
    let has_secondary = exit? & EXIT_ACTIVATES_SECONDARY != 0;
    let secondary = if has_secondary { secondary.unwrap_or(0) } else { 0 };
    let has_all =
        entry? & ENTRY_LOADS_FRED != 0 && secondary & EXIT_SAVES_AND_LOADS_FRED == EXIT_SAVES_AND_LOADS_FRED;
    (!has_all).then_some(
        "no FRED in guests: the emulator's VMX does not offer the VM-entry control that loads FRED's MSRs, or the \
         secondary VM-exit controls that save and load them, so no KVM can use FRED there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_control_is_needed() {
        let (exit, entry) = (Some(0x8000_0000_0000_0000), Some(0x0080_0000_0000_0000));
        assert_eq!(lack_of_vmx([exit, entry], Some(3)), None);
        for (controls, secondary) in [
            ([Some(0), entry], Some(3)),
            ([exit, Some(0)], Some(3)),
            ([exit, entry], Some(1)),
            ([exit, entry], None),
        ] {
            assert!(lack_of_vmx(controls, secondary).is_some_and(|why| why.contains("VMX")), "{controls:?}");
        }
        assert_eq!(lack_of_vmx([None, entry], Some(3)), None, "nothing is known");
    }
}
