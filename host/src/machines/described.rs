//! The properties of each machine.

use super::emulator::Emulator;
use super::qemu::{Accelerator, TriedQemu};
use std::fmt;
use std::path::Path;
use vm::Machine;

/// What a command line says of machines, beside the kind.
#[derive(Clone, Copy, Debug)]
pub struct MachineOptions<'a> {
    /// The KVM device.
    pub kvm: &'a Path,
    /// The model's behaviour.
    pub behaviour: Option<&'a str>,
    /// Which Bochs.
    pub bochs: BochsOptions<'a>,
    /// Which QEMU.
    pub qemu: QemuOptions<'a>,
}

/// Which QEMU, where a command line says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct QemuOptions<'a> {
    /// The program.
    pub program: Option<&'a Path>,
    /// The program that migrated guests continue in.
    pub destination: Option<&'a Path>,
    /// How they run the guest's code.
    pub accelerator: Option<Accelerator>,
}

impl QemuOptions<'_> {
    /// A QEMU that nobody asks for: this host's KVM has a machine of its own.
    pub const UNASKED: Self = Self { program: None, destination: None, accelerator: Some(Accelerator::Tcg) };

    /// Whether it says anything.
    pub fn is_given(&self) -> bool {
        self.program.is_some() || self.destination.is_some() || self.accelerator.is_some()
    }
}

/// Which Bochs, where a command line says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BochsOptions<'a> {
    /// The program.
    pub program: Option<&'a Path>,
    /// The CPU model.
    pub cpu: Option<&'a str>,
}

impl BochsOptions<'_> {
    /// Whether it says anything.
    pub fn is_given(&self) -> bool {
        self.program.is_some() || self.cpu.is_some()
    }
}

/// The properties by which the rest of the program treats kinds of machines differently.
#[derive(Debug)]
pub struct Quirks {
    /// The name in reports.
    pub name: &'static str,
    /// Whether its guests can be stopped, saved and restored. If not, it boots an image once for all its cold
    /// scenarios.
    pub stops: bool,
    /// Of one that boots images, whether it can have FRED. If not, it is for the IDT.
    pub boots_fred: bool,
    /// Whether it may hang where only SIGKILL reaches it: it runs in worker processes then, and else in
    /// threads of this process.
    pub may_hang: bool,
    /// Whether it may lack a feature. A skip on one that may not is a failure.
    pub may_skip: bool,
    /// Whether a scenario that depends on time is the same each time.
    pub repeats: bool,
    /// Whether guests run on this host's processor: what the machine does depends on the vendor.
    pub on_this_processor: bool,
    /// Whether known-issues.toml may list what it gets wrong.
    pub has_known_issues: bool,
    /// Whether its results test only the tests, not a KVM.
    pub tests_the_tests: bool,
}

impl Quirks {
    /// A machine without any, and without a name.
    pub const ORDINARY: Self = Self {
        name: "",
        stops: true,
        boots_fred: false,
        may_hang: false,
        may_skip: true,
        repeats: false,
        on_this_processor: false,
        has_known_issues: false,
        tests_the_tests: false,
    };
}

/// A machine cannot be used: why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// A machine that is there.
pub enum Opened {
    /// One whose guests can be stopped, saved and restored.
    Machine(Box<dyn Machine>),
    /// One that boots images by itself.
    Emulator(Box<dyn Emulator>),
    /// A QEMU, which also stops guests and migrates them by itself.
    Qemu(Box<TriedQemu>),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(machine) => f.debug_tuple("Machine").field(&machine.name()).finish(),
            Self::Qemu(qemu) => f.debug_tuple("Qemu").field(&qemu.version).finish(),
            Self::Emulator(emulator) => f.debug_tuple("Emulator").field(&emulator.version()).finish(),
        }
    }
}

/// What a description says of its machine. [`Display`](fmt::Display) is its name among others.
pub trait Described: fmt::Display {
    /// What is peculiar to its kind.
    fn quirks(&self) -> &'static Quirks;

    /// Opens it.
    ///
    /// # Errors
    /// When it is not there, or is none.
    fn open(&self) -> Result<Opened, Unavailable>;

    /// The behaviour, of a machine that has several.
    fn behaviour(&self) -> Option<&'static str> {
        None
    }

    /// What `midflight doctor` has to say of it in a line; `None` where it takes more.
    fn doctor(&self) -> Option<String> {
        None
    }
}

/// Refuses a behaviour for a machine that has one only.
pub(super) fn no_behaviour(quirks: &Quirks, asked: &MachineOptions<'_>) -> Result<(), String> {
    match asked.behaviour {
        None => Ok(()),
        Some(_) => Err(format!("--behaviour is for the model; {} behaves as it does", quirks.name)),
    }
}
