//! A page that userfaultfd watches: `Documentation/admin-guide/mm/userfaultfd.rst`.
//!
//! The page stays in the memfd and leaves the guest's mapping, so that the guest's next access is a
//! *minor* fault: the kernel reports it and waits. A watcher thread then signals the vCPU. Before Linux 6.2
//! a signal does not end that wait. There the watcher resolves the fault a moment later, and KVM finds the
//! signal at the next entry. The event is in the queue either way.

use super::error::{call, errno_of, last, refusal};
use super::sys;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;
use vm::{PAGE, VcpuError};

/// How long a signalled KVM_RUN may take to return before its fault is resolved. One that returns later, on a
/// busy host, finds the signal at its next entry, with the event in the queue as well: nothing depends on it.
const SIGNAL_DEADLINE: Duration = Duration::from_millis(20);

/// One watched page; no longer watched when dropped.
#[derive(Debug)]
pub(super) struct Userfault {
    fd: OwnedFd,
    /// The page's address in the guest's mapping.
    page: u64,
}

impl Userfault {
    /// Watches the page at `page` of a shared memfd mapping, which must then leave the mapping.
    pub(super) fn watch(page: u64) -> Result<Self, VcpuError> {
        // SAFETY: makes a descriptor and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
        let Ok(fd) = i32::try_from(fd) else { return Err(errno_of("userfaultfd", libc::EBADF)) };
        if fd < 0 {
            return Err(match last("userfaultfd") {
                VcpuError::Call { call, errno: errno @ libc::EPERM, .. } => VcpuError::Call {
                    call,
                    errno,
                    message: "this process may not watch faults in kernel mode".into(),
                    advice: ": run as root, or set vm.unprivileged_userfaultfd to 1",
                },
                error => error,
            });
        }
        // SAFETY: the descriptor is new and nobody else's.
        let watched = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, page };
        if !sys::userfault_api(&watched.fd)? {
            let what = "this kernel reports no minor faults of shared memory: it came with Linux 5.14";
            return Err(refusal("UFFDIO_API", what.into()));
        }
        sys::userfault_register(&watched.fd, page, PAGE as u64)?;
        Ok(watched)
    }

    /// Runs `enter`; a fault on the page signals the calling thread with `signal` meanwhile.
    pub(super) fn run<T>(&self, signal: i32, enter: impl FnOnce() -> T) -> Result<T, VcpuError> {
        let done = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| call("eventfd", e))?;
        // SAFETY: gettid has no preconditions.
        let thread = unsafe { libc::gettid() };
        Ok(std::thread::scope(|scope| {
            scope.spawn(|| self.watcher(&done, thread, signal));
            let result = enter();
            // Cannot fail: the counter is far from its end.
            let _ = rustix::io::write(&done, &1_u64.to_ne_bytes());
            result
        }))
    }

    fn watcher(&self, done: &OwnedFd, thread: i32, signal: i32) {
        let mut both = [PollFd::new(&self.fd, PollFlags::IN), PollFd::new(done, PollFlags::IN)];
        // As long as KVM_RUN, which has a deadline.
        while poll(&mut both, None).is_err_and(|errno| errno == rustix::io::Errno::INTR) {}
        if !both[1].revents().is_empty() {
            return;
        }
        // SAFETY: signals a thread of this process, which waits for us before it ends.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
        let deadline = Timespec { tv_sec: 0, tv_nsec: SIGNAL_DEADLINE.subsec_nanos().into() };
        let mut one = [PollFd::new(done, PollFlags::IN)];
        if poll(&mut one, Some(&deadline)).is_ok_and(|ready| ready == 0) {
            self.resolve();
        }
    }

    /// Resolves the fault: whoever waits for the page continues.
    pub(super) fn resolve(&self) {
        // Fails only when the page is there already.
        let _ = sys::userfault_continue(&self.fd, self.page, PAGE as u64);
    }
}

impl Drop for Userfault {
    fn drop(&mut self) {
        self.resolve();
        sys::userfault_unregister(&self.fd, self.page, PAGE as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::mappings::Mappings;
    use super::super::signal;
    use super::*;
    use std::time::Instant;

    #[test]
    fn an_access_to_a_watched_page_waits_for_the_watcher() {
        // The signal needs its handler.
        let mut immediate_exit = 0;
        let running = signal::Running::new(&raw mut immediate_exit, Some(Instant::now())).unwrap();
        drop(running);
        for (write, number) in [(false, 1), (true, 2), (false, 3), (true, 4)] {
            let mut memory = Mappings::new(8 * PAGE as u64).unwrap();
            let page = memory.guest_page(number * PAGE as u64).unwrap();
            if number < 3 {
                memory.write(number * PAGE as u64, b"here").unwrap();
            }
            memory.populate(number * PAGE as u64).unwrap();
            let watched = match Userfault::watch(page) {
                Ok(watched) => watched,
                Err(error) => return eprintln!("skipped, nothing tested: {error}"),
            };
            memory.evict(number * PAGE as u64).unwrap();
            let start = Instant::now();
            let touch = || {
                let byte = std::ptr::with_exposed_provenance_mut::<u8>(page as usize);
                match write {
                    // SAFETY: a page of the mapping made above.
                    true => unsafe { byte.write_volatile(1) },
                    // SAFETY: the same.
                    false => assert_eq!(unsafe { byte.read_volatile() }, if number == 1 { b'h' } else { 0 }),
                }
            };
            watched.run(signal::deadline_signal(), touch).unwrap();
            assert!(start.elapsed() >= SIGNAL_DEADLINE, "page {number}, write {write}");
        }
    }
}
