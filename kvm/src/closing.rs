//! Closing VMs in threads of their own.
//!
//! The kernel waits while a VM ends: for the RCU callbacks that free its second-stage page tables, some ticks of
//! its clock (`kvm_mmu_uninit_tdp_mmu`), and until its memory is unmapped. Nothing depends on that, and the next
//! guest does not wait for it. VMs that end one after the other wait for the same ticks.

use super::mappings::Mappings;
use kvm_ioctls::{VcpuFd, VmFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

/// How many VMs are closed at a time; whoever ends one more waits. A kernel that hangs while it closes a VM then
/// hangs whoever ends the next ones, which has a deadline.
const AT_A_TIME: usize = 4;

/// A VM that ended. The order is the order of dropping: KVM releases guest memory before it is unmapped.
pub(super) struct Ended {
    pub(super) _vcpu: VcpuFd,
    pub(super) _vm: VmFd,
    pub(super) _memory: Mappings,
}

impl Ended {
    /// Closes it, in a thread for that if there is one.
    pub(super) fn close(self) {
        if let Some(closers) = closers() {
            // Threads that are gone give it back, and it is closed here.
            drop(closers.send(self));
        }
    }
}

/// The way to this process's threads; `None` if none can be made.
fn closers() -> Option<&'static SyncSender<Ended>> {
    static CLOSERS: OnceLock<Option<SyncSender<Ended>>> = OnceLock::new();
    CLOSERS.get_or_init(start).as_ref()
}

/// Starts threads that drop what they are sent; `None` if none can be made.
fn start<T: Send + 'static>() -> Option<SyncSender<T>> {
    let (sender, ended) = sync_channel(0);
    let ended = Arc::new(Mutex::new(ended));
    let threads = (0..AT_A_TIME).filter(|_| closer(&ended).is_ok()).count();
    (threads > 0).then_some(sender)
}

/// Starts a thread that drops one after the other.
fn closer<T: Send + 'static>(ended: &Arc<Mutex<Receiver<T>>>) -> std::io::Result<()> {
    let ended = Arc::clone(ended);
    // The lock is held while the thread waits, and not while it drops.
    let next = move || ended.lock().ok()?.recv().ok();
    let close_all = move || std::iter::from_fn(next).for_each(drop);
    std::thread::Builder::new().name("closer".to_owned()).spawn(close_all).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    /// Its end waits for that of others.
    struct Together(Arc<Barrier>, Sender<()>);

    impl Drop for Together {
        fn drop(&mut self) {
            self.0.wait();
            self.1.send(()).unwrap();
        }
    }

    #[test]
    fn as_many_are_closed_at_a_time() {
        let (all, barrier) = (2 * AT_A_TIME, Arc::new(Barrier::new(AT_A_TIME)));
        let (closed, closings) = channel();
        let closers = start().unwrap();
        // With fewer threads this one waits for ever.
        std::thread::spawn(move || {
            for _ in 0..all {
                closers.send(Together(Arc::clone(&barrier), closed.clone())).unwrap();
            }
        });
        for number in 0..all {
            closings.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("{number} were closed"));
        }
    }
}
