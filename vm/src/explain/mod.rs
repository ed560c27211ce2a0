//! What KVM did, in words.
//!
//! | module | holds |
//! |---|---|
//! | this one | exits of KVM_RUN, who is to blame for them, and the state of a refused entry |
//! | [`ShownQueue`] | the event queue as `kvm_vcpu_events` shows it |
//! | [`entry_failure`] | `hardware_entry_failure_reason` |

pub mod entry_failure;
mod queue;

pub use queue::{QueuedException, ShownQueue};

use crate::blame::Blame;
use crate::{Exit, Vcpu};
use fred::control::rflags;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `exit_reason`, by number, of the exits that x86 can have and [`Exit`] does not distinguish.
const NAMES: [(u32, &str); 17] = [
    (1, "KVM_EXIT_EXCEPTION"),
    (2, "KVM_EXIT_IO"),
    (3, "KVM_EXIT_HYPERCALL"),
    (4, "KVM_EXIT_DEBUG"),
    (11, "KVM_EXIT_SET_TPR"),
    (12, "KVM_EXIT_TPR_ACCESS"),
    (16, "KVM_EXIT_NMI"),
    (24, "KVM_EXIT_SYSTEM_EVENT"),
    (26, "KVM_EXIT_IOAPIC_EOI"),
    (27, "KVM_EXIT_HYPERV"),
    (29, "KVM_EXIT_X86_RDMSR"),
    (30, "KVM_EXIT_X86_WRMSR"),
    (32, "KVM_EXIT_AP_RESET_HOLD"),
    (33, "KVM_EXIT_X86_BUS_LOCK"),
    (34, "KVM_EXIT_XEN"),
    (37, "KVM_EXIT_NOTIFY"),
    (39, "KVM_EXIT_MEMORY_FAULT"),
];

/// `suberror` of KVM_EXIT_INTERNAL_ERROR, as linux/kvm.h names them.
const SUBERRORS: [(u32, &str); 4] = [
    (1, "KVM_INTERNAL_ERROR_EMULATION: KVM's instruction emulator gave up"),
    (2, "KVM_INTERNAL_ERROR_SIMUL_EX: an exception was met while another was delivered"),
    (3, "KVM_INTERNAL_ERROR_DELIVERY_EV: an exit in mid-delivery that KVM does not handle"),
    (4, "KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: an exit that KVM does not handle"),
];

/// An unexpected exit, as a clause without a full stop.
pub fn exit(exit: &Exit) -> String {
    match exit {
        Exit::IoOut { port, .. } => format!("the guest wrote to port {port:#x}"),
        Exit::IoIn { port, .. } => format!("the guest read from port {port:#x}"),
        Exit::Mmio { address, write } => {
            let did = if *write { "wrote to" } else { "read from" };
            format!("the guest {did} guest-physical {address:#x}, where no memory is (KVM_EXIT_MMIO)")
        }
        Exit::InterruptWindow => {
            "KVM_RUN returned KVM_EXIT_IRQ_WINDOW_OPEN, which was not requested".to_owned()
        }
        Exit::Halt => "the guest came to a HLT (KVM_EXIT_HLT)".to_owned(),
        Exit::Shutdown => "the guest was shut down, as by a triple fault (KVM_EXIT_SHUTDOWN)".to_owned(),
        Exit::Interrupted => {
            "KVM_RUN returned EINTR, and midflight had sent no signal: something else did".to_owned()
        }
        Exit::Deadline => "the guest was still running when its time was over".to_owned(),
        Exit::Fault { gpa: Some(gpa) } => {
            format!("KVM_RUN failed with EFAULT at guest-physical {gpa:#x} (KVM_EXIT_MEMORY_FAULT)")
        }
        Exit::Fault { gpa: None } => "KVM_RUN failed with EFAULT and named no address".to_owned(),
        Exit::DirtyRingFull => {
            "KVM_RUN returned because the dirty ring was full (KVM_EXIT_DIRTY_RING_FULL)".to_owned()
        }
        Exit::InternalError { suberror, data } => {
            let what = name(&SUBERRORS, *suberror).map_or(String::new(), |name| format!(" ({name})"));
            let words: Vec<String> = data.iter().map(|word| format!("{word:#x}")).collect();
            let data = if data.is_empty() { String::new() } else { format!(", data [{}]", words.join(", ")) };
            format!("KVM_EXIT_INTERNAL_ERROR, suberror {suberror}{what}{data}")
        }
        Exit::FailEntry { reason, cpu, .. } => format!(
            "the processor refused to enter the guest (KVM_EXIT_FAIL_ENTRY) on CPU {cpu}: \
             hardware_entry_failure_reason {reason:#x}, {}",
            entry_failure::reason(*reason)
        ),
        Exit::Unknown { hardware_reason } => format!(
            "KVM does not know why the guest was left (KVM_EXIT_UNKNOWN, hardware_exit_reason {hardware_reason:#x})"
        ),
        Exit::UnknownInstruction { text, .. } => format!("unsupported instruction {text}"),
        Exit::Other { reason } => match name(&NAMES, *reason) {
            Some(name) => format!("KVM_RUN returned {name} ({reason}), which was not requested"),
            None => format!("KVM_RUN returned the exit reason {reason}, which was not requested"),
        },
    }
}

/// Who is to blame for an unexpected exit: the machine, unless time ran out, a signal of another process came,
/// or the model lacks an instruction.
pub fn blame(exit: &Exit) -> Blame {
    match exit {
        Exit::Deadline | Exit::Interrupted | Exit::UnknownInstruction { .. } => Blame::Us,
        Exit::IoOut { .. }
        | Exit::IoIn { .. }
        | Exit::Mmio { .. }
        | Exit::InterruptWindow
        | Exit::Halt
        | Exit::Shutdown
        | Exit::Fault { .. }
        | Exit::DirtyRingFull
        | Exit::InternalError { .. }
        | Exit::FailEntry { .. }
        | Exit::Unknown { .. }
        | Exit::Other { .. } => Blame::Machine,
    }
}

/// The state of a refused entry: the registers that the processor checks, and the queue. What cannot be read
/// is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// The ioctls that set something since the last entry, oldest first.
    pub set: Vec<String>,
    /// RFLAGS.
    pub rflags: Option<u64>,
    /// The queue.
    pub queue: Option<ShownQueue>,
    /// CR0, CR4 and IA32_EFER.
    pub control: Option<[u64; 3]>,
    /// DR6 and DR7.
    pub debug: Option<[u64; 2]>,
}

/// Reads the state of a refused entry; `set` are the ioctls that set something since the last entry.
pub fn entered(vcpu: &mut dyn Vcpu, set: &[String]) -> Entered {
    Entered {
        set: set.to_vec(),
        rflags: vcpu.regs().ok().map(|regs| regs.rflags),
        queue: vcpu.events().ok().map(|events| ShownQueue::from(&events)),
        control: vcpu.sregs().ok().map(|sregs| [sregs.cr0, sregs.cr4, sregs.efer]),
        debug: vcpu.debug_regs().ok().map(|debug| [debug.dr6, debug.dr7]),
    }
}

impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.set.is_empty() {
            parts.push(format!("set before it: {}", self.set.join(", ")));
        }
        if let Some(value) = self.rflags {
            let bits = [(rflags::TF, "TF"), (rflags::IF, "IF"), (rflags::RF, "RF"), (rflags::VM, "VM")];
            let set = bits.into_iter().filter(|(bit, _)| value & bit != 0);
            let names: Vec<&str> = set.map(|(_, name)| name).collect();
            parts.push(format!("RFLAGS {value:#x} ({})", names.join(" ")));
        }
        parts.extend(self.queue.map(|queue| format!("the queue: {queue}")));
        if let Some([cr0, cr4, efer]) = self.control {
            parts.push(format!("CR0 {cr0:#x}, CR4 {cr4:#x}, EFER {efer:#x}"));
        }
        parts.extend(self.debug.map(|[dr6, dr7]| format!("DR6 {dr6:#x}, DR7 {dr7:#x}")));
        f.write_str(&parts.join("; "))
    }
}

fn name<N: PartialEq>(names: &[(N, &'static str)], number: N) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        let internal = Exit::InternalError { suberror: 1, data: vec![0x1F, 2] };
        for (exit_, words) in [
            (Exit::Halt, "the guest came to a HLT (KVM_EXIT_HLT)"),
            (
                Exit::Mmio { address: 0xFEE0_0000, write: true },
                "the guest wrote to guest-physical 0xfee00000, where no memory is (KVM_EXIT_MMIO)",
            ),
            (
                internal,
                "KVM_EXIT_INTERNAL_ERROR, suberror 1 (KVM_INTERNAL_ERROR_EMULATION: KVM's instruction \
                 emulator gave up), data [0x1f, 0x2]",
            ),
            (
                Exit::Other { reason: 24 },
                "KVM_RUN returned KVM_EXIT_SYSTEM_EVENT (24), which was not requested",
            ),
            (
                Exit::FailEntry { reason: 0x8000_0021, cpu: 3, set: Vec::new() },
                "the processor refused to enter the guest (KVM_EXIT_FAIL_ENTRY) on CPU 3: \
                 hardware_entry_failure_reason 0x80000021, VM-entry failure, basic exit reason 33: invalid guest \
                 state",
            ),
        ] {
            assert_eq!(exit(&exit_), words);
        }
    }

    #[test]
    fn only_time_signals_and_the_model_s_own_gaps_are_errors() {
        let unknown = Exit::UnknownInstruction { text: "aesenc".into(), rip: 0 };
        for error in [Exit::Deadline, Exit::Interrupted, unknown] {
            assert_eq!(blame(&error), Blame::Us, "{error:?}");
        }
        let entry = Exit::FailEntry { reason: 7, cpu: 0, set: Vec::new() };
        let internal = Exit::InternalError { suberror: 3, data: Vec::new() };
        let mmio = Exit::Mmio { address: 0, write: false };
        let fault = Exit::Fault { gpa: None };
        let other = Exit::Other { reason: 24 };
        for failure in [Exit::Halt, Exit::Shutdown, Exit::DirtyRingFull, entry, internal, mmio, fault, other]
        {
            assert_eq!(blame(&failure), Blame::Machine, "{failure:?}");
        }
    }
}
