//! The machines that a command line means.

use super::CliError;
use crate::engine::plan::met_needs;
use crate::machines::kvm::Kvm;
use crate::machines::{Described, Description, MachineKind, MachineOptions, Opened, Unavailable};
use std::cell::OnceCell;
use std::path::Path;

/// Every machine, each opened when it is first needed.
pub(super) struct Machines {
    /// The one that was asked for, which must be there then.
    pub(super) asked: Option<MachineKind>,
    all: Vec<Candidate>,
}

/// A machine that may be there.
pub(super) struct Candidate {
    kind: MachineKind,
    /// Whether the command line asks for it: then it must be there.
    pub(super) must: bool,
    pub(super) description: Description,
    opened: OnceCell<Result<Opened, Unavailable>>,
}

impl Candidate {
    /// The machine, or why there is none.
    pub(super) fn opened(&self) -> &Result<Opened, Unavailable> {
        self.opened.get_or_init(|| self.description.open())
    }
}

impl Machines {
    /// Every machine as `--machine` and what else is said of machines have it.
    pub(super) fn of(machine: Option<MachineKind>, asked: MachineOptions<'_>) -> Result<Self, CliError> {
        let chosen = machine.or(MachineKind::implied(&asked));
        asked.bochs.check(chosen.as_slice()).map_err(CliError::Usage)?;
        let candidate = |kind| -> Result<Candidate, String> {
            let behaviour = asked.behaviour.filter(|_| chosen == Some(kind));
            let description = kind.described(&MachineOptions { behaviour, ..asked })?;
            let must = chosen == Some(kind) || kind == MachineKind::Bochs && asked.bochs.is_given();
            Ok(Candidate { kind, must, description, opened: OnceCell::new() })
        };
        let all =
            MachineKind::ALL.into_iter().map(candidate).collect::<Result<_, _>>().map_err(CliError::Usage)?;
        Ok(Self { asked: chosen, all })
    }

    /// Those to run on: the one that was asked for, or all.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Candidate> {
        self.all.iter().filter(|one| self.asked.is_none_or(|asked| asked == one.kind))
    }

    /// Checks `--require`: what it names must be there, on a machine that tests more than the tests.
    pub(super) fn require(&self, needs: &[String]) -> Result<(), CliError> {
        needs.iter().try_for_each(|need| self.require_one(need))
    }

    fn require_one(&self, need: &str) -> Result<(), CliError> {
        let unmet = |reason: String| CliError::Required { need: need.to_owned(), reason };
        let serious = || self.all.iter().filter(|one| !one.description.quirks().tests_the_tests);
        if let Some(machine) = serious().find(|one| one.description.quirks().name == need) {
            return machine.opened().as_ref().map(drop).map_err(|error| unmet(error.to_string()));
        }
        if !FEATURES.contains(&need) {
            let names: Vec<_> = serious().map(|one| one.description.quirks().name).chain(FEATURES).collect();
            return Err(CliError::Usage(format!(
                "--require {need}: unknown feature; known are {}",
                names.join(", ")
            )));
        }
        let on_this_processor = serious().filter(|one| one.description.quirks().on_this_processor);
        for machine in on_this_processor {
            match machine.opened() {
                Ok(Opened::Machine(machine))
                    if met_needs(machine.as_ref()).names().any(|met| met == need) => {}
                Ok(_) => {
                    return Err(unmet("KVM on this host does not offer it; see `midflight doctor`".into()));
                }
                Err(error) => return Err(unmet(error.to_string())),
            }
        }
        Ok(())
    }
}

/// Whether there is a KVM at `device`.
pub(super) fn is_kvm_here(device: &Path) -> bool {
    Description::Kvm(Kvm { device: device.to_owned() }).open().is_ok()
}

/// CPUID features that guests must be offered, if required.
const FEATURES: [&str; 3] = ["fred", "xfd", "amx"];
