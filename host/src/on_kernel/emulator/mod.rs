//! What a kernel under test boots in.
//!
//! | module | holds |
//! |---|---|
//! | `qemu` | QEMU, or what takes its options |
//! | `bochs` | Bochs, by our firmware |

mod bochs;
mod qemu;

use super::OnKernelError;
use crate::bochs::{linux, payload};
use crate::process::{Child, MemoryFile};
use bochs::ReadyBochs;
use qemu::ReadyQemu;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The kernel's command line, before and after what the user adds. Messages go to the first serial port and records to the second.
/// Words after `--` are arguments of `/init`, and so are those that the kernel does not know, like
/// nokaslr, which is for its decompressor.
///
/// After a panic the kernel restarts at once, and that is the emulator's end. With `no_timer_check` the kernel takes it for
/// granted that the timer's interrupt works: it waits for ten ticks by the processor's clock, and on a busy host the
/// emulator may come too late with them ("IO-APIC + timer doesn't work!").
const KERNEL_COMMAND_LINE: [&str; 2] =
    ["console=ttyS0 panic=-1 nokaslr no_timer_check quiet", "-- midflight-init"];
/// What takes an emulated processor longer than the tests do and changes nothing that KVM does for a guest: mitigations
/// and hardening, the kernel's tests of its cryptography (`cryptomgr_test`, `jent_entropy_init`), the certificates for
/// modules, which are loaded without a signature, names for tracers and the search for functions that they cannot trace,
/// statistics (KVM makes some 50 files in debugfs for each VM), accounting, security modules. A kernel passes over what it
/// does not know.
///
/// fsrm and erms say that REP MOVSB is fast, and with them the kernel copies to and from user space by it. Under SMAP
/// Bochs walks the page tables for each of its accesses there, which are bytes; without them it copies by 8 bytes. SMAP
/// itself stays, because guests have it only where their host has it; these two bits mean nothing else to a guest.
const COSTS_TIME: &str = "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off \
     cryptomgr.notests debugfs=off psi=0 cgroup_disable=memory audit=0 lsm=capability clearcpuid=fsrm,erms \
     initcall_blacklist=jent_mod_init,trace_eval_init,ftrace_check_for_weak_functions,load_system_certificate_list";
/// So much of a command line Linux reads on x86, in bytes: COMMAND_LINE_SIZE without the NUL. It cuts off
/// the rest without a word.
const LONGEST: usize = 2047;
/// The argument by which process 1 knows that it is to test this kernel.
pub(super) const INIT_ARGUMENT: &str = "midflight-init";

/// The serial port for records, inside.
pub(super) const RECORD_PORT: &str = "/dev/ttyS1";

/// An emulator, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// QEMU without acceleration, with a processor that has SVM.
    Qemu,
    /// A command line that takes QEMU's options for kernel, initrd and serial ports.
    Command(String),
    /// Bochs.
    Bochs {
        /// The program; without it, the one in PATH.
        program: Option<PathBuf>,
        /// The CPU model; without it, the newest one with FRED, or the newest one.
        cpu: Option<String>,
    },
}

impl Emulator {
    /// Its name, of a Bochs its version and CPU model, if it is one in which a KVM can run.
    ///
    /// # Errors
    /// When it is not there, or cannot be used.
    pub fn found(&self) -> Result<String, OnKernelError> {
        Ok(match self.ready()? {
            Ready::Qemu(qemu) => qemu.program(),
            Ready::Bochs(bochs) => bochs.fact(),
        })
    }

    /// Finds the program.
    ///
    /// # Errors
    /// When it is not there, or cannot be used.
    pub(super) fn ready(&self) -> Result<Ready, OnKernelError> {
        Ok(match self {
            Self::Qemu => Ready::Qemu(ReadyQemu::of(qemu::DEFAULT)?),
            Self::Command(line) => Ready::Qemu(ReadyQemu::of(line)?),
            Self::Bochs { program, cpu } => Ready::Bochs(ReadyBochs::of(program.as_deref(), cpu.as_deref())?),
        })
    }
}

/// An emulator that was found.
#[derive(Debug)]
pub(super) enum Ready {
    Qemu(ReadyQemu),
    Bochs(ReadyBochs),
}

/// A kernel that was read.
#[derive(Debug)]
pub(super) struct Kernel {
    /// A path without surprises, whatever it was called.
    path: PathBuf,
    bytes: Vec<u8>,
    /// [`payload::unpacked`], once it was asked for.
    unpacked: OnceLock<Option<Vec<u8>>>,
}

/// An emulator that runs. It is killed when this is dropped.
pub(super) struct Running {
    /// The kernel's console is what it writes to standard error, records are what it writes to standard output, or
    /// else it is [`swapped`](Child::swapped).
    pub(super) child: Child,
    /// What it reads.
    pub(super) files: Vec<MemoryFile>,
}

impl Kernel {
    /// Reads a kernel, and checks as much as can be seen from outside.
    pub(super) fn read(file: &Path) -> Result<Self, OnKernelError> {
        if !file.is_file() {
            return Err(OnKernelError::NoKernel(file.to_owned()));
        }
        let unreadable = |error| OnKernelError::File { what: "the kernel", file: file.to_owned(), error };
        let path = file.canonicalize().map_err(unreadable)?;
        let bytes = std::fs::read(file).map_err(unreadable)?;
        linux::check(&bytes).map_err(|error| OnKernelError::Kernel { file: file.to_owned(), error })?;
        Ok(Self { path, bytes, unpacked: OnceLock::new() })
    }

    /// What a boot loader in memory enters.
    fn unpacked(&self) -> &[u8] {
        self.unpacked.get_or_init(|| payload::unpacked(&self.bytes)).as_ref().unwrap_or(&self.bytes)
    }
}

impl Ready {
    /// Its name and version for the host facts, where CPUID does not tell it.
    pub(super) fn fact(&self) -> Option<String> {
        match self {
            Self::Qemu(_) => None,
            Self::Bochs(bochs) => Some(bochs.fact()),
        }
    }

    /// What is needed, for a program that does not work.
    pub(super) fn needed(&self) -> &'static str {
        match self {
            Self::Qemu(_) => "QEMU 7.2 or later",
            Self::Bochs(_) => "a Bochs with x86-64, VMX and the display nogui or rfb",
        }
    }

    /// Boots a kernel with an initrd and `append` on its command line.
    pub(super) fn start(
        &self,
        kernel: &Kernel,
        initrd: &[u8],
        append: &str,
    ) -> Result<Running, OnKernelError> {
        match self {
            Self::Qemu(qemu) => qemu.start(kernel, initrd, &command_line(append)?),
            Self::Bochs(bochs) => {
                bochs.start(kernel, initrd, &command_line(&format!("{} {append}", bochs::APPEND))?)
            }
        }
    }
}

fn command_line(append: &str) -> Result<String, OnKernelError> {
    let [before, after] = KERNEL_COMMAND_LINE;
    if append.split_whitespace().any(|word| word == "--") {
        return Err(OnKernelError::AppendEnds(append.to_owned()));
    }
    let line = [before, COSTS_TIME, append.trim(), after].into_iter().filter(|part| !part.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST { Err(OnKernelError::AppendTooLong(line.len(), LONGEST)) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_comes_before_the_arguments_of_init() {
        let [before, after] = KERNEL_COMMAND_LINE;
        let line = |append| command_line(append).unwrap();
        assert_eq!(line(""), format!("{before} {COSTS_TIME} {after}"));
        assert_eq!(line(" fred=on x.y=0 "), format!("{before} {COSTS_TIME} fred=on x.y=0 {after}"));
        assert!(line("a--b=--").contains("a--b=--"), "only a word of its own ends the kernel's");
        let wrong = |append: &str| command_line(append).unwrap_err().to_string();
        assert!(wrong("x -- y").starts_with("--append `x -- y` holds `--`"));
        assert!(wrong(&"x".repeat(2000)).contains("and Linux reads 2047"));
    }
}
