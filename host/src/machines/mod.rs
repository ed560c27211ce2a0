//! Machines: what can boot an image. Most can also stop, save and restore a guest.
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
//! | [`bochs`] | Bochs, which boots them by our firmware, and may have FRED |
//! | `described` | the properties of each machine: its quirks, and how it is opened |
//! | [`emulator`] | what an external emulator that boots images does |
//! | [`transcript`] | the lines that an image prints when it runs alone |
//! | [`narrowed`] | two machines made alike |

pub mod bochs;
mod described;
pub mod emulator;
pub mod kvm;
pub mod model;
pub mod narrowed;
pub mod qemu;
pub mod transcript;

pub use described::{BochsOptions, Described, MachineOptions, Opened, QemuOptions, Quirks, Unavailable};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
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
    /// Bochs.
    Bochs(bochs::Bochs),
}

/// A kind of machine, by the name that reports and `--machine` have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MachineKind {
    /// This host's KVM
    Kvm,
    /// The software machine
    Model,
    /// QEMU
    Qemu,
    /// Bochs
    Bochs,
}

impl MachineKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Model, Self::Kvm, Self::Qemu, Self::Bochs];

    /// What is peculiar to it.
    pub fn quirks(self) -> &'static Quirks {
        match self {
            Self::Kvm => &kvm::QUIRKS,
            Self::Model => &model::QUIRKS,
            Self::Qemu => &qemu::QUIRKS,
            Self::Bochs => &bochs::QUIRKS,
        }
    }

    /// The kind that reports call so; `None` for what is none, like the two machines of a path.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.quirks().name == name)
    }

    /// The names of those that have a quirk.
    pub fn names(quirk: impl Fn(&Quirks) -> bool) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::quirks).filter(move |quirks| quirk(quirks)).map(|quirks| quirks.name)
    }

    /// The kind that a command line means without naming one.
    pub fn implied(options: &MachineOptions<'_>) -> Option<Self> {
        options.behaviour.map(|_| Self::Model)
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
            Self::Bochs => Description::Bochs(bochs::Bochs::asked(asked)?),
        })
    }
}

impl MachineOptions<'_> {
    /// The kinds of which it says which one is meant, and by which options.
    fn given(&self) -> impl Iterator<Item = (MachineKind, &'static str)> {
        let bochs = (self.bochs.is_given(), MachineKind::Bochs, "--bochs and --bochs-cpu");
        let qemu = (self.qemu.is_given(), MachineKind::Qemu, "--qemu, --qemu-destination and --accel");
        [bochs, qemu].into_iter().filter(|(given, _, _)| *given).map(|(_, kind, options)| (kind, options))
    }

    /// Whether it says of this kind which one is meant: that one must be there.
    pub fn names_one(&self, kind: MachineKind) -> bool {
        self.given().any(|(of, _)| of == kind)
    }

    /// Refuses options for a machine that is not run where others were chosen; without any, all are meant.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, chosen: &[MachineKind]) -> Result<(), String> {
        match self.given().find(|(kind, _)| !chosen.is_empty() && !chosen.contains(kind)) {
            None => Ok(()),
            Some((kind, options)) => {
                let names: Vec<_> = chosen.iter().map(|kind| kind.quirks().name).collect();
                let (name, names) = (kind.quirks().name, names.join(", "));
                Err(format!("{options} are for {name}, which is not run with {names}"))
            }
        }
    }
}

/// What is peculiar to the machine that a report names. A path over two machines is an ordinary one.
pub fn quirks(name: &str) -> &'static Quirks {
    static ORDINARY: Quirks = Quirks::ORDINARY;
    MachineKind::named(name).map_or(&ORDINARY, MachineKind::quirks)
}

impl Description {
    fn it(&self) -> &dyn Described {
        match self {
            Self::Kvm(kvm) => kvm,
            Self::Model(model) => model,
            Self::Qemu(qemu) => qemu,
            Self::Bochs(bochs) => bochs,
        }
    }

    /// The same as a machine whose guests can be stopped.
    ///
    /// # Errors
    /// As [`Described::open`], and when it is none.
    pub fn machine(&self) -> Result<Box<dyn Machine>, Unavailable> {
        match self.open()? {
            Opened::Machine(machine) => Ok(machine),
            Opened::Emulator(_) | Opened::Qemu(_) => {
                Err(Unavailable(format!("the guests of {self} cannot be stopped")))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_kind_is_listed_has_a_name_of_its_own_and_travels_as_data() {
        let mut listed = MachineKind::ALL.to_vec();
        let options = MachineOptions {
            kvm: Path::new("/dev/kvm"),
            behaviour: None,
            bochs: BochsOptions::default(),
            qemu: QemuOptions::default(),
        };
        for kind in MachineKind::value_variants() {
            assert!(listed.contains(kind), "{kind:?} is not in MachineKind::ALL");
            listed.retain(|one| one != kind);
            assert_eq!(MachineKind::named(kind.quirks().name), Some(*kind), "another is called so");
            let machine = kind.described(&options).unwrap();
            assert_eq!(
                (machine.to_string().as_str(), machine.quirks().name),
                (kind.quirks().name, kind.quirks().name)
            );
            let travelled = serde_json::from_str(&serde_json::to_string(&machine).unwrap()).unwrap();
            assert_eq!(machine, travelled);
        }
    }

    #[test]
    fn a_behaviour_is_for_a_machine_that_has_some() {
        let options = MachineOptions {
            kvm: Path::new("/dev/kvm"),
            behaviour: Some("stock"),
            bochs: BochsOptions::default(),
            qemu: QemuOptions::default(),
        };
        assert_eq!(MachineKind::implied(&options), Some(MachineKind::Model));
        assert_eq!(MachineKind::Model.described(&options).unwrap().to_string(), "model (stock)");
        for kind in [MachineKind::Kvm, MachineKind::Qemu, MachineKind::Bochs] {
            let name = kind.quirks().name;
            let sentence = format!("--behaviour is for the model; {name} behaves as it does");
            assert_eq!(kind.described(&options), Err(sentence));
        }
    }
}
