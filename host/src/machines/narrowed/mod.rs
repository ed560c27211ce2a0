//! Two machines made equal: each offers guests only the features that both have.
//!
//! A guest that is to continue on another machine, or to run the same way on both, must not find
//! anything on one that the other lacks: CPUID, and with it XCR0 and the XSAVE area, and the MSRs
//! that save and restore touch.

mod cpuid;

use kvm_bindings::kvm_cpuid_entry2;
use vm::Machine;
use vm::{Vcpu, VcpuError, VmConfig};

/// A machine that offers less than it could.
pub struct Narrowed {
    machine: Box<dyn Machine>,
    cpuid: Vec<kvm_cpuid_entry2>,
    msr_indices: Vec<u32>,
}

impl std::fmt::Debug for Narrowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Narrowed").field("machine", &self.machine.name()).finish_non_exhaustive()
    }
}

/// `first` and `second`, narrowed to what both have. What CPUID says about the processor's make is
/// the first one's.
pub fn pair([first, second]: [Box<dyn Machine>; 2]) -> [Narrowed; 2] {
    let cpuid = cpuid::intersection(first.cpuid(), second.cpuid());
    let both: Vec<u32> =
        first.msr_indices().iter().copied().filter(|index| second.msr_indices().contains(index)).collect();
    // One may have an MSR for one feature and the other for another: the CPUID of both decides.
    let msr_indices = vm::msr::to_save(&both, &cpuid);
    [first, second].map(|machine| Narrowed {
        machine,
        cpuid: cpuid.clone(),
        msr_indices: msr_indices.clone(),
    })
}

impl Machine for Narrowed {
    fn name(&self) -> &'static str {
        self.machine.name()
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        &self.cpuid
    }

    fn msr_indices(&self) -> &[u32] {
        &self.msr_indices
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        self.machine.create(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ModelMachine;
    use model::hypervisor::behaviour::CORRECT;

    /// The model with some features and MSRs taken away.
    struct Less(ModelMachine, Vec<kvm_cpuid_entry2>, Vec<u32>);

    impl Machine for Less {
        fn name(&self) -> &'static str {
            "less"
        }

        fn cpuid(&self) -> &[kvm_cpuid_entry2] {
            &self.1
        }

        fn msr_indices(&self) -> &[u32] {
            &self.2
        }

        fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
            self.0.create(config)
        }
    }

    #[test]
    fn both_offer_the_same_and_no_msr_outlives_its_feature() {
        let model = ModelMachine::new(&CORRECT);
        let mut cpuid = model.cpuid().to_vec();
        cpuid.retain(|entry| (entry.function, entry.index) != (7, 1));
        let without_fred = Less(ModelMachine::new(&CORRECT), cpuid, model.msr_indices().to_vec());
        let indices = model.msr_indices().len();
        let [one, other] = pair([Box::new(model), Box::new(without_fred)]);
        assert_eq!(one.cpuid(), other.cpuid());
        assert_eq!(one.msr_indices(), other.msr_indices());
        assert!(one.msr_indices().contains(&fred::msr::XFD_ERR));
        assert!(!one.msr_indices().iter().any(|index| fred::msr::FRED_ALL.contains(index)));
        let model = || Box::new(ModelMachine::new(&CORRECT));
        let [whole, _] = pair([model(), model()]);
        assert_eq!(whole.msr_indices().len(), indices);
    }
}
