//! What a record of the kernel's log looks like that no healthy kernel writes.
//!
//! The level alone is not enough: drivers write what they like at `warning` and above. The forms are
//! those of include/asm-generic/bug.h, lib/bug.c, arch/x86/mm, arch/x86/kernel, lib/ubsan.c,
//! kernel/watchdog.c, kernel/rcu and arch/x86/kvm.

/// `<4>` and more severe: KERN_WARNING of include/linux/kern_levels.h. WARN() writes at this level.
pub(super) const LEAST_SEVERE: u8 = 4;

/// What opens a report of several records, the first of which say less than the last.
pub(super) const CUT_HERE: &str = "------------[ cut here ]------------";

/// The most records that belong to what [`CUT_HERE`] opened: a WARN() has a text of its own between
/// it and the record that begins as [`BEGINNINGS`] say.
pub(super) const MOST_LINES: usize = 8;

/// How such a record begins, after `watchdog: `, `rcu: `, `traps: ` or another name of that kind.
pub(super) const BEGINNINGS: [&str; 11] = [
    // WARN(), lockdep.
    "WARNING:",
    // Page faults of the kernel, KASAN, KFENCE, soft lockups, scheduling while atomic.
    "BUG:",
    "kernel BUG at",
    "Oops:",
    "general protection fault",
    "unchecked MSR access error:",
    // A double fault, and what FRED entry code cannot handle.
    "PANIC:",
    "Kernel panic",
    "UBSAN:",
    // A task that hangs.
    "INFO: task ",
    "INFO: rcu_",
];

/// What such a record holds anywhere, with the guest's address before it.
pub(super) const PARTS: [&str; 1] = [
    // vmx_handle_exit and svm_invoke_exit_handler: KVM does not know why the guest was left.
    "unexpected exit reason",
];
