//! Many scenarios, in as many threads as there are processors, or as was asked for.

use crate::ending::{self, LOOK};
use crate::engine::worker::{Setup, Worker};
use crate::engine::{Job, RunOptions};
use crate::image::Image;
use crate::report::Report;
use crate::scenario::Scenario;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

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

/// Runs `scenarios` as [`watched`] does, in as many threads as there are processors and with nobody watching.
pub(crate) fn run(
    job: &Job,
    options: &RunOptions,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    mut each: impl FnMut(usize, Report) -> ControlFlow<()>,
) {
    let how = Watched { jobs: None, watch: Arc::new(Unwatched) };
    watched(job, options, images, scenarios, &how, |event| match event {
        Event::Ended(index, report) => each(index, *report),
        Event::Waiting => ControlFlow::Continue(()),
    });
}

/// How many threads a pool has, and who is told what they do.
pub(crate) struct Watched {
    /// How many scenarios run at a time; without it, as many as there are processors.
    pub(crate) jobs: Option<NonZeroUsize>,
    pub(crate) watch: Arc<dyn Watch>,
}

/// Is told by each thread of a pool what it does, before and after it does it.
pub(crate) trait Watch: Send + Sync {
    /// The thread begins a scenario.
    fn begins(&self, thread: usize, scenario: &Scenario);
    /// The guest of its scenario is seen at a place.
    fn seen(&self, thread: usize, place: &str);
    /// Its scenario has ended.
    fn ends(&self, thread: usize);
}

struct Unwatched;

impl Watch for Unwatched {
    fn begins(&self, _: usize, _: &Scenario) {}
    fn seen(&self, _: usize, _: &str) {}
    fn ends(&self, _: usize) {}
}

/// What a pool gives to whom it runs for.
pub(crate) enum Event {
    /// A scenario, by its place in the list, has ended.
    Ended(usize, Box<Report>),
    /// None has for a while.
    Waiting,
}

/// How many threads there are for `all` pieces of work.
pub(super) fn threads(jobs: Option<NonZeroUsize>, all: usize) -> usize {
    let jobs = jobs.or_else(|| std::thread::available_parallelism().ok());
    jobs.map_or(1, NonZeroUsize::get).min(all.max(1))
}

/// Runs `scenarios` (image index and scenario) and gives each one's report, with its place in the list,
/// to `each` as it ends.
///
/// It returns when all have ended, when `each` breaks off, or when this process is
/// ended by a signal. The rest is not waited for: their threads, and the processes that
/// these have started, end with this process.
pub(crate) fn watched(
    job: &Job,
    options: &RunOptions,
    images: &[Image],
    scenarios: &[(usize, Scenario)],
    how: &Watched,
    mut each: impl FnMut(Event) -> ControlFlow<()>,
) {
    let setup = Setup { job: job.clone(), options: options.clone() };
    let (images, scenarios) = (images.to_vec(), scenarios.to_vec());
    let work = Arc::new(Work { images, scenarios, next: AtomicUsize::new(0) });
    let (sender, results) = channel();
    let workers: Vec<_> = (0..threads(how.jobs, work.scenarios.len()))
        .map(|number| {
            let (setup, work) = (setup.clone(), Arc::clone(&work));
            let thread = Thread { number, watch: Arc::clone(&how.watch), sender: sender.clone() };
            std::thread::spawn(move || work.with(&setup, &thread))
        })
        .collect();
    drop(sender);
    let ended = loop {
        let broken_off = match results.recv_timeout(LOOK) {
            Ok(first) => {
                std::thread::sleep(GATHER);
                let mut ended = std::iter::once(first).chain(results.try_iter());
                ended.any(|(index, report)| each(Event::Ended(index, report)).is_break())
            }
            Err(RecvTimeoutError::Timeout) => each(Event::Waiting).is_break(),
            Err(RecvTimeoutError::Disconnected) => break true,
        };
        if broken_off || ending::signal().is_some() {
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

/// How long results gather after the first. To wake a thread for each would take a tenth of a quick scenario's time.
const GATHER: Duration = Duration::from_millis(2);

/// A thread of a pool, as the rest sees it.
struct Thread {
    number: usize,
    watch: Arc<dyn Watch>,
    sender: Sender<(usize, Box<Report>)>,
}

/// The scenarios of a pool and how far they are.
struct Work {
    images: Vec<Image>,
    scenarios: Vec<(usize, Scenario)>,
    next: AtomicUsize,
}

impl Work {
    /// Runs scenarios until none is left, nobody wants their reports, or a signal ends this process.
    fn each(&self, thread: &Thread, mut run: impl FnMut(&Image, &Scenario) -> Report) {
        while ending::signal().is_none() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((image, scenario)) = self.scenarios.get(index) else { return };
            thread.watch.begins(thread.number, scenario);
            let report = run(&self.images[*image], scenario);
            thread.watch.ends(thread.number);
            // A scenario that was aborted because this process ends has no result.
            if ending::signal().is_some() || thread.sender.send((index, Box::new(report))).is_err() {
                return;
            }
        }
    }

    fn with(&self, setup: &Setup, thread: &Thread) {
        let Setup { job, options } = setup;
        if job.may_hang() {
            let (watch, number) = (Arc::clone(&thread.watch), thread.number);
            let seen = move |place: &str| watch.seen(number, place);
            let mut worker = Worker::new(setup.clone()).told(Box::new(seen));
            return self.each(thread, |_, scenario| worker.run(scenario));
        }
        let ran = job.open().and_then(|machines| {
            let mut runner = job.runner(&machines, options)?;
            runner.on_seen = Some(Box::new(|place| thread.watch.seen(thread.number, place)));
            self.each(thread, |image, scenario| job.run(&mut runner, image, scenario));
            Ok(())
        });
        if let Err(error) = ran {
            self.each(thread, |_, scenario| job.not_run(scenario, error.to_string()));
        }
    }
}
