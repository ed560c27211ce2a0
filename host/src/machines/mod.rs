//! Machines: whatever can boot an image; most can also stop it, save it and restore it.
//!
//! A machine is a [`Description`]: data that is made of a command line in one place, that travels to another
//! process, and that can be [opened](Described::open). All by which the rest of the program treats machines
//! differently is in its [`Quirks`]; nobody asks for a name.
//!
//! | module | holds |
//! |---|---|
//! | [`kvm`] | this host's KVM, in worker processes |
//! | [`model`] | the software machine, in threads |
//! | [`qemu`] | QEMU, which boots images by itself |
//! | [`emulator`] | what an external emulator that boots images does |
//! | [`transcript`] | the lines that an image prints when it runs alone |
//! | [`narrowed`] | two machines made alike |

pub mod emulator;
pub mod kvm;
pub mod model;
pub mod narrowed;
pub mod qemu;
pub mod transcript;

use clap::ValueEnum;
use emulator::Emulator;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use vm::Machine;

/// A machine, described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Description {
    /// This host's KVM.
    Kvm(kvm::Kvm),
    /// The software machine.
    Model(model::Model),
    /// QEMU.
    Qemu(qemu::Qemu),
}

/// A kind of machine, by the name that reports and `--machine` have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// This host's KVM
    Kvm,
    /// The software machine
    Model,
    /// QEMU
    Qemu,
}

/// What a command line says of machines, beside the kind.
#[derive(Clone, Copy, Debug)]
pub struct MachineOptions<'a> {
    /// The KVM device.
    pub kvm: &'a Path,
    /// The model's behaviour.
    pub behaviour: Option<&'a str>,
}

impl MachineOptions<'_> {
    /// The kind of machine that is meant where none is named.
    pub fn implied(&self) -> Option<Kind> {
        self.behaviour.map(|_| Kind::Model)
    }
}

/// By what the rest of the program treats a kind of machine differently from others.
#[derive(Debug)]
pub struct Quirks {
    /// The name in reports.
    pub name: &'static str,
    /// Whether its guests can be stopped, saved and restored. If not, it boots an image once, for the cold
    /// scenarios under the IDT.
    pub stops: bool,
    /// Whether it may hang where only SIGKILL reaches it: it runs in worker processes then, and else in
    /// threads of this process.
    pub may_hang: bool,
    /// Whether it may lack something. What one that may not skips, it fails to do.
    pub may_skip: bool,
    /// Whether a scenario that depends on time is the same each time.
    pub repeats: bool,
    /// Whether guests run on this host's processor: what the machine does depends on the vendor.
    pub on_this_processor: bool,
    /// Whether known-issues.toml may list what it gets wrong.
    pub has_known_issues: bool,
    /// Whether its results test the tests and nobody's KVM.
    pub tests_the_tests: bool,
}

impl Quirks {
    /// A machine without any, and without a name.
    pub const ORDINARY: Self = Self {
        name: "",
        stops: true,
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
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(machine) => f.debug_tuple("Machine").field(&machine.name()).finish(),
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

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Model, Self::Kvm, Self::Qemu];

    /// What is peculiar to it.
    pub fn quirks(self) -> &'static Quirks {
        match self {
            Self::Kvm => &kvm::QUIRKS,
            Self::Model => &model::QUIRKS,
            Self::Qemu => &qemu::QUIRKS,
        }
    }

    /// The kind that reports call so; `None` for what is none, like the two machines of a route.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.quirks().name == name)
    }

    /// The names of those that have a quirk.
    pub fn names(quirk: impl Fn(&Quirks) -> bool) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::quirks).filter(move |quirks| quirk(quirks)).map(|quirks| quirks.name)
    }

    /// The machine of this kind that a command line means.
    ///
    /// # Errors
    /// A sentence, when it says of it what makes no sense.
    pub fn described(self, asked: &MachineOptions<'_>) -> Result<Description, String> {
        Ok(match self {
            Self::Kvm => Description::Kvm(kvm::Kvm::asked(asked)?),
            Self::Model => Description::Model(model::Model::asked(asked)?),
            Self::Qemu => Description::Qemu(qemu::Qemu::asked(asked)?),
        })
    }
}

/// What is peculiar to the machine that a report names. A route over two machines is an ordinary one.
pub fn quirks(name: &str) -> &'static Quirks {
    static ORDINARY: Quirks = Quirks::ORDINARY;
    Kind::named(name).map_or(&ORDINARY, Kind::quirks)
}

impl Description {
    fn it(&self) -> &dyn Described {
        match self {
            Self::Kvm(kvm) => kvm,
            Self::Model(model) => model,
            Self::Qemu(qemu) => qemu,
        }
    }

    /// The same as a machine whose guests can be stopped.
    ///
    /// # Errors
    /// As [`Described::open`], and when it is none.
    pub fn machine(&self) -> Result<Box<dyn Machine>, Unavailable> {
        match self.open()? {
            Opened::Machine(machine) => Ok(machine),
            Opened::Emulator(_) => Err(Unavailable(format!("the guests of {self} cannot be stopped"))),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.it().fmt(f)
    }
}

impl Described for Description {
    fn quirks(&self) -> &'static Quirks {
        self.it().quirks()
    }

    fn open(&self) -> Result<Opened, Unavailable> {
        self.it().open()
    }

    fn behaviour(&self) -> Option<&'static str> {
        self.it().behaviour()
    }

    fn doctor(&self) -> Option<String> {
        self.it().doctor()
    }
}

/// Refuses a behaviour for a machine that has one only.
fn no_behaviour(quirks: &Quirks, asked: &MachineOptions<'_>) -> Result<(), String> {
    match asked.behaviour {
        None => Ok(()),
        Some(_) => Err(format!("--behaviour is for the model; {} behaves as it does", quirks.name)),
    }
}
