//! The kernel under test: Linux with its own KVM inside an emulator, and midflight inside that.
//!
//! It shows what a genuine kvm_amd (or kvm_intel) does on any machine, one without virtualization
//! included. The kernel boots from an initrd made in memory: this very executable as `/init`, the
//! modules of KVM, and the arguments. Nothing is installed and no file remains.
//!
//! | module | holds |
//! |---|---|
//! | `outside` | boots the emulator, passes its results on, reports errors |
//! | `inside` | process 1 on the kernel under test |
//! | `initrd` | what the kernel unpacks as its root |
//! | `modules` | which modules KVM needs, decompressed, in load order |
//! | `emulator` | the emulator's command line |
//! | `console` | the end of the kernel's console, for error messages |
//! | `fred` | what a processor lacks for FRED in guests |
//! | `record` | the records on the second serial port, framed, numbered and checksummed |
//! | `signature` | what a signed module has at its end |
//! | `squeeze` | the output in them, made smaller |
//! | `untraced` | modules that load sooner, because nobody traces them |

mod console;
mod emulator;
mod fred;
mod initrd;
mod inside;
mod modules;
mod outside;
mod record;
mod signature;
mod squeeze;
mod untraced;

pub use emulator::Emulator;
pub use inside::init_if_asked;
pub use modules::ModuleError;
pub use outside::Prepared;

use crate::bochs::error::BochsError;
use crate::bochs::linux::KernelError;
use std::path::PathBuf;
use std::time::Duration;

/// What to boot, and what to run there.
#[derive(Clone, Debug)]
pub struct KernelUnderTest {
    /// A bootable kernel image (bzImage).
    pub kernel: PathBuf,
    /// The directory with that kernel's modules: `/lib/modules/VERSION`, or a build tree. None for a kernel
    /// with KVM built in.
    pub modules: Option<PathBuf>,
    /// More words for the kernel's command line.
    pub append: String,
    /// What it boots in.
    pub emulator: Emulator,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Files to take along, at the same absolute path inside.
    pub files: Vec<PathBuf>,
}

/// the kernel under test gave no result.
#[derive(Debug, thiserror::Error)]
pub enum OnKernelError {
    /// A file cannot be read.
    #[error("{what} {} cannot be read: {error}", file.display())]
    File {
        /// What it is.
        what: &'static str,
        /// Its name.
        file: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// A file would lie where the kernel under test has its own.
    #[error(
        "--file {}: the kernel under test has files of its own there, and would not show this one: copy it to another \
         directory first", .0.display()
    )]
    Hidden(PathBuf),
    /// There is no kernel to boot.
    #[error(
        "there is no kernel at {}: give one with --kernel and its modules with --modules \
         (`make run-tests-on-kernels` fetches Debian's)", .0.display()
    )]
    NoKernel(PathBuf),
    /// The kernel cannot be booted.
    #[error("the kernel {} cannot be booted: {error}", file.display())]
    Kernel {
        /// Its name.
        file: PathBuf,
        /// What is wrong with it.
        error: KernelError,
    },
    /// Bochs cannot be used.
    #[error(transparent)]
    Bochs(BochsError),
    /// No KVM can run on its processor.
    #[error(
        "{0} has no VMX, so there is no kvm_intel in it: use a Bochs that was built with --enable-vmx=2, or another CPU \
         model with --bochs-cpu"
    )]
    NoVmx(String),
    /// The modules are no use.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// This executable needs libraries that the initrd does not have.
    #[error(
        "this midflight needs shared libraries, which the initrd does not have: use the static one \
         that `make build` leaves at target/release/midflight"
    )]
    Dynamic,
    /// `--emulator` is not a command line.
    #[error("--emulator `{0}` is not a command line: it is empty or a quote is not closed")]
    EmulatorCommand(String),
    /// `--append` would end the kernel's own words.
    #[error(
        "--append `{0}` holds `--`: what follows it would be arguments of this midflight and not the kernel's"
    )]
    AppendEnds(String),
    /// The kernel would cut its command line.
    #[error("--append is too long: with it the kernel's command line has {0} bytes, and Linux reads {1}")]
    AppendTooLong(usize, usize),
    /// There is no such emulator, which the words begin with.
    #[error("{0}: install QEMU 7.2 or later (Debian: apt install qemu-system-x86) or use --emulator")]
    NoEmulator(String),
    /// A system call failed.
    #[error("{what} failed: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The emulator failed before anything came from inside.
    #[error("the emulator ended with {status} before it sent anything; {needed} is needed; it says: {says}")]
    EmulatorFailed {
        /// What works in its place.
        needed: &'static str,
        /// The process's status.
        status: String,
        /// What it printed last.
        says: String,
    },
    /// The kernel gave up.
    #[error("kernel panic in the kernel under test: {0}")]
    Panic(String),
    /// Nothing came back.
    #[error("the kernel under test ended without a result ({status}); its last output: {says}")]
    NoResult {
        /// The emulator's status.
        status: String,
        /// The last line of its console.
        says: String,
    },
    /// The deadline passed.
    #[error(
        "timeout: the kernel under test did not finish within {limit} s and was killed, {stage}; its last output: {says}"
    )]
    Timeout {
        /// The bound in seconds.
        limit: f64,
        /// How far it had come.
        stage: String,
        /// The last line of its console.
        says: String,
    },
    /// This process received a signal to end.
    #[error("this run was ended by a signal")]
    EndRequested,
    /// Midflight could not be run there.
    #[error("on the kernel under test: {0}")]
    Inside(String),
    /// The results cannot be trusted.
    #[error("{0} records arrived damaged or were lost on the serial line: the results are incomplete")]
    Damaged(u64),
    /// A line is no part of a report.
    #[error("the midflight on the kernel under test sent what is no part of a report: {0}")]
    NotARecord(String),
    /// The results cannot be passed on.
    #[error("the results cannot be written: {0}")]
    Output(std::io::Error),
}
