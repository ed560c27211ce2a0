//! Images under an external emulator: one boot for all cases of an image and a delivery.

use crate::ending;
use crate::engine::RunOptions;
use crate::engine::pool::threads;
use crate::image::{DeliveryMode, Image};
use crate::machines::emulator::{BootError, Emulator};
use crate::machines::transcript::{CaseOutcome, FailLine, ImageRun};
use crate::report::{Difference, Disbelief, Field, Finding, Outcome, Report};
use crate::scenario::Scenario;
use protocol::exit::ImageExit;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

/// What one boot is for.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) image: &'a Image,
    pub(crate) delivery: DeliveryMode,
    /// Scenarios of that image and delivery.
    pub(crate) scenarios: Vec<&'a Scenario>,
}

/// The boots that scenarios take, in the order of the images.
pub(crate) fn boots<'a>(images: &'a [Image], scenarios: &'a [(usize, Scenario)]) -> Vec<Boot<'a>> {
    let of = |image: usize, delivery| {
        let mine = scenarios.iter().filter(move |(index, one)| *index == image && one.delivery == delivery);
        mine.map(|(_, scenario)| scenario).collect::<Vec<_>>()
    };
    let each = images.iter().enumerate().flat_map(|(index, image)| {
        [DeliveryMode::Fred, DeliveryMode::Idt].map(|delivery| Boot {
            image,
            delivery,
            scenarios: of(index, delivery),
        })
    });
    each.filter(|boot| !boot.scenarios.is_empty()).collect()
}

/// Runs what each boot is for, as many at a time as `jobs` says or there are processors, and hands over the reports as
/// they come, until told to stop or a signal ends this process.
pub(crate) fn run_all(
    boots: &[Boot<'_>],
    run: impl Fn(&Boot<'_>) -> Vec<Report> + Sync,
    jobs: Option<NonZeroUsize>,
    mut done: impl FnMut(Vec<Report>) -> ControlFlow<()>,
) {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let threads = threads(jobs, boots.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, run) = (send.clone(), &next, &run);
            scope.spawn(move || {
                while let Some(boot) = boots.get(next.fetch_add(1, Relaxed)) {
                    if send.send(run(boot)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        // A scenario that was aborted because this process ends has no result.
        for reports in receive {
            if ending::signal().is_some() || done(reports).is_break() {
                next.store(boots.len(), Relaxed);
                break;
            }
        }
    });
}

/// Boots an image and reports on its scenarios, which are cold. The timeout is for the whole boot; `name` is what
/// reports call the machine.
pub(crate) fn run(emulator: &dyn Emulator, name: &str, boot: &Boot<'_>, options: &RunOptions) -> Vec<Report> {
    let Boot { image, delivery, scenarios } = boot;
    let start = Instant::now();
    let ran = emulator.boot(image, &format!("delivery={delivery} frames=1"), start + options.timeout);
    // One boot serves all cases: its time is shared out among them.
    let share = start.elapsed() / u32::try_from(scenarios.len().max(1)).unwrap_or(1);
    scenarios
        .iter()
        .map(|scenario| {
            let mut report = Report::new(scenario, name, None);
            report.duration_us = u64::try_from(share.as_micros()).unwrap_or(u64::MAX);
            match &ran {
                Ok(run) => {
                    let of_case = |case: &str| case == scenario.case;
                    let mine = run.frames.iter().filter(|frame| of_case(&frame.case));
                    report.printed = u32::try_from(mine.clone().count()).unwrap_or(u32::MAX);
                    let lines = mine.map(|frame| frame.line.clone());
                    let verdict = run.cases.iter().find(|verdict| of_case(&verdict.case));
                    let report = conclude(report, verdict.map(|verdict| &verdict.outcome), run);
                    let mut report = believe(report, image);
                    if options.frames.wanted(report.outcome) {
                        report.frames = lines.collect();
                    }
                    report
                }
                Err(error) => {
                    report.concluded(Outcome::Error, Finding::program(explain(error, emulator, image)))
                }
            }
        })
        .collect()
}

/// A pass is believed only with as many captured frames as the case states deliveries.
fn believe(report: Report, image: &Image) -> Report {
    let stated =
        image.case(&report.scenario.case).map_or(0, |(_, case)| case.entries(report.scenario.delivery));
    if report.outcome == Outcome::Pass && stated != report.printed {
        let why = Disbelief::Frames { captured: report.printed as usize, stated };
        return report.concluded(Outcome::Error, Finding::Verdict { why });
    }
    report
}

fn explain(error: &BootError, emulator: &dyn Emulator, image: &Image) -> String {
    match error {
        BootError::Late { rip: Some(rip), .. } => {
            format!("timeout: {error}; the guest was at {}", image.describe_address(*rip))
        }
        BootError::Late { rip: None, .. } => {
            format!("timeout: {error}; {} did not say where the guest was", emulator.name())
        }
        BootError::Other(_) => error.to_string(),
    }
}

fn conclude(mut report: Report, verdict: Option<&CaseOutcome>, run: &ImageRun) -> Report {
    match verdict {
        // The image's own judge compares; how many fields is not on the serial line.
        Some(CaseOutcome::Pass) => report.concluded(Outcome::Pass, None),
        Some(CaseOutcome::Skip(reason)) => report.concluded(Outcome::Skip, Finding::guest(reason)),
        Some(CaseOutcome::Broken(reason)) => report.concluded(Outcome::Fail, Finding::guest(reason)),
        Some(CaseOutcome::Error(reason)) => report.concluded(Outcome::Error, Finding::guest(reason)),
        Some(CaseOutcome::Fail(lines)) => {
            let difference = |line: &FailLine| Difference {
                field: Field::judged(line.field, line.delivery),
                expected: line.expected.into(),
                got: line.got.into(),
            };
            report.differences = lines.iter().map(difference).collect();
            report.concluded(Outcome::Fail, None)
        }
        None if !run.errors.is_empty() => {
            report.concluded(Outcome::Error, Finding::guest(&run.errors.join("; ")))
        }
        None if !run.failures.is_empty() => {
            report.concluded(Outcome::Fail, Finding::guest(&run.failures.join("; ")))
        }
        // It has ended at an event that it could not report, or in an earlier case.
        None if run.exit == ImageExit::Fail => {
            report.concluded(Outcome::Fail, Finding::Verdict { why: Disbelief::EndedAsFailed })
        }
        None => report.concluded(Outcome::Error, Finding::Verdict { why: Disbelief::NotPrinted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concluded(output: &str, exit: ImageExit) -> Report {
        let scenario = "pf/read-unmapped:idt:cold".parse().unwrap();
        let run = crate::machines::transcript::read(output, exit).unwrap();
        let verdict = run.cases.iter().find(|verdict| verdict.case == "read-unmapped");
        conclude(Report::new(&scenario, "qemu", None), verdict.map(|one| &one.outcome), &run)
    }

    #[test]
    fn an_event_where_none_may_be_is_the_machine_s_failure() {
        let event = "vector 14 came inside an entry stub, RIP 0x1004a2";
        for output in [format!("FAIL: pf/read-unmapped: {event}\n"), format!("FAIL: pf: {event}\n")] {
            let report = concluded(&output, ImageExit::Fail);
            assert_eq!((report.outcome, report.why), (Outcome::Fail, Some(Finding::guest(event))));
        }
        assert_eq!(concluded("", ImageExit::Fail).outcome, Outcome::Fail);
        let error = concluded("ERROR: pf: delivery=frde is none\n", ImageExit::Error);
        assert_eq!(error.outcome, Outcome::Error);
        assert_eq!(concluded("", ImageExit::Error).outcome, Outcome::Error);
    }
}
