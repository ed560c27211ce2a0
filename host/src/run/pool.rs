//! Many scenarios, in as many threads as there are processors.

use crate::image::Image;
use crate::machine::model::ModelMachine;
use crate::migration::move_through_memory;
use crate::migration::process::{Destination, move_through_process};
use crate::result::{Outcome, Report};
use crate::run::across::Crossing;
use crate::run::one::Runner;
use crate::run::pair::{Pair, Route};
use crate::run::storm::StormBounds;
use crate::run::worker::{Worker, WorkerOptions};
use crate::scenario::Scenario;
use model::hypervisor::behaviour::Behaviour;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
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

/// Runs `scenarios` (image index and scenario) and returns their reports in the same order;
/// `progress` is told of each as it ends.
pub fn run(
    engine: &Engine,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut progress: impl FnMut(&Report),
) -> Vec<Report> {
    let work = Work { images, scenarios, next: AtomicUsize::new(0) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(scenarios.len().max(1));
    let (sender, results) = channel();
    let mut reports: Vec<Option<Report>> = vec![None; scenarios.len()];
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let work = &work;
            scope.spawn(move || work.with(engine, &sender));
        }
        drop(sender);
        for (index, report) in results {
            progress(&report);
            reports[index] = Some(report);
        }
    });
    reports.into_iter().flatten().collect()
}

/// The scenarios of a pool and how far they are.
struct Work<'a> {
    images: &'a [Image],
    scenarios: &'a [(usize, Scenario)],
    next: AtomicUsize,
}

impl Work<'_> {
    /// Runs scenarios until none is left, or nobody wants their reports.
    fn each(&self, sender: &Sender<(usize, Report)>, mut run: impl FnMut(&Image, &Scenario) -> Report) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((image, scenario)) = self.scenarios.get(index) else { return };
            if sender.send((index, run(&self.images[*image], scenario))).is_err() {
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
                runner.elsewhere = Some(Box::new(move |guest, image| match processes {
                    true => move_through_process(&destination, guest, image),
                    false => move_through_memory(there, Some(behaviour.name), guest, image),
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
