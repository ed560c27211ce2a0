//! What midflight itself writes into the directory, each by a midflight of its own.

use super::name;
use crate::bounded::{self, Ended, NotEnded, last_line};
use crate::cli::CliError;
use crate::cli::args::KnownArgs;
use crate::process::{Child, THIS_PROGRAM};
use crate::scenario::Scenario;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a midflight may take beyond the time of its scenario: its probes, and the start on a loaded host.
const GRACE: Duration = Duration::from_secs(120);

/// Whether a part was written.
#[derive(Debug)]
pub(super) enum Wrote {
    /// It was.
    Yes,
    /// It was not, because of this.
    Not(String),
}

/// What all parts have in common.
pub(super) struct Parts<'a> {
    pub(super) directory: &'a Path,
    pub(super) image: &'a str,
    pub(super) kvm: &'a Path,
    pub(super) machine: &'a str,
    pub(super) behaviour: Option<&'a str>,
    pub(super) timeout: Duration,
    pub(super) known: &'a KnownArgs,
}

impl Parts<'_> {
    /// The result of the scenario here, with frames; its lines. Fails when there is none.
    pub(super) fn result(&self, scenario: &Scenario) -> Result<Vec<u8>, CliError> {
        let ended = self.midflight("run", scenario, &["--frames", "--format", "json"], true)?;
        if !ended.output.contains("\"outcome\"") {
            return Err(CliError::Usage(format!("{scenario} has no result: {}", last_line(&ended.errors))));
        }
        self.write(name::RESULT, ended.output.as_bytes())?;
        Ok(ended.output.into_bytes())
    }

    /// The trace on the model.
    pub(super) fn trace(&self, scenario: &Scenario) -> Result<Wrote, CliError> {
        let behaviour: Vec<&str> = self.behaviour.iter().flat_map(|name| ["--behaviour", name]).collect();
        let ended = self.midflight("trace", scenario, &behaviour, false)?;
        if ended.output.is_empty() {
            return Ok(Wrote::Not(last_line(&ended.errors)));
        }
        self.write(name::TRACE, ended.output.as_bytes())?;
        Ok(Wrote::Yes)
    }

    /// The guest, saved at its cut.
    pub(super) fn guest(&self, scenario: &Scenario) -> Result<Wrote, CliError> {
        let ended = self.midflight("save", scenario, &["-o", name::GUEST], true)?;
        let written = self.directory.join(name::GUEST).is_file();
        Ok(if written { Wrote::Yes } else { Wrote::Not(last_line(&ended.errors)) })
    }

    /// What the scenario's machine is called on a command line.
    pub(super) fn on(&self) -> Vec<String> {
        let behaviour = self.behaviour.iter().flat_map(|name| ["--behaviour", name]);
        ["--machine", self.machine].into_iter().chain(behaviour).map(str::to_owned).collect()
    }

    fn midflight(
        &self,
        subcommand: &str,
        scenario: &Scenario,
        more: &[&str],
        on_machine: bool,
    ) -> Result<Ended, CliError> {
        let mut command = Command::new(THIS_PROGRAM);
        command.current_dir(self.directory).arg(subcommand).arg(scenario.to_string());
        command.args(["--image", self.image]).arg("--kvm").arg(self.absolute_kvm()).args(more);
        command.args(["--timeout", &self.timeout.as_secs_f64().to_string()]);
        if on_machine {
            command.args(self.on());
            let facts = self.known.host_facts.iter().flat_map(|fact| ["--host-fact", fact]);
            command.args(facts);
        }
        let deadline = Instant::now() + self.timeout + GRACE;
        let failed = |error| CliError::File { file: format!("midflight {subcommand}"), error };
        let mut child = Child::start(command).map_err(failed)?;
        bounded::run(&mut child, deadline).map_err(|why| {
            CliError::Usage(match why {
                NotEnded::Unread(error) => format!("midflight {subcommand}: {error}"),
                NotEnded::Late { last_line } => {
                    format!("midflight {subcommand} did not end; it said {last_line}")
                }
                NotEnded::TooMuchOutput => format!("midflight {subcommand} prints too much"),
                NotEnded::EndRequested => "ended by a signal".to_owned(),
            })
        })
    }

    fn absolute_kvm(&self) -> OsString {
        std::path::absolute(self.kvm).map_or_else(|_| self.kvm.into(), Into::into)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CliError> {
        let file = self.directory.join(name);
        fs::write(&file, bytes).map_err(|error| CliError::File { file: file.display().to_string(), error })
    }
}
