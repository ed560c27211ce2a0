//! What every format of a run's report is asked to write.

use super::known::JudgedWarnings;
use crate::ending::Signal;
use crate::report::{HostFacts, Report};
use serde::{Deserialize, Serialize};
use std::io::{Result, Write};
use std::time::SystemTime;

/// Writes the report of a run in one format: what stands first, each result as it comes, and the end. Each method
/// fails when `output` cannot be written.
pub(crate) trait Writer {
    /// Writes what stands before the first result.
    fn begin(&self, _output: &mut dyn Write, _run: &Begun) -> Result<()> {
        Ok(())
    }

    /// Writes what is to be said of one scenario as soon as it has ended.
    fn one(&self, output: &mut dyn Write, one: &One<'_>) -> Result<()>;

    /// Writes what is to be said once the run has ended.
    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()>;

    /// Whether the report is one document, all of which [`end`](Self::end) writes. Otherwise it is made of lines,
    /// and what was written of a run that was killed can be read.
    fn is_document(&self) -> bool {
        false
    }
}

/// A run that begins.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// How many results there will be if nothing ends the run early.
    pub(crate) planned: usize,
    /// The command line, for a shell.
    pub(crate) command: String,
    /// When it began.
    pub(crate) at: SystemTime,
    /// How much a report for people says.
    pub(crate) verbosity: Verbosity,
    /// Whether it has the captured frames.
    pub(crate) frames: bool,
}

impl Begun {
    /// A run of this process that begins now.
    pub(crate) fn now(planned: usize, verbosity: Verbosity) -> Self {
        let words: Vec<_> = std::env::args_os().map(|word| crate::process::quoted(&word)).collect();
        Self { planned, command: words.join(" "), at: SystemTime::now(), verbosity, frames: false }
    }
}

/// How much a report for people says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// The summary.
    Quiet,
    /// Failures as they come, and the summary.
    #[default]
    Normal,
    /// Each result as it comes, and a summary with every id and image.
    Verbose,
}

/// A result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One<'a> {
    /// Counts the results of the run from 1.
    pub(crate) number: usize,
    /// What the scenario came to.
    pub(crate) report: &'a Report,
    /// How much a report for people says.
    pub(crate) verbosity: Verbosity,
    /// Whether it has the captured frames.
    pub(crate) frames: bool,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// How it began.
    pub(crate) begun: &'a Begun,
    /// What each scenario came to, machine by machine.
    pub(crate) reports: &'a [Report],
    /// Where it ran.
    pub(crate) host: &'a HostFacts,
    /// What this host's kernel said meanwhile.
    pub(crate) kernel: &'a JudgedWarnings,
    /// Where not every scenario ran: why.
    pub(crate) early: Option<Early>,
}

/// A run in which not every selected scenario ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Early {
    /// What ended it.
    pub cause: Cause,
    /// How many scenarios did not run.
    pub not_run: usize,
}

/// What ends a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A signal.
    Signal(Signal),
    /// An error, which is on standard error.
    Error,
    /// As many failures as `--max-fail` allows.
    MaxFail,
    /// Nothing yet: the report is of a run that goes on, or was killed.
    Unfinished,
}

impl Early {
    /// What ended the run, in a word.
    pub fn by(self) -> &'static str {
        match self.cause {
            Cause::Signal(signal) => signal.name(),
            Cause::Error => "error",
            Cause::MaxFail => "max-fail",
            Cause::Unfinished => "unfinished",
        }
    }
}

impl std::fmt::Display for Early {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = match self.cause {
            Cause::Signal(signal) => signal.name(),
            Cause::Error => "an error",
            Cause::MaxFail => "--max-fail",
            Cause::Unfinished => {
                return write!(f, "the run has not ended: {} scenarios have not run", self.not_run);
            }
        };
        write!(f, "{by} ended the run: {} scenarios did not run", self.not_run)
    }
}

/// The enum of the formats that a kind of report has, as `--format` takes them, with what writes each.
macro_rules! formats {
    ($(#[$doc:meta])* $name:ident: $writer:path, $($(#[$help:meta])* $format:ident by $with:expr;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
        pub(crate) enum $name {
            $($(#[$help])* $format,)*
        }

        impl $name {
            /// What writes it.
            pub(crate) fn writer(self) -> &'static dyn $writer {
                match self {
                    $(Self::$format => &$with,)*
                }
            }
        }
    };
}

pub(crate) use formats;
