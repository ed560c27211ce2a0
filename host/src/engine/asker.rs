//! Probes a machine, in the process where it runs.

use super::job::Job;
use super::options::RunOptions;
use super::plan::Abilities;
use super::questions::{LONGEST, Question, StopSupport, probe};
use super::worker::{Setup, Worker, WorkerError};
use crate::image::Image;
use crate::machines::{Described, Description};
use crate::scenario::Scenario;
use protocol::need::Needs;

/// Probes what `scenarios` (image index and scenario) depend on, on the machine that is called `name` and
/// meets the needs `meets`. Fails when it cannot be asked.
pub(crate) fn abilities(
    machine: &Description,
    name: &str,
    meets: Needs,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
) -> Result<Abilities, WorkerError> {
    let mut asker = Asker::of(machine);
    let ask = |payload, questions: &[Question]| asker.ask(payload, questions);
    Abilities::find_out(name, meets, images, scenarios, ask)
}

/// Asks a machine questions: in a worker process where it may hang.
pub(crate) struct Asker<'d> {
    machine: &'d Description,
    worker: Option<Worker>,
}

impl<'d> Asker<'d> {
    /// Asks `machine`.
    pub(crate) fn of(machine: &'d Description) -> Self {
        // A probe has a guest of its own, and a bound of its own.
        let setup = || Setup { job: Job::On(machine.clone()), options: RunOptions::within(LONGEST) };
        Self { machine, worker: machine.quirks().may_hang.then(|| Worker::new(setup())) }
    }

    /// Asks each of `questions`, with KVM_CAP_EXCEPTION_PAYLOAD on or off. Fails when it cannot be asked.
    pub(crate) fn ask(&mut self, payload: bool, questions: &[Question]) -> Result<StopSupport, WorkerError> {
        let failed = |why: String| WorkerError::Failed(why);
        match &mut self.worker {
            Some(worker) => worker.probe(payload, questions),
            None => {
                let machine = self.machine.machine().map_err(|error| failed(error.to_string()))?;
                probe(machine.as_ref(), payload, questions).map_err(|error| failed(error.to_string()))
            }
        }
    }
}
