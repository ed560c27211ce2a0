//! The ioctls and system calls that kvm-ioctls lacks, or whose result it shows only in part.

use super::error::{call, last};
use kvm_bindings::kvm_sregs2;
use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom, fallocate, ftruncate, memfd_create, seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use vm::VcpuError;

/// `_IO(KVMIO, 0x80)`.
const KVM_RUN: libc::c_ulong = 0xAE80;
/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)`: 4 bytes.
const KVM_INTERRUPT: libc::c_ulong = 0x4004_AE86;
/// `_IOW(KVMIO, 0x8B, struct kvm_signal_mask)`: the structure's fixed part is 4 bytes.
const KVM_SET_SIGNAL_MASK: libc::c_ulong = 0x4004_AE8B;
/// `_IOR(KVMIO, 0xA4, struct kvm_xsave)`: 4096 bytes.
const KVM_GET_XSAVE: libc::c_ulong = 0x9000_AEA4;
/// `_IOW(KVMIO, 0xA5, struct kvm_xsave)`: the number says 4096 bytes, the kernel reads what
/// KVM_CAP_XSAVE2 says.
const KVM_SET_XSAVE: libc::c_ulong = 0x5000_AEA5;
/// `_IOR(KVMIO, 0xCF, struct kvm_xsave)`.
const KVM_GET_XSAVE2: libc::c_ulong = 0x9000_AECF;
/// `_IOR(KVMIO, 0xCC, struct kvm_sregs2)`: 320 bytes.
const KVM_GET_SREGS2: libc::c_ulong = 0x8140_AECC;
/// `_IOW(KVMIO, 0xCD, struct kvm_sregs2)`.
const KVM_SET_SREGS2: libc::c_ulong = 0x4140_AECD;

/// `_IO(KVMIO, 0xC7)`.
const KVM_RESET_DIRTY_RINGS: libc::c_ulong = 0xAEC7;

/// `_IOWR(0xAA, 0x3F, struct uffdio_api)`: 24 bytes.
const UFFDIO_API: libc::c_ulong = 0xC018_AA3F;
/// `_IOWR(0xAA, 0x00, struct uffdio_register)`: 32 bytes.
const UFFDIO_REGISTER: libc::c_ulong = 0xC020_AA00;
/// `_IOR(0xAA, 0x01, struct uffdio_range)`: 16 bytes.
const UFFDIO_UNREGISTER: libc::c_ulong = 0x8010_AA01;
/// `_IOWR(0xAA, 0x07, struct uffdio_continue)`: 32 bytes.
const UFFDIO_CONTINUE: libc::c_ulong = 0xC020_AA07;
/// The version of userfaultfd's interface.
const UFFD_API: u64 = 0xAA;
/// Faults on shared memory whose page is in its file and not in the mapping are reported.
const UFFD_FEATURE_MINOR_SHMEM: u64 = 1 << 10;
/// The range's minor faults.
const UFFDIO_REGISTER_MODE_MINOR: u64 = 1 << 2;

/// `arch_prctl`: which dynamically enabled state components the host supports.
const ARCH_GET_XCOMP_SUPP: libc::c_long = 0x1021;
/// `arch_prctl`: ask for one of them in guests.
const ARCH_REQ_XCOMP_GUEST_PERM: libc::c_long = 0x1025;
/// XTILEDATA, the state component that needs a permission.
const XTILEDATA: u32 = 18;

/// Size of `struct kvm_xsave` without its flexible part.
pub(super) const XSAVE_BYTES: usize = 4096;

/// KVM_RUN. `Err` is the errno: EINTR, EFAULT and EHWPOISON are exits rather than failures.
///
/// kvm-ioctls' own `run` hides an internal error's suberror and an I/O exit's item size.
pub(super) fn run(vcpu: &impl AsRawFd) -> Result<(), i32> {
    // SAFETY: KVM_RUN on a vCPU's descriptor takes no argument; what it writes is the kvm_run
    // mapping, which kvm-ioctls keeps alive with the descriptor.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_RUN as _, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// KVM_INTERRUPT, of a VM without an interrupt controller in the kernel.
pub(super) fn interrupt(vcpu: &impl AsRawFd, vector: u8) -> Result<(), VcpuError> {
    let interrupt = u32::from(vector);
    // SAFETY: the argument points at `struct kvm_interrupt`, one 32-bit number, which outlives the call.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_INTERRUPT as _, &raw const interrupt) };
    if result == 0 { Ok(()) } else { Err(last("KVM_INTERRUPT")) }
}

/// `struct kvm_signal_mask`, followed by the kernel's 64-signal set.
#[repr(C, packed)]
struct SignalMask {
    len: u32,
    set: u64,
}

/// KVM_SET_SIGNAL_MASK: signals blocked while KVM_RUN runs (bit n-1 is signal n), or `None` for the
/// thread's own mask.
pub(super) fn set_signal_mask(vcpu: &impl AsRawFd, blocked: Option<u64>) -> Result<(), VcpuError> {
    let mask = blocked.map(|set| SignalMask { len: 8, set });
    let pointer = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the argument is null or points at 4 + len readable bytes that outlive the call.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK as _, pointer) };
    if result == 0 { Ok(()) } else { Err(last("KVM_SET_SIGNAL_MASK")) }
}

/// KVM_GET_XSAVE2 with `size` bytes, as KVM_CAP_XSAVE2 says, or KVM_GET_XSAVE when `size` is 0.
pub(super) fn get_xsave(vcpu: &impl AsRawFd, size: usize) -> Result<Vec<u8>, VcpuError> {
    let (call, request) = match size {
        0 => ("KVM_GET_XSAVE", KVM_GET_XSAVE),
        _ => ("KVM_GET_XSAVE2", KVM_GET_XSAVE2),
    };
    let mut area = vec![0_u8; size.max(XSAVE_BYTES)];
    // SAFETY: the kernel writes 4096 bytes, or for KVM_GET_XSAVE2 as many as KVM_CAP_XSAVE2 said;
    // the area is that long.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), request as _, area.as_mut_ptr()) };
    if result == 0 { Ok(area) } else { Err(last(call)) }
}

/// KVM_SET_XSAVE of an area of at least `size` and 4096 bytes, as [`get_xsave`] returned it.
pub(super) fn set_xsave(vcpu: &impl AsRawFd, area: &[u8], size: usize) -> Result<(), VcpuError> {
    let mut area = std::borrow::Cow::Borrowed(area);
    if area.len() < size.max(XSAVE_BYTES) {
        // A state saved where the area is shorter: the components it lacks start out initial.
        area.to_mut().resize(size.max(XSAVE_BYTES), 0);
    }
    // SAFETY: the kernel reads 4096 bytes, or as many as KVM_CAP_XSAVE2 said; the area is that long.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_XSAVE as _, area.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(last("KVM_SET_XSAVE")) }
}

/// KVM_GET_SREGS2, where KVM_CAP_SREGS2 exists.
pub(super) fn get_sregs2(vcpu: &impl AsRawFd) -> Result<kvm_sregs2, VcpuError> {
    let mut sregs = kvm_sregs2::default();
    // SAFETY: the kernel writes one `struct kvm_sregs2` to the pointer, which outlives the call.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_GET_SREGS2 as _, &raw mut sregs) };
    if result == 0 { Ok(sregs) } else { Err(last("KVM_GET_SREGS2")) }
}

/// KVM_SET_SREGS2, where KVM_CAP_SREGS2 exists.
pub(super) fn set_sregs2(vcpu: &impl AsRawFd, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
    // SAFETY: the kernel reads one `struct kvm_sregs2` from the pointer, which outlives the call.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SREGS2 as _, std::ptr::from_ref(sregs)) };
    if result == 0 { Ok(()) } else { Err(last("KVM_SET_SREGS2")) }
}

/// Asks for AMX tile data in guests where the host has it.
///
/// A refusal is not an error: KVM then leaves AMX out of its supported CPUID, and the cases that
/// need it are skipped for that reason.
pub(super) fn permit_guest_amx() {
    let mut supported = 0_u64;
    // SAFETY: ARCH_GET_XCOMP_SUPP writes one u64 to the pointer, or fails.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_XCOMP_SUPP, &raw mut supported) };
    if result == 0 && supported >> XTILEDATA & 1 != 0 {
        // SAFETY: ARCH_REQ_XCOMP_GUEST_PERM takes a number and touches no memory of ours.
        unsafe {
            libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, libc::c_ulong::from(XTILEDATA))
        };
    }
}

/// KVM_RESET_DIRTY_RINGS.
pub(super) fn reset_dirty_rings(vm: &impl AsRawFd) -> Result<(), VcpuError> {
    // SAFETY: the call takes no argument; it reads the rings' flags, which user space has set.
    let result = unsafe { libc::ioctl(vm.as_raw_fd(), KVM_RESET_DIRTY_RINGS as _, 0) };
    if result >= 0 { Ok(()) } else { Err(last("KVM_RESET_DIRTY_RINGS")) }
}

/// UFFDIO_API; whether minor faults of shared memory can be watched.
pub(super) fn userfault_api(fd: &impl AsRawFd) -> Result<bool, VcpuError> {
    // api, features, ioctls.
    let mut api = [UFFD_API, UFFD_FEATURE_MINOR_SHMEM, 0_u64];
    // SAFETY: the argument is `struct uffdio_api`, three 64-bit numbers that outlive the call.
    match unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, api.as_mut_ptr()) } {
        0 => Ok(api[1] & UFFD_FEATURE_MINOR_SHMEM != 0),
        // The answer of a kernel without the feature.
        _ => match last("UFFDIO_API") {
            VcpuError::Call { errno: libc::EINVAL, .. } => Ok(false),
            error => Err(error),
        },
    }
}

/// UFFDIO_REGISTER of `length` bytes at `start` for minor faults.
pub(super) fn userfault_register(fd: &impl AsRawFd, start: u64, length: u64) -> Result<(), VcpuError> {
    // range, mode, ioctls.
    let mut register = [start, length, UFFDIO_REGISTER_MODE_MINOR, 0_u64];
    // SAFETY: the argument is `struct uffdio_register`, four 64-bit numbers that outlive the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_REGISTER as _, register.as_mut_ptr()) };
    if result == 0 { Ok(()) } else { Err(last("UFFDIO_REGISTER")) }
}

/// UFFDIO_CONTINUE: maps the pages that the file has, and wakes whoever waits for them.
pub(super) fn userfault_continue(fd: &impl AsRawFd, start: u64, length: u64) -> Result<(), VcpuError> {
    // range, mode, mapped.
    let mut range = [start, length, 0_u64, 0];
    // SAFETY: the argument is `struct uffdio_continue`, four 64-bit numbers that outlive the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_CONTINUE as _, range.as_mut_ptr()) };
    if result == 0 { Ok(()) } else { Err(last("UFFDIO_CONTINUE")) }
}

/// UFFDIO_UNREGISTER: the kernel handles the faults again. It fails only when the range is not watched.
pub(super) fn userfault_unregister(fd: &impl AsRawFd, start: u64, length: u64) {
    let range = [start, length];
    // SAFETY: the argument is `struct uffdio_range`, two 64-bit numbers that outlive the call.
    unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_UNREGISTER as _, range.as_ptr()) };
}

/// Whether the page at `address` of this process is mapped: bit 63 of its entry in
/// /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst).
pub(super) fn is_mapped(address: u64) -> Result<bool, VcpuError> {
    let mut entry = [0; 8];
    let read = std::fs::File::open("/proc/self/pagemap")
        .and_then(|file| file.read_exact_at(&mut entry, address / 4096 * 8));
    read.map_err(|e| call("reading /proc/self/pagemap", e))?;
    Ok(u64::from_le_bytes(entry) >> 63 != 0)
}

/// A memfd of `size` bytes.
pub(super) fn memfd(size: u64) -> Result<OwnedFd, VcpuError> {
    let fd = memfd_create("midflight-guest", MemfdFlags::CLOEXEC).map_err(|e| call("memfd_create", e))?;
    ftruncate(&fd, size).map_err(|e| call("ftruncate", e))?;
    Ok(fd)
}

/// Drops every page of `fd`, which then reads as zeros through every mapping.
pub(super) fn punch_all(fd: &OwnedFd, size: u64) -> Result<(), VcpuError> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(fd, mode, 0, size).map_err(|e| call("fallocate", e))
}

/// The first range of `fd` at or after `from` that holds data, as `start..end`; `None` after the last.
pub(super) fn next_data(fd: &OwnedFd, from: u64) -> Option<std::ops::Range<u64>> {
    let start = seek(fd, SeekFrom::Data(from)).ok()?;
    let end = seek(fd, SeekFrom::Hole(start)).ok()?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `_IOC(direction, 0xAE, number, size)` of asm-generic/ioctl.h.
    fn ioc(direction: u64, number: u64, size: u64) -> u64 {
        direction << 30 | size << 16 | 0xAE << 8 | number
    }

    #[test]
    fn ioctl_numbers_encode_direction_and_size() {
        assert_eq!(KVM_RUN, ioc(0, 0x80, 0));
        assert_eq!(KVM_SET_SIGNAL_MASK, ioc(1, 0x8B, 4));
        assert_eq!(KVM_GET_XSAVE, ioc(2, 0xA4, 4096));
        assert_eq!(KVM_SET_XSAVE, ioc(1, 0xA5, 4096));
        assert_eq!(KVM_GET_XSAVE2, ioc(2, 0xCF, 4096));
        assert_eq!(KVM_GET_SREGS2, ioc(2, 0xCC, size_of::<kvm_sregs2>() as u64));
        assert_eq!(KVM_SET_SREGS2, ioc(1, 0xCD, size_of::<kvm_sregs2>() as u64));
        assert_eq!(KVM_RESET_DIRTY_RINGS, ioc(0, 0xC7, 0));
        let uffd = |direction, number, size| ioc(direction, number, size) & !0xFF00 | 0xAA00;
        assert_eq!(UFFDIO_API, uffd(3, 0x3F, 24));
        assert_eq!(UFFDIO_REGISTER, uffd(3, 0x00, 32));
        assert_eq!(UFFDIO_UNREGISTER, uffd(2, 0x01, 16));
        assert_eq!(UFFDIO_CONTINUE, uffd(3, 0x07, 32));
        assert_eq!(size_of::<SignalMask>(), 12);
    }

    #[test]
    fn holes_are_skipped() {
        let fd = memfd(16 * 4096).unwrap();
        rustix::io::pwrite(&fd, b"x", 5 * 4096).unwrap();
        assert_eq!(next_data(&fd, 0), Some(5 * 4096..6 * 4096));
        assert_eq!(next_data(&fd, 6 * 4096), None);
        punch_all(&fd, 16 * 4096).unwrap();
        assert_eq!(next_data(&fd, 0), None);
    }
}
