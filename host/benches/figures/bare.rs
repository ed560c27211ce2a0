//! What a scenario costs on KVM against the ioctls that it cannot do without.
//!
//! The reference creates, restores and runs the same VMs by kvm-ioctls alone: no deadline, no devices, no proof, nothing
//! read back. Both sides take turns, so that what else runs on the machine slows both. What counts is the processor
//! time of this thread. Both close their VMs in another one: that takes longer than all the rest, and would hide what
//! midflight adds.

use super::bare_vm::{State, Vm};
use super::{Result, at_ready, median, on_processor};
use kvm::KvmMachine;
use kvm_bindings::KVM_VCPUEVENT_VALID_PAYLOAD;
use kvm_ioctls::Kvm;
use midflight::engine::runner::Runner;
use midflight::image::{Case, Image, MEMORY_SIZE};
use midflight::report::outcome::Outcome;
use midflight::scenario::{Plan, Scenario};
use protocol::doorbell::Doorbell;
use protocol::mailbox::{Mailbox, Verdict};
use std::mem::offset_of;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use vm::{VmConfig, state};

/// Medians of `runs` turns in ms of processor time: the scenario, and the bare ioctls.
pub(super) fn against_bare(machine: &KvmMachine, image: &Image, id: &str, runs: usize) -> Result<[f64; 2]> {
    let scenario: Scenario = id.parse()?;
    let (index, case) = image.case(&scenario.case).ok_or("the case is missing")?;
    let kvm = Kvm::new()?;
    let config = VmConfig::plain(machine, MEMORY_SIZE, scenario.payload);
    let mut session = at_ready(machine, image, scenario.delivery, scenario.payload)?;
    let ready = State::of(&state::save(session.vcpu.as_mut(), machine, &config)?)?;
    let (closer, ended) = channel();
    let closing = std::thread::spawn(move || ended.into_iter().for_each(drop));
    let bare = Bare { kvm: &kvm, ready: &ready, image, case, index, closer };
    let migrates = scenario.plan != Plan::None;
    let mut runner = Runner::new(machine, None, Duration::from_secs(10));
    // The first run boots and takes the snapshot.
    runner.run(image, &scenario);
    let mut times = [Vec::with_capacity(runs), Vec::with_capacity(runs)];
    for _ in 0..runs {
        let start = on_processor()?;
        let report = runner.run(image, &scenario);
        times[0].push(on_processor()? - start);
        if report.outcome != Outcome::Pass {
            return Err(format!("{id}: {:?}", report.why).into());
        }
        let start = on_processor()?;
        let verdict = bare.run(migrates)?;
        times[1].push(on_processor()? - start);
        if Verdict::from_number(verdict) != Some(Verdict::Pass) {
            return Err(format!("{id} by bare ioctls: verdict {verdict}").into());
        }
    }
    drop(bare);
    closing.join().map_err(|_| "the thread that closes VMs has panicked")?;
    Ok(times.map(median))
}

struct Bare<'a> {
    kvm: &'a Kvm,
    ready: &'a State,
    image: &'a Image,
    case: &'a Case,
    index: u16,
    /// Takes VMs that are done with.
    closer: Sender<Vm>,
}

impl Bare<'_> {
    /// The case once, in one VM, or with its event queued by the host and migrated to a second VM.
    /// Returns the verdict.
    fn run(&self, migrates: bool) -> Result<u32> {
        let mut vm = Vm::restored(self.kvm, self.ready)?;
        vm.write(
            self.image.mailbox + offset_of!(Mailbox, case) as u64,
            &u32::from(self.index).to_le_bytes(),
        )?;
        vm.run_to(Doorbell::Armed(self.index))?;
        if migrates {
            self.queue(&mut vm)?;
            let fresh = Vm::restored(self.kvm, &vm.save(self.ready)?)?;
            self.closer.send(std::mem::replace(&mut vm, fresh))?;
        }
        vm.run_to(Doorbell::Done(self.index))?;
        let mut verdict = [0; 4];
        vm.read(self.image.mailbox + offset_of!(Mailbox, verdict) as u64, &mut verdict)?;
        self.closer.send(vm)?;
        Ok(u32::from_le_bytes(verdict))
    }

    /// Queues the case's event as pending.
    fn queue(&self, vm: &mut Vm) -> Result<()> {
        let event = self.case.cancel.as_ref().ok_or("the case does not say how its event is synthesised")?;
        vm.complete_io()?;
        let mut regs = vm.fd.get_regs()?;
        regs.rip = event.rip;
        regs.rflags |= event.rflags;
        vm.fd.set_regs(&regs)?;
        let mut events = vm.fd.get_vcpu_events()?;
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        events.exception.pending = 1;
        events.exception.nr = event.vector;
        events.exception.has_error_code = u8::from(event.error_code.is_some());
        events.exception.error_code = event.error_code.unwrap_or(0);
        events.exception_has_payload = 1;
        events.exception_payload = event.payload;
        Ok(vm.fd.set_vcpu_events(&events)?)
    }
}
