//! `struct kvm_run` -> [`Exit`].

use kvm_bindings::{
    KVM_EXIT_DIRTY_RING_FULL, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_HLT, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR,
    KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_MEMORY_FAULT, KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN, KVM_EXIT_UNKNOWN, kvm_run,
};
use vm::Exit;

/// Where the kernel wants the items that answer an IN: offset and length in the kvm_run mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InputArea {
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// What KVM_RUN means when it returned 0. `mapping` is the length of the kvm_run mapping in bytes.
pub(super) fn decode(run: &mut kvm_run, mapping: usize) -> (Exit, Option<InputArea>) {
    let exit = match run.exit_reason {
        KVM_EXIT_IO => return decode_io(run, mapping),
        KVM_EXIT_MMIO => decode_mmio(run),
        KVM_EXIT_IRQ_WINDOW_OPEN => Exit::InterruptWindow,
        KVM_EXIT_HLT => Exit::Halt,
        KVM_EXIT_SHUTDOWN => Exit::Shutdown,
        KVM_EXIT_INTR => Exit::Interrupted,
        KVM_EXIT_DIRTY_RING_FULL => Exit::DirtyRingFull,
        KVM_EXIT_INTERNAL_ERROR => decode_internal(run),
        KVM_EXIT_FAIL_ENTRY => decode_entry_failure(run),
        KVM_EXIT_UNKNOWN => decode_unknown(run),
        reason => Exit::Other { reason },
    };
    (exit, None)
}

/// What KVM_RUN means when it failed with `errno`, if it is an exit at all.
///
/// KVM_EXIT_MEMORY_FAULT is the only exit that comes with an error, EFAULT or EHWPOISON; with any
/// other errno `exit_reason` says nothing (Documentation/virt/kvm/api.rst).
pub(super) fn decode_failure(run: &kvm_run, errno: i32) -> Option<Exit> {
    match errno {
        libc::EFAULT => {}
        libc::EINTR => return Some(Exit::Interrupted),
        // EHWPOISON too: the host's memory is broken, which is no exit of the guest's.
        _ => return None,
    }
    if run.exit_reason == KVM_EXIT_MEMORY_FAULT {
        // SAFETY: exit_reason says which member the kernel filled in; every bit pattern is valid.
        let fault = unsafe { run.__bindgen_anon_1.memory_fault };
        return Some(Exit::Fault { gpa: Some(fault.gpa) });
    }
    Some(Exit::Fault { gpa: None })
}

/// The vCPU fills in what had been set before.
fn decode_entry_failure(run: &kvm_run) -> Exit {
    // SAFETY: exit_reason says which member the kernel filled in; every bit pattern is valid.
    let failed = unsafe { run.__bindgen_anon_1.fail_entry };
    Exit::FailEntry { reason: failed.hardware_entry_failure_reason, cpu: failed.cpu, set: Vec::new() }
}

fn decode_unknown(run: &kvm_run) -> Exit {
    // SAFETY: as above.
    let unknown = unsafe { run.__bindgen_anon_1.hw };
    Exit::Unknown { hardware_reason: unknown.hardware_exit_reason }
}

fn decode_io(run: &mut kvm_run, mapping: usize) -> (Exit, Option<InputArea>) {
    // SAFETY: exit_reason says which member the kernel filled in; every bit pattern is valid.
    let io = unsafe { run.__bindgen_anon_1.io };
    let length = (io.count as usize).saturating_mul(usize::from(io.size));
    let offset = usize::try_from(io.data_offset).unwrap_or(usize::MAX);
    if offset.checked_add(length).is_none_or(|end| end > mapping) {
        return (Exit::Other { reason: run.exit_reason }, None);
    }
    if u32::from(io.direction) == KVM_EXIT_IO_OUT {
        // SAFETY: offset + length is inside the kvm_run mapping, as just checked, and nothing writes
        // there while KVM_RUN is not running.
        let data =
            unsafe { std::slice::from_raw_parts(std::ptr::from_ref(run).cast::<u8>().add(offset), length) };
        return (Exit::IoOut { port: io.port, size: io.size, data: data.to_vec() }, None);
    }
    let exit = Exit::IoIn { port: io.port, size: io.size, count: io.count };
    (exit, Some(InputArea { offset, length }))
}

/// A read gets all ones, as from a bus on which no device answers.
fn decode_mmio(run: &mut kvm_run) -> Exit {
    // SAFETY: exit_reason says which member the kernel filled in; every bit pattern is valid.
    let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
    let write = mmio.is_write != 0;
    if !write {
        mmio.data = [0xFF; 8];
    }
    Exit::Mmio { address: mmio.phys_addr, write }
}

fn decode_internal(run: &kvm_run) -> Exit {
    // SAFETY: exit_reason says which member the kernel filled in; every bit pattern is valid.
    let internal = unsafe { run.__bindgen_anon_1.internal };
    let count = (internal.ndata as usize).min(internal.data.len());
    Exit::InternalError { suberror: internal.suberror, data: internal.data[..count].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_reason(exit_reason: u32) -> kvm_run {
        kvm_run { exit_reason, ..Default::default() }
    }

    #[test]
    fn simple_exits_have_their_names() {
        for (reason, exit) in [
            (5, Exit::Halt),
            (7, Exit::InterruptWindow),
            (8, Exit::Shutdown),
            (10, Exit::Interrupted),
            (9, Exit::FailEntry { reason: 0, cpu: 0, set: Vec::new() }),
            (0, Exit::Unknown { hardware_reason: 0 }),
            (31, Exit::DirtyRingFull),
            (32, Exit::Other { reason: 32 }),
        ] {
            assert_eq!(decode(&mut with_reason(reason), 4096), (exit, None));
        }
    }

    #[test]
    fn a_failed_run_is_an_exit_for_two_errors_only() {
        let mut memory_fault = with_reason(39);
        memory_fault.__bindgen_anon_1.memory_fault.gpa = 0x5000;
        let stale = with_reason(5);
        assert_eq!(decode_failure(&stale, libc::EINTR), Some(Exit::Interrupted));
        assert_eq!(decode_failure(&stale, libc::EFAULT), Some(Exit::Fault { gpa: None }));
        assert_eq!(decode_failure(&memory_fault, libc::EFAULT), Some(Exit::Fault { gpa: Some(0x5000) }));
        assert_eq!(decode_failure(&memory_fault, libc::EHWPOISON), None);
        assert_eq!(decode_failure(&memory_fault, libc::EINVAL), None);
    }

    #[test]
    fn a_refused_entry_carries_its_reason_and_its_processor() {
        let mut run = with_reason(9);
        run.__bindgen_anon_1.fail_entry.hardware_entry_failure_reason = 0x8000_0021;
        run.__bindgen_anon_1.fail_entry.cpu = 5;
        let expected = Exit::FailEntry { reason: 0x8000_0021, cpu: 5, set: Vec::new() };
        assert_eq!(decode(&mut run, 4096).0, expected);
    }

    #[test]
    fn internal_errors_carry_as_much_data_as_the_kernel_says() {
        let mut run = with_reason(17);
        run.__bindgen_anon_1.internal.suberror = 3;
        run.__bindgen_anon_1.internal.ndata = 2;
        // SAFETY: every bit pattern of the member is valid.
        unsafe { run.__bindgen_anon_1.internal.data[..3].copy_from_slice(&[7, 8, 9]) };
        let expected = Exit::InternalError { suberror: 3, data: vec![7, 8] };
        assert_eq!(decode(&mut run, 4096).0, expected);
        run.__bindgen_anon_1.internal.ndata = u32::MAX;
        let Exit::InternalError { data, .. } = decode(&mut run, 4096).0 else { panic!("another exit") };
        assert_eq!(data.len(), 16);
    }

    #[test]
    fn io_data_outside_the_mapping_is_not_read() {
        let mut run = with_reason(2);
        run.__bindgen_anon_1.io.size = 4;
        run.__bindgen_anon_1.io.count = 1;
        run.__bindgen_anon_1.io.data_offset = 4093;
        assert_eq!(decode(&mut run, 4096), (Exit::Other { reason: 2 }, None));
        run.__bindgen_anon_1.io.data_offset = 4092;
        run.__bindgen_anon_1.io.port = 0x71;
        let area = InputArea { offset: 4092, length: 4 };
        assert_eq!(decode(&mut run, 4096), (Exit::IoIn { port: 0x71, size: 4, count: 1 }, Some(area)));
    }
}
