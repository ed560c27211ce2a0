//! A state that the machine refuses, or drops.

use crate::faulty::Fault;
use crate::{EINVAL, call, fails_with, run};
use kvm_bindings::{kvm_sregs, kvm_sregs2, kvm_vcpu_events};
use vm::{Msr, Vcpu, VcpuError};

/// KVM_SET_VCPU_EVENTS knows no interrupt shadow, which KVM_GET_VCPU_EVENTS gives.
struct RefusesShadow;

impl Fault for RefusesShadow {
    fn set_events(&self, vcpu: &mut dyn Vcpu, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        if events.interrupt.shadow != 0 {
            return Err(call("KVM_SET_VCPU_EVENTS", EINVAL));
        }
        vcpu.set_events(events)
    }
}

#[test]
fn a_state_that_is_refused_names_the_field_wherever_it_is_restored() {
    for action in ["migrate", "migrate-process", "migrate-process+again=2"] {
        fails_with(
            run(RefusesShadow, &format!("sti/pf:fred:block@frame:{action}")),
            &["KVM_SET_VCPU_EVENTS refuses interrupt shadow 0x2 where it accepts 0x0"],
        );
    }
}

/// KVM_SET_SREGS2 knows no FRED, or KVM_SET_MSRS no IA32_FRED_CONFIG.
struct RefusesFred {
    cr4: bool,
}

impl Fault for RefusesFred {
    fn set_sregs2(&self, vcpu: &mut dyn Vcpu, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        if self.cr4 && sregs.cr4 >> 32 != 0 {
            return Err(call("KVM_SET_SREGS2", EINVAL));
        }
        vcpu.set_sregs2(sregs)
    }

    fn set_msrs(&self, vcpu: &mut dyn Vcpu, msrs: &[Msr]) -> Result<(), VcpuError> {
        match msrs.iter().find(|msr| msr.index == 0x1D4 && msr.value != 0) {
            Some(Msr { index, value }) if !self.cr4 => Err(VcpuError::Msr { index: *index, value: *value }),
            _ => vcpu.set_msrs(msrs),
        }
    }
}

#[test]
fn a_register_that_is_refused_is_named_with_both_values() {
    let id = "pf/read-unmapped:fred:none";
    fails_with(
        run(RefusesFred { cr4: true }, id),
        &["KVM_SET_SREGS2 refuses CR4 0x1", "where it accepts 0x0"],
    );
    let words = ["KVM_SET_MSRS refuses IA32_FRED_CONFIG 0x", "where it accepts 0x0"];
    fails_with(run(RefusesFred { cr4: false }, id), &words);
}

/// CR4.FRED reads 0 although CPUID offers FRED.
struct DropsFred;

impl Fault for DropsFred {
    fn sregs(&self, vcpu: &mut dyn Vcpu) -> Result<kvm_sregs, VcpuError> {
        let mut sregs = vcpu.sregs()?;
        sregs.cr4 &= 0xFFFF_FFFF;
        Ok(sregs)
    }
}

#[test]
fn fred_that_is_offered_and_cannot_be_switched_on_fails() {
    let words = ["CPUID offers FRED", "CR4.FRED reads 0"];
    fails_with(run(DropsFred, "pf/read-unmapped:fred:cold"), &words);
    fails_with(run(DropsFred, "pf/read-unmapped:fred:block@frame:resume"), &words);
}
