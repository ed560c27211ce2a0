//! Closing a VM in a thread of its own.
//!
//! The kernel waits while a VM ends: for the RCU callbacks that free its second-stage page tables, some ticks of
//! its clock (`kvm_mmu_uninit_tdp_mmu`), and until its memory is unmapped. Nothing depends on that, and the next
//! guest does not wait for it.

use super::mappings::Mappings;
use kvm_ioctls::{VcpuFd, VmFd};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

/// How many VMs may wait to be closed; whoever ends one more waits. A kernel that hangs while it closes a VM then
/// hangs whoever ends the next ones, which has a deadline.
const WAITING: usize = 2;

/// A VM that ended. The order is the order of dropping: KVM releases guest memory before it is unmapped.
pub(super) struct Ended {
    pub(super) _vcpu: VcpuFd,
    pub(super) _vm: VmFd,
    pub(super) _memory: Mappings,
}

impl Ended {
    /// Closes it, in the thread for that if there is one.
    pub(super) fn close(self) {
        if let Some(closer) = closer() {
            // A thread that is gone gives it back, and it is closed here.
            drop(closer.send(self));
        }
    }
}

/// The way to this process's thread; `None` if the thread cannot be made.
fn closer() -> Option<&'static SyncSender<Ended>> {
    static CLOSER: OnceLock<Option<SyncSender<Ended>>> = OnceLock::new();
    let start = || {
        let (sender, ended) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("closer".to_owned());
        thread.spawn(move || ended.into_iter().for_each(drop)).ok().map(|_| sender)
    };
    CLOSER.get_or_init(start).as_ref()
}
