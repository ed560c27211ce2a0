//! A machine whose guest is a script: each KVM_RUN does what the next [`Step`] says, and nothing else happens.
//!
//! The script goes on from one VM of the machine to the next, as a guest that migrates does. What the host has
//! done to the VM is kept, so that a step can depend on it: a page refuses a delivery only while it is refused.

use fred::msr;
use kvm_bindings::{kvm_cpuid_entry2, kvm_debugregs, kvm_regs, kvm_sregs, kvm_vcpu_events};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};
use vm::{Exit, Machine, PageAccess, RunMode, Vcpu, VcpuError, VmConfig, VmKind};

/// What one KVM_RUN does.
pub(crate) struct Step {
    /// How KVM_RUN has to be entered for it.
    entered: fn(RunMode) -> bool,
    /// What the host must have done before.
    needs: Vec<Box<Need>>,
    /// What happens to the guest.
    does: Vec<Box<Deed>>,
    /// What KVM_RUN returns.
    exit: Result<Exit, VcpuError>,
}

type Need = dyn FnOnce(&State) -> bool;
type Deed = dyn FnOnce(&mut State);

impl Step {
    pub(crate) fn returns(exit: Exit) -> Self {
        Self { entered: lets_the_guest_run, needs: Vec::new(), does: Vec::new(), exit: Ok(exit) }
    }

    /// KVM_RUN fails.
    pub(crate) fn fails(error: VcpuError) -> Self {
        Self { exit: Err(error), ..Self::returns(ASTRAY) }
    }

    /// The host must enter the guest in such a mode.
    pub(crate) fn entered(mut self, mode: fn(RunMode) -> bool) -> Self {
        self.entered = mode;
        self
    }

    /// What happens to the guest before KVM_RUN returns.
    pub(crate) fn with(mut self, does: impl FnOnce(&mut State) + 'static) -> Self {
        self.does.push(Box::new(does));
        self
    }

    /// Unless the host has done what `is` asks for, KVM_RUN returns with [`ASTRAY`].
    pub(crate) fn only_if(mut self, is: impl FnOnce(&State) -> bool + 'static) -> Self {
        self.needs.push(Box::new(is));
        self
    }

    /// Whatever the host has done.
    pub(crate) fn anyway(mut self) -> Self {
        self.needs.clear();
        self
    }
}

fn lets_the_guest_run(mode: RunMode) -> bool {
    match mode {
        RunMode::Normal | RunMode::SignalAfter(_) => true,
        RunMode::ImmediateExit | RunMode::SignalPending => false,
    }
}

/// The exit of a KVM_RUN for which the host has not done what it should.
pub(crate) const ASTRAY: Exit = Exit::Other { reason: 0xA57A };
/// The exit of a KVM_RUN that the script does not have.
pub(crate) const AFTER_THE_END: Exit = Exit::Other { reason: 0xE4D };

/// A VM.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) memory: Vec<u8>,
    pub(crate) regs: kvm_regs,
    pub(crate) sregs: kvm_sregs,
    pub(crate) debug_regs: kvm_debugregs,
    pub(crate) events: kvm_vcpu_events,
    pub(crate) msrs: BTreeMap<u32, u64>,
    /// The page that does not allow everything, and what it allows.
    pub(crate) page: Option<(u64, PageAccess)>,
    /// Pages that are not in the guest's mapping.
    pub(crate) evicted: BTreeSet<u64>,
    /// The answer to the last input.
    pub(crate) io_data: Vec<u8>,
    /// KVM_NMI, so often; KVM_INTERRUPT, these.
    pub(crate) nmis: u32,
    pub(crate) interrupts: Vec<u8>,
    pub(crate) window_requested: bool,
    /// Pages in the dirty ring.
    pub(crate) ring: Option<Logged>,
    /// The access of an event return that is refused.
    pub(crate) return_access: Option<u64>,
    /// The access of a delivery that is refused.
    pub(crate) access: Option<u64>,
    /// A call that fails.
    pub(crate) fails: Option<&'static str>,
    /// Whether no page leaves the guest's mapping.
    pub(crate) pinned: bool,
    /// Whether CR2 reads back other than it was set.
    pub(crate) drops_cr2: bool,
    /// How often KVM_RUN was called.
    pub(crate) runs: u32,
    deadline: Option<Instant>,
}

/// The dirty ring.
#[derive(Default)]
pub(crate) struct Logged {
    pub(crate) pages: Vec<u64>,
    /// How many pages were harvested.
    pub(crate) harvested: u32,
}

impl State {
    /// Whether the page at `address` refuses access so.
    pub(crate) fn refuses(&self, address: u64, access: PageAccess) -> bool {
        self.page == Some((address, access))
    }

    /// Bytes of the guest's memory.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) {
        let at = address as usize;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Fails if `call` is to.
    pub(crate) fn may(&self, call: &'static str) -> Result<(), VcpuError> {
        let error = VcpuError::Call { call, errno: 22, message: "no".to_owned(), advice: "" };
        if self.fails == Some(call) { Err(error) } else { Ok(()) }
    }

    /// The number at `address` in the guest's memory.
    pub(crate) fn word(&self, address: u64) -> u32 {
        let at = address as usize;
        self.memory[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
    }
}

type Script = Rc<RefCell<VecDeque<Step>>>;

/// The machine.
pub(crate) struct Scripted {
    model: ModelMachine,
    script: Script,
    /// What its VMs are like when they are made.
    pub(crate) fresh: fn(&mut State),
}

impl Scripted {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let script = Rc::new(RefCell::new(steps.into()));
        Self { model: ModelMachine::new(&CORRECT), script, fresh: |_| {} }
    }

    /// How many steps nobody has run.
    pub(crate) fn left(&self) -> usize {
        self.script.borrow().len()
    }
}

/// The MSRs that it has.
const MSRS: [u32; 2] = [msr::XFD_ERR, msr::FRED_CONFIG];

impl Machine for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        self.model.cpuid()
    }

    fn msr_indices(&self) -> &[u32] {
        &MSRS
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        let mut state = State { memory: vec![0; config.memory_size as usize], ..State::default() };
        (self.fresh)(&mut state);
        if config.kind != VmKind::Plain {
            state.may("KVM_CREATE_VM")?;
        }
        Ok(Box::new(Scene {
            state,
            script: Rc::clone(&self.script),
            cpuid: config.cpuid.clone(),
            payload: config.exception_payload,
        }))
    }
}

/// One VM, as the host sees it.
pub(crate) struct Scene {
    pub(crate) state: State,
    script: Script,
    pub(crate) cpuid: Vec<kvm_cpuid_entry2>,
    /// Whether KVM_CAP_EXCEPTION_PAYLOAD is on.
    pub(crate) payload: bool,
}

impl Scene {
    /// The next step, if it is one of KVM_RUN entered in `mode`.
    fn next(&self, mode: RunMode) -> Option<Step> {
        let mut script = self.script.borrow_mut();
        if (script.front()?.entered)(mode) { script.pop_front() } else { None }
    }
}

impl Vcpu for Scene {
    fn run(&mut self, mode: RunMode) -> Result<Exit, VcpuError> {
        self.state.runs += 1;
        let Some(step) = self.next(mode) else {
            // Nothing is left to complete.
            return Ok(if mode == RunMode::ImmediateExit { Exit::Interrupted } else { AFTER_THE_END });
        };
        if self.state.deadline.is_none() || !step.needs.into_iter().all(|is| is(&self.state)) {
            return Ok(ASTRAY);
        }
        step.does.into_iter().for_each(|does| does(&mut self.state));
        step.exit
    }

    fn set_deadline(&mut self, at: Instant) {
        self.state.deadline = Some(at);
    }

    fn clock(&self) -> Duration {
        Duration::from_millis(self.state.runs.into())
    }

    fn set_io_data(&mut self, data: &[u8]) -> Result<(), VcpuError> {
        self.state.io_data = data.to_vec();
        Ok(())
    }

    fn nmi(&mut self) -> Result<(), VcpuError> {
        self.state.nmis += 1;
        self.state.events.nmi.pending += 1;
        self.state.may("KVM_NMI")
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), VcpuError> {
        self.state.interrupts.push(vector);
        self.state.may("KVM_INTERRUPT")
    }

    fn request_interrupt_window(&mut self, wanted: bool) {
        self.state.window_requested = wanted;
    }
}
