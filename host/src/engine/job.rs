//! What guests run on: a machine, or two of them with a path between them.
//!
//! It is data, and the same for a thread of this process and for a worker process.

use super::options::RunOptions;
use super::runner::Runner;
use crate::compare::pair::Pair;
use crate::image::Image;
use crate::machines::{Described, Description, Unavailable};
use crate::migration::channel::migrate_in_memory;
use crate::migration::process::{Destination, OtherProcess};
use crate::report::{Finding, Outcome, Report};
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use vm::Machine;

/// What runs guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// Each guest stays on one machine.
    On(Description),
    /// Each guest visits machines of a pair, one after the other.
    Across {
        /// The machines, narrowed to what both have.
        pair: Pair,
        /// Those that a guest visits, as indices into the pair.
        path: Vec<usize>,
    },
}

impl Job {
    /// What reports have for the machine.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::On(machine) => machine.quirks().name.to_owned(),
            Self::Across { pair, path } => pair.describe(path),
        }
    }

    /// What reports have for the behaviour.
    pub(crate) fn behaviour(&self) -> Option<&'static str> {
        match self {
            Self::On(machine) => machine.behaviour(),
            Self::Across { .. } => None,
        }
    }

    /// Whether it belongs into worker processes.
    pub(crate) fn may_hang(&self) -> bool {
        match self {
            Self::On(machine) => machine.quirks().may_hang,
            Self::Across { pair, path } => {
                path.iter().filter_map(|stage| pair.0.get(*stage)).any(|machine| machine.quirks().may_hang)
            }
        }
    }

    /// Opens its machines. Fails when one cannot be used.
    pub(crate) fn open(&self) -> Result<Vec<Box<dyn Machine>>, Unavailable> {
        match self {
            Self::On(machine) => Ok(vec![machine.machine()?]),
            Self::Across { pair, .. } => {
                Ok(pair.open()?.into_iter().map(|machine| Box::new(machine) as Box<dyn Machine>).collect())
            }
        }
    }

    /// The first of `machines`, as [`Job::open`] has opened them, that a guest is on. Fails when there is
    /// none.
    pub(crate) fn source<'m>(
        &self,
        machines: &'m [Box<dyn Machine>],
    ) -> Result<&'m dyn Machine, Unavailable> {
        self.visited(machines).next().ok_or_else(|| Unavailable("a path has no machine".to_owned()))
    }

    fn visited<'m>(&self, machines: &'m [Box<dyn Machine>]) -> impl Iterator<Item = &'m dyn Machine> {
        let path = match self {
            Self::On(_) => &[0],
            Self::Across { path, .. } => path.as_slice(),
        };
        path.iter().filter_map(|stage| machines.get(*stage).map(AsRef::as_ref))
    }

    /// What runs its scenarios on `machines`, as [`Job::open`] has opened them. Fails when no guest is on one
    /// of them.
    pub(crate) fn runner<'m>(
        &'m self,
        machines: &'m [Box<dyn Machine>],
        options: &'m RunOptions,
    ) -> Result<Runner<'m>, Unavailable> {
        let source = self.source(machines)?;
        let mut runner = Runner::new(source, self.behaviour().map(str::to_owned), options.timeout);
        runner.frames = options.frames;
        runner.storm = options.storm;
        match self {
            Self::On(machine) => {
                let other = RefCell::new(OtherProcess::new(Destination::of(machine)));
                runner.to_process = Some(Box::new(move |guest, image, request| match options.in_memory {
                    true => migrate_in_memory(source, self.behaviour(), guest, image, request),
                    false => other.borrow_mut().migrate(guest, image, request),
                }));
            }
            Self::Across { .. } => runner.path = self.visited(machines).skip(1).collect(),
        }
        Ok(runner)
    }

    /// Runs one scenario by `runner`, which is this job's.
    pub(crate) fn run(&self, runner: &mut Runner<'_>, image: &Image, scenario: &Scenario) -> Report {
        let mut report = runner.run(image, scenario);
        report.machine = self.name();
        report
    }

    /// The report of a scenario that could not be run.
    pub(crate) fn not_run(&self, scenario: &Scenario, why: String) -> Report {
        Report::new(scenario, &self.name(), self.behaviour()).concluded(Outcome::Error, Finding::program(why))
    }
}
