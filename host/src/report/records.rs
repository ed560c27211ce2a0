//! Lines for another midflight, which merges the reports of several runs: each is a [`Record`] as JSON.

use super::facts::HostFacts;
use super::format::{Early, Ended, One, Writer};
use super::json::line;
use super::known::JudgedWarnings;
use super::outcome::Report;
use serde::{Deserialize, Serialize};
use std::io::{Result, Write};

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A scenario has ended, and was judged.
    Scenario(Box<Report>),
    /// The run has ended; the last line.
    Ended(Box<RunEnded>),
}

/// What is to be said of a run besides its scenarios.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunEnded {
    /// Where it ran.
    pub(crate) host: HostFacts,
    /// What that host's kernel said meanwhile.
    pub(crate) kernel: JudgedWarnings,
    /// Where not every scenario ran: why.
    pub(crate) early: Option<Early>,
}

#[derive(Debug)]
pub(super) struct Records;

impl Writer for Records {
    fn one(&self, output: &mut dyn Write, one: &One<'_>) -> Result<()> {
        line(output, &Record::Scenario(Box::new(one.report.clone())))
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let Ended { host, kernel, early, .. } = *run;
        let ended = RunEnded { host: host.clone(), kernel: kernel.clone(), early };
        line(output, &Record::Ended(Box::new(ended)))
    }
}
