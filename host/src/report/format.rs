//! What every format of a run's report is asked to write.

use super::known::JudgedWarnings;
use crate::ending::Signal;
use crate::report::{HostFacts, Report};
use serde::{Deserialize, Serialize};
use std::io::{Result, Write};

/// Writes the report of a run in one format; each method fails when `output` cannot be written.
pub(crate) trait Writer {
    /// Writes what is to be said of one scenario as soon as it has ended.
    fn one(&self, output: &mut dyn Write, report: &Report, again: &Again<'_>) -> Result<()>;

    /// Writes what is to be said once the run has ended.
    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()>;
}

/// Gives the command that repeats a scenario or a case, where there is one.
pub(crate) type Again<'a> = dyn Fn() -> Option<String> + 'a;

/// A run that has ended.
pub(crate) struct Ended<'a> {
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
    /// The signal that ended it; `None` if an error did, which is on standard error.
    pub signal: Option<Signal>,
    /// How many scenarios did not run.
    pub not_run: usize,
}

impl Early {
    /// What ended the run, in a word.
    pub fn by(self) -> &'static str {
        self.signal.map_or("error", Signal::name)
    }
}

impl std::fmt::Display for Early {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.signal.map_or("an error", Signal::name);
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
