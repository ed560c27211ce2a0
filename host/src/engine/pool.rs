//! Many scenarios, in as many threads as there are processors.

use crate::ending::{self, LOOK};
use crate::engine::worker::{Setup, Worker};
use crate::engine::{Job, RunOptions};
use crate::image::Image;
use crate::report::Report;
use crate::scenario::Scenario;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

/// Runs `scenarios` (image index and scenario) and returns their reports in the same order; `progress`
/// is called for each as it ends. When a signal ends this process, those that have not
/// ended have no report.
pub(crate) fn all(
    job: &Job,
    options: &RunOptions,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut progress: impl FnMut(&Report),
) -> Vec<Report> {
    let mut reports: Vec<Option<Report>> = vec![None; scenarios.len()];
    run(job, options, images, scenarios, |index, report| {
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
/// ended by a signal. The rest is not waited for: their threads, and the processes that
/// these have started, end with this process.
pub(crate) fn run(
    job: &Job,
    options: &RunOptions,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut each: impl FnMut(usize, Report) -> ControlFlow<()>,
) {
    let setup = Setup { job: job.clone(), options: options.clone() };
    let (images, scenarios) = (images.to_vec(), scenarios.to_vec());
    let work = Arc::new(Work { images, scenarios, next: AtomicUsize::new(0) });
    let all = work.scenarios.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(all.max(1));
    let (sender, results) = channel();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (setup, work, sender) = (setup.clone(), Arc::clone(&work), sender.clone());
            std::thread::spawn(move || work.with(&setup, &sender))
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
        if ending::signal().is_some() {
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
    /// Runs scenarios until none is left, nobody wants their reports, or a signal ends this process.
    fn each(&self, sender: &Sender<(usize, Report)>, mut run: impl FnMut(&Image, &Scenario) -> Report) {
        while ending::signal().is_none() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((image, scenario)) = self.scenarios.get(index) else { return };
            let report = run(&self.images[*image], scenario);
            // A scenario that was aborted because this process ends has no result.
            if ending::signal().is_some() || sender.send((index, report)).is_err() {
                return;
            }
        }
    }

    fn with(&self, setup: &Setup, sender: &Sender<(usize, Report)>) {
        let Setup { job, options } = setup;
        if job.may_hang() {
            let mut worker = Worker::new(setup.clone());
            return self.each(sender, |_, scenario| worker.run(scenario));
        }
        let ran = job.open().and_then(|machines| {
            let mut runner = job.runner(&machines, options)?;
            self.each(sender, |image, scenario| job.run(&mut runner, image, scenario));
            Ok(())
        });
        if let Err(error) = ran {
            self.each(sender, |_, scenario| job.not_run(scenario, error.to_string()));
        }
    }
}
