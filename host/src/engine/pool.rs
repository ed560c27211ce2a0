//! Many scenarios, in as many threads as there are processors.

use crate::compare::across::Crossing;
use crate::compare::pair::{Pair, Route};
use crate::ending::{self, LOOK};
use crate::engine::runner::Runner;
use crate::engine::worker::{Worker, WorkerOptions};
use crate::image::Image;
use crate::migration::channel::migrate_in_memory;
use crate::migration::process::{Destination, migrate_to_process};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::Scenario;
use crate::stops::storm::StormBounds;
use model::ModelMachine;
use model::hypervisor::behaviour::Behaviour;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use vm::Machine;

/// What runs the scenarios of a pool.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The model, in this process.
    Model {
        /// Its behaviour.
        behaviour: &'static Behaviour,
        /// How long a scenario may take.
        timeout: Duration,
        /// Whether a guest that moves to another process does so, or through the same conversation in
        /// memory: where the same is done for each of many behaviours, processes are most of the time.
        processes: bool,
        /// Whether reports carry frames.
        frames: bool,
        /// How long storms last.
        storm: StormBounds,
    },
    /// KVM, in worker processes.
    Kvm(WorkerOptions),
    /// Guests that migrate between two machines: in worker processes where KVM is one of them.
    Across {
        /// The machines.
        pair: Pair,
        /// Those that each guest visits.
        route: Route,
        /// How a worker is started; its timeout holds without one too.
        options: WorkerOptions,
    },
}

/// Runs `scenarios` (image index and scenario) and returns their reports in the same order; `progress`
/// is told of each as it ends. When this process is told to end, those that have not
/// ended have no report.
pub fn all(
    engine: &Engine,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut progress: impl FnMut(&Report),
) -> Vec<Report> {
    let mut reports: Vec<Option<Report>> = vec![None; scenarios.len()];
    run(engine, images, scenarios, |index, report| {
        progress(&report);
        reports[index] = Some(report);
        ControlFlow::Continue(())
    });
    reports.into_iter().flatten().collect()
}

/// Runs `scenarios` (image index and scenario) and gives each one's report, with its place in the list,
/// to `each` as it ends.
///
/// It returns when all have ended, when `each` breaks off, or when this process is
/// told to end. Nobody waits for the rest then: their threads, and the processes that
/// these have started, end with this process.
pub fn run(
    engine: &Engine,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut each: impl FnMut(usize, Report) -> ControlFlow<()>,
) {
    let (images, scenarios) = (images.to_vec(), scenarios.to_vec());
    let work = Arc::new(Work { images, scenarios, next: AtomicUsize::new(0) });
    let all = work.scenarios.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(all.max(1));
    let (sender, results) = channel();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (engine, work, sender) = (engine.clone(), Arc::clone(&work), sender.clone());
            std::thread::spawn(move || work.with(&engine, &sender))
        })
        .collect();
    drop(sender);
    let ended = loop {
        match results.recv_timeout(LOOK) {
            Ok((index, report)) => {
                if each(index, report).is_break() {
                    break false;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break true,
        }
        if ending::told().is_some() {
            break false;
        }
    };
    if ended {
        // A thread that panicked leaves scenarios without a report: that must not look like a short run.
        if let Some(panicked) = workers.into_iter().find_map(|worker| worker.join().err()) {
            std::panic::resume_unwind(panicked);
        }
    }
}

/// The scenarios of a pool and how far they are.
struct Work {
    images: Vec<Image>,
    scenarios: Vec<(usize, Scenario)>,
    next: AtomicUsize,
}

impl Work {
    /// Runs scenarios until none is left, nobody wants their reports, or this process is told to end.
    fn each(&self, sender: &Sender<(usize, Report)>, mut run: impl FnMut(&Image, &Scenario) -> Report) {
        while ending::told().is_none() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((image, scenario)) = self.scenarios.get(index) else { return };
            let report = run(&self.images[*image], scenario);
            // What breaks off because this process is to end is no result.
            if ending::told().is_some() || sender.send((index, report)).is_err() {
                return;
            }
        }
    }

    fn with(&self, engine: &Engine, sender: &Sender<(usize, Report)>) {
        match engine {
            Engine::Model { behaviour, timeout, processes, frames, storm } => {
                let machine = ModelMachine::new(behaviour);
                let mut runner = Runner::new(&machine, Some(behaviour.name.to_owned()), *timeout);
                runner.frames = *frames;
                let destination = Destination::on_model(behaviour.name);
                let there = &machine;
                runner.to_process = Some(Box::new(move |guest, image, asked| match processes {
                    true => migrate_to_process(&destination, guest, image, asked),
                    false => migrate_in_memory(there, Some(behaviour.name), guest, image, asked),
                }));
                runner.storm = *storm;
                self.each(sender, |image, scenario| runner.run(image, scenario));
            }
            Engine::Kvm(options) => {
                let mut worker = Worker::new(options.clone());
                self.each(sender, |_, scenario| worker.run(scenario));
            }
            Engine::Across { pair, route, options } if pair.has_kvm() => {
                let mut worker = Worker::new(options.clone());
                self.each(sender, |_, scenario| worker.cross(scenario, pair, route));
            }
            Engine::Across { pair, route, options } => {
                let crossed = pair.with(None, |machines: [&dyn Machine; 2]| {
                    let mut crossing = Crossing::new(pair, machines, route, options.timeout);
                    self.each(sender, |image, scenario| crossing.run(image, scenario));
                });
                if let Err(error) = crossed {
                    let report = |scenario: &Scenario| Report::new(scenario, &pair.describe(route), None);
                    self.each(sender, |_, one| report(one).concluded(Outcome::Error, error.to_string()));
                }
            }
        }
    }
}
