//! `kvm`: this host's KVM, the subject under test.

use super::described::{Described, MachineOptions, Opened, Quirks, Unavailable, no_behaviour};
use kvm::KvmMachine;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What is peculiar to KVM.
pub(super) static QUIRKS: Quirks = Quirks {
    name: "kvm",
    // A hung KVM spins in the kernel where no signal reaches it, and signal masks and timers belong to threads.
    may_hang: true,
    // It intercepts and emulates differently by vendor.
    on_this_processor: true,
    has_known_issues: true,
    ..Quirks::ORDINARY
};

/// KVM, opened through a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kvm {
    /// Its file, usually [`kvm::DEVICE`].
    pub device: PathBuf,
}

impl Kvm {
    pub(super) fn asked(asked: &MachineOptions<'_>) -> Result<Self, String> {
        no_behaviour(&QUIRKS, asked)?;
        Ok(Self { device: asked.kvm.to_owned() })
    }
}

impl fmt::Display for Kvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(QUIRKS.name)
    }
}

impl Described for Kvm {
    fn quirks(&self) -> &'static Quirks {
        &QUIRKS
    }

    fn open(&self) -> Result<Opened, Unavailable> {
        let machine = KvmMachine::open(&self.device).map_err(|error| Unavailable(error.to_string()))?;
        Ok(Opened::Machine(Box::new(machine)))
    }
}
