//! Many scenarios, in as many threads as there are processors.

use crate::image::Image;
use crate::machine::model::ModelMachine;
use crate::result::Report;
use crate::run::one::Runner;
use crate::run::worker::{Worker, WorkerOptions};
use crate::scenario::Scenario;
use model::hypervisor::behaviour::Behaviour;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// What runs the scenarios of a pool.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The model, in this process.
    Model {
        /// Its behaviour.
        behaviour: &'static Behaviour,
        /// How long a scenario may take.
        timeout: Duration,
        /// Whether reports carry frames.
        frames: bool,
    },
    /// KVM, in worker processes.
    Kvm(WorkerOptions),
}

/// Runs `scenarios` (image index and scenario) and returns their reports in the same order;
/// `progress` is told of each as it ends.
pub fn run(
    engine: &Engine,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut progress: impl FnMut(&Report),
) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(scenarios.len().max(1));
    let (sender, results) = channel();
    let mut reports: Vec<Option<Report>> = vec![None; scenarios.len()];
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || work(engine, images, scenarios, next, &sender));
        }
        drop(sender);
        for (index, report) in results {
            progress(&report);
            reports[index] = Some(report);
        }
    });
    reports.into_iter().flatten().collect()
}

fn work(
    engine: &Engine,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    next: &AtomicUsize,
    sender: &Sender<(usize, Report)>,
) {
    let each = |mut run: Box<dyn FnMut(&Image, &Scenario) -> Report + '_>| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((image, scenario)) = scenarios.get(index) else { return };
            if sender.send((index, run(&images[*image], scenario))).is_err() {
                return;
            }
        }
    };
    match engine {
        Engine::Model { behaviour, timeout, frames } => {
            let machine = ModelMachine::new(behaviour);
            let mut runner = Runner::new(&machine, Some(behaviour.name.to_owned()), *timeout);
            runner.frames = *frames;
            each(Box::new(move |image, scenario| runner.run(image, scenario)));
        }
        Engine::Kvm(options) => {
            let mut worker = Worker::new(options.clone());
            each(Box::new(move |_, scenario| worker.run(scenario)));
        }
    }
}
