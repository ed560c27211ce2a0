//! The kvm machine on this host's /dev/kvm. Without one every test here says so and tests nothing.

use crate::this_host::kvm as machine;
use kvm::{KvmMachine, KvmVcpu};
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_regs};
use midflight::engine::questions::{Question, Support, ask};
use midflight::scenario::Stop;
use std::time::{Duration, Instant};
use vm::{Exit, GuestMemory, Machine, PAGE, PageAccess, Registers, RunMode, Vcpu, VcpuError, VmConfig};

const CODE: u64 = 0x1000;
const MEMORY: u64 = 0x1_0000;

fn empty(machine: &KvmMachine, payload: bool) -> KvmVcpu {
    let mut vcpu = machine.create_vcpu(&VmConfig::plain(machine, MEMORY, payload)).unwrap();
    vcpu.set_deadline(Instant::now() + Duration::from_secs(2));
    vcpu
}

/// A real-mode guest that starts at `code`.
fn real_mode(machine: &KvmMachine, code: &[u8]) -> KvmVcpu {
    let mut vcpu = empty(machine, true);
    vcpu.write_memory(CODE, code).unwrap();
    let mut sregs = vcpu.sregs().unwrap();
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).unwrap();
    vcpu.set_regs(&kvm_regs { rip: CODE, rflags: 2, rax: 0x11223344, rdx: 0x6D66, ..Default::default() })
        .unwrap();
    vcpu
}

#[test]
fn exits_arrive_as_they_are() {
    let Some(machine) = machine() else { return };
    // out dx, eax; in al, 0x20; out 0x21, al; hlt
    let mut vcpu = real_mode(&machine, &[0x66, 0xEF, 0xE4, 0x20, 0xE6, 0x21, 0xF4]);
    let out = Exit::IoOut { port: 0x6D66, size: 4, data: vec![0x44, 0x33, 0x22, 0x11] };
    assert_eq!(vcpu.run(RunMode::Normal), Ok(out));
    assert!(vcpu.set_io_data(&[1]).is_err(), "no IN is waiting");
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::IoIn { port: 0x20, size: 1, count: 1 }));
    assert!(vcpu.set_io_data(&[1, 2]).is_err(), "the IN wants one byte");
    vcpu.set_io_data(&[0xA5]).unwrap();
    assert_eq!(vcpu.run(RunMode::ImmediateExit), Ok(Exit::Interrupted));
    assert_eq!(vcpu.regs().unwrap().rax, 0x112233A5, "immediate_exit completes the IN");
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::IoOut { port: 0x21, size: 1, data: vec![0xA5] }));
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Halt));
}

#[test]
fn memory_that_is_not_there_is_mmio_and_reads_as_ones() {
    let Some(machine) = machine() else { return };
    // mov eax, [0x20000] needs an address-size prefix; limit checks are off with a big DS.
    let mut vcpu = real_mode(&machine, &[0x67, 0x66, 0xA1, 0x00, 0x00, 0x02, 0x00, 0xF4]);
    let mut sregs = vcpu.sregs().unwrap();
    (sregs.ds.limit, sregs.ds.g) = (u32::MAX, 1);
    vcpu.set_sregs(&sregs).unwrap();
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Mmio { address: 0x2_0000, write: false }));
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Halt));
    assert_eq!(vcpu.regs().unwrap().rax, 0xFFFF_FFFF);
}

#[test]
fn an_exception_without_vectors_is_a_shutdown() {
    let Some(machine) = machine() else { return };
    let mut vcpu = real_mode(&machine, &[0x0F, 0x0B]);
    // Protected mode, where the limit of the IDT is looked at.
    let mut sregs = vcpu.sregs().unwrap();
    sregs.cr0 |= 1;
    (sregs.cs.db, sregs.cs.g, sregs.cs.limit) = (1, 1, u32::MAX);
    sregs.idt.limit = 0;
    vcpu.set_sregs(&sregs).unwrap();
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Shutdown));
}

#[test]
fn an_endless_loop_ends_at_the_deadline_and_can_go_on() {
    let Some(machine) = machine() else { return };
    let mut vcpu = real_mode(&machine, &[0xEB, 0xFE, 0xF4]);
    for _ in 0..3 {
        let start = Instant::now();
        vcpu.set_deadline(start + Duration::from_millis(30));
        assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Deadline));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(30) && took < Duration::from_secs(1), "took {took:?}");
    }
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Deadline), "a deadline stays passed");
    vcpu.set_deadline(Instant::now() + Duration::from_secs(2));
    let mut regs = vcpu.regs().unwrap();
    assert_eq!(regs.rip, CODE);
    regs.rip = CODE + 2;
    vcpu.set_regs(&regs).unwrap();
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Halt));
}

#[test]
fn a_pending_signal_stops_an_endless_loop_once() {
    let Some(machine) = machine() else { return };
    let mut vcpu = real_mode(&machine, &[0xEB, 0xFE]);
    assert_eq!(vcpu.run(RunMode::SignalPending), Ok(Exit::Interrupted));
    vcpu.set_deadline(Instant::now() + Duration::from_millis(20));
    assert_eq!(vcpu.run(RunMode::Normal), Ok(Exit::Deadline), "nothing of the signal is left");
}

#[test]
fn a_stop_that_needs_only_the_queue_works_on_every_kvm() {
    let Some(machine) = machine() else { return };
    for payload in [true, false] {
        let support = |stop: &str| {
            let stop: Stop = stop.parse().unwrap();
            ask(&machine, payload, Question::Stop(stop)).unwrap()
        };
        assert_eq!(support("cancel"), Support::Works);
        assert_eq!(support("io"), Support::Works);
        assert_ne!(support("block@frame"), Support::Silent);
    }
}

#[test]
fn a_payload_in_the_queue_needs_the_capability() {
    let Some(machine) = machine() else { return };
    let mut vcpu = empty(&machine, true);
    let mut events = vcpu.events().unwrap();
    (events.exception.pending, events.exception.nr) = (1, 14);
    (events.exception_has_payload, events.exception_payload) = (1, 0xCAFE_0000);
    events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    vcpu.set_events(&events).unwrap();
    let read = vcpu.events().unwrap();
    assert_eq!((read.exception.pending, read.exception.injected), (1, 0));
    assert_eq!((read.exception_has_payload, read.exception_payload), (1, 0xCAFE_0000));

    let mut without = empty(&machine, false);
    assert_eq!(
        without.set_events(&events).unwrap_err().to_string(),
        "KVM_SET_VCPU_EVENTS failed: Invalid argument (errno 22)"
    );
}

#[test]
fn every_msr_to_migrate_can_be_read_and_set_again_in_order() {
    let Some(machine) = machine() else { return };
    let mut vcpu = empty(&machine, true);
    let indices = machine.msr_indices().to_vec();
    assert!(indices.contains(&0xC000_0081), "STAR is everywhere: {indices:#x?}");
    let mut msrs = vcpu.msrs(&indices).unwrap();
    let lstar = msrs.iter_mut().find(|msr| msr.index == 0xC000_0082).unwrap();
    lstar.value = 0xFFFF_8000_0000_1000;
    vcpu.set_msrs(&msrs).unwrap();
    assert_eq!(vcpu.msrs(&[0xC000_0082]).unwrap()[0].value, 0xFFFF_8000_0000_1000);
    assert_eq!(
        vcpu.set_msrs(&[vm::Msr { index: 0xFFFF_FFFE, value: 5 }]),
        Err(VcpuError::Msr { index: 0xFFFF_FFFE, value: 5 })
    );
}

#[test]
fn xsave_carries_an_xmm_register_into_another_vcpu() {
    let Some(machine) = machine() else { return };
    let mut source = empty(&machine, true);
    let mut area = source.xsave().unwrap();
    assert!(area.0.len() >= 4096);
    area.0[160..176].fill(0x5A);
    area.0[512] |= 0b11;
    source.set_xsave(&area).unwrap();
    let mut target = empty(&machine, true);
    target.set_xsave(&source.xsave().unwrap()).unwrap();
    assert_eq!(target.xsave().unwrap().0[160..176], [0x5A; 16]);
    let short = vm::Xsave(area.0[..4096].to_vec());
    target.set_xsave(&short).unwrap();
}

#[test]
fn memory_moves_into_another_machine_and_a_blocked_page_moves_too() {
    let Some(machine) = machine() else { return };
    let mut source = empty(&machine, true);
    source.write_memory(0x5000, &[0xAB; 16]).unwrap();
    source.set_page_access(0x5000, PageAccess::Blocked).unwrap();
    let image = source.save_memory().unwrap();
    assert_eq!(image.pages.len(), MEMORY as usize / PAGE);
    let kept: Vec<_> = (0..image.pages.len()).filter(|page| image.pages[*page].is_some()).collect();
    assert_eq!(kept, [5]);
    let mut target = empty(&machine, true);
    target.write_memory(0x7000, &[1]).unwrap();
    target.load_memory(&image).unwrap();
    let mut bytes = [0; 0x3000];
    target.read_memory(0x5000, &mut bytes).unwrap();
    assert_eq!((bytes[15], bytes[16], bytes[0x2000]), (0xAB, 0, 0));
}

#[test]
fn impossible_memory_is_refused_before_the_kernel_sees_it() {
    let Some(machine) = machine() else { return };
    for memory_size in [0, 4097, 0x1_0000_0000] {
        let sentence =
            machine.create_vcpu(&VmConfig::plain(&machine, memory_size, true)).unwrap_err().to_string();
        assert!(sentence.contains("must be a multiple of 4096"), "{sentence}");
    }
}
