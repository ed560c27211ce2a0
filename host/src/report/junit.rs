//! JUnit XML: a suite per machine, a test case per scenario; a suite for this host's kernel; and one
//! more where the run was ended early.

use super::format::{Again, Ended, Writer};
use crate::report::known::JudgedWarnings;
use crate::report::{Difference, Outcome, Report, reason};
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};
use std::io::{Result, Write};
use std::time::Duration;

/// The report in JUnit XML.
pub(super) struct Junit;

impl Writer for Junit {
    /// XML has an end.
    fn one(&self, _: &mut dyn Write, _: &Report, _: &Again<'_>) -> Result<()> {
        Ok(())
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let Ended { reports, host: _, kernel, early } = run;
        let mut document = Document::new("midflight");
        let mut machines: Vec<&str> = reports.iter().map(|report| report.machine.as_str()).collect();
        machines.dedup();
        for machine in machines {
            let mut suite = TestSuite::new(machine);
            for report in reports.iter().filter(|report| report.machine == machine) {
                let mut case = TestCase::new(report.scenario.to_string(), status(report));
                case.set_classname(format!("{}.{}", report.machine, report.scenario.image));
                case.set_time(Duration::from_micros(report.duration_us));
                suite.add_test_case(case);
            }
            document.add_test_suite(suite);
        }
        let mut suite = TestSuite::new("kernel");
        suite.add_test_case(TestCase::new("no warning during the run", kernel_status(kernel)));
        document.add_test_suite(suite);
        if let Some(early) = early {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(early.to_string());
            let mut suite = TestSuite::new("run");
            suite.add_test_case(TestCase::new("every selected scenario ran", status));
            document.add_test_suite(suite);
        }
        document.serialize(output).map_err(std::io::Error::other)
    }
}

fn kernel_status(kernel: &JudgedWarnings) -> TestCaseStatus {
    let (mut status, message) = match (kernel.said.warnings.as_slice(), &kernel.said.unwatched) {
        ([], None) => return TestCaseStatus::success(),
        ([], Some(why)) => (TestCaseStatus::skipped(), format!("not watched, or not all: {why}")),
        (warnings, _) => (TestCaseStatus::non_success(NonSuccessKind::Failure), warnings.iter().map(|warning| format!("{warning}\n")).collect::<String>()),
    };
    status.set_message(message);
    status
}

fn status(report: &Report) -> TestCaseStatus {
    let mut status = match report.outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Skip | Outcome::Known => TestCaseStatus::skipped(),
        Outcome::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let mut message = report.outcome.to_string();
    if let Some(reason) = reason(report) {
        message.push_str(&format!(": {reason}"));
    }
    if let Some(Difference { field, expected, got }) = report.differences.first() {
        message.push_str(&format!(": expected {field} {expected}, got {field} {got}"));
    }
    if let Some(prediction) = &report.predicted {
        message.push_str(&format!(": as predicted {prediction}"));
    }
    status.set_message(message);
    status
}
