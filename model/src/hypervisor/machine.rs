//! The model as a [`vm::Machine`].

use super::clock::{Clock, SlowEntry};
use super::trace::Trace;
use super::{Behaviour, SharedDecoded, Vm};
use crate::cpuid::{CpuidTable, default_table};
use kvm_bindings::kvm_cpuid_entry2;
use std::time::Duration;
use vm::msr::{Saved, TABLE};
use vm::{Machine, Vcpu, VcpuError, VmConfig, VmKind};

/// The model with a behaviour.
#[derive(Debug)]
pub struct ModelMachine {
    behaviour: &'static Behaviour,
    trace: Option<Trace>,
    decoded: SharedDecoded,
    cpuid: CpuidTable,
    msr_indices: Vec<u32>,
    slow: SlowEntry,
}

impl ModelMachine {
    /// The model with `behaviour`.
    pub fn new(behaviour: &'static Behaviour) -> Self {
        let saved = TABLE.iter().filter(|row| row.is_modelled() && row.saved == Saved::ByMsrs);
        Self {
            behaviour,
            trace: None,
            decoded: SharedDecoded::default(),
            cpuid: default_table(),
            msr_indices: saved.map(|row| row.index).collect(),
            slow: SlowEntry::default(),
        }
    }

    /// The same, with a trace of what happens to events.
    #[must_use]
    pub fn traced(self, trace: Trace) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// The same on a slow host: the first `runs` KVM_RUNs of each VM take `takes` before they enter the
    /// guest, so that an earlier signal finds the guest where it was. With `None` every signal is earlier.
    #[must_use]
    pub fn slow_to_enter(self, takes: Option<Duration>, runs: u32) -> Self {
        Self { slow: SlowEntry { takes, first: runs }, ..self }
    }
}

impl Machine for ModelMachine {
    fn name(&self) -> &'static str {
        "model"
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        &self.cpuid.entries
    }

    fn msr_indices(&self) -> &[u32] {
        &self.msr_indices
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        let cpuid = CpuidTable { entries: config.cpuid.clone() };
        let mut vm = Vm::new(config.memory_size, cpuid, self.behaviour, config.exception_payload);
        vm.clock = Clock::slow(self.slow);
        vm.share_decoded(&self.decoded);
        if config.kind == VmKind::DirtyRing {
            vm.log_dirty_pages();
        }
        if let Some(trace) = &self.trace {
            trace.line("machine      a fresh VM".to_owned());
            vm.set_trace(trace.clone());
        }
        Ok(Box::new(vm))
    }
}
