//! Whether a fault is noticed.

use crate::area::Area;
use crate::error::Error;
use crate::tree::Tree;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What becomes of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// These cases, or tests, fail.
    Killed(Vec<String>),
    /// The check ends in another way: it does not come to an end, or is ended by the program itself.
    Broken(String),
    /// Nothing fails.
    Survived,
}

/// How much longer than without a fault a check may take, and how long it may take at least: another load of the host
/// is no fault.
const SLOWER: u32 = 20;
const LEAST: Duration = Duration::from_secs(60);
/// How many cases must fail, so that the later stages need not run.
const ENOUGH: usize = 2;

/// The checks of an area.
pub(crate) struct Checks(Vec<Stage>);

/// One run of a program, and how long it takes without a fault.
struct Stage {
    program: PathBuf,
    directory: PathBuf,
    arguments: &'static [&'static str],
    usually: Duration,
}

impl Checks {
    /// Runs them without a fault, by these programs, one for each of the area's checks, in this tree. Fails when one does.
    pub(crate) fn of(area: &Area, programs: &[PathBuf], tree: &Tree) -> Result<Self, Error> {
        let mut stages = Vec::new();
        for (check, program) in area.checks.iter().zip(programs) {
            for arguments in check.runs {
                let (program, directory) = (program.clone(), tree.0.join(check.directory));
                let mut stage = Stage { program, directory, arguments, usually: Duration::ZERO };
                let start = Instant::now();
                let ran = within(stage.command(None), Duration::MAX)?;
                if ran.is_none_or(|output| !failures(&output).is_empty()) {
                    return Err(Error::Baseline);
                }
                stage.usually = start.elapsed();
                stages.push(stage);
            }
        }
        Ok(Self(stages))
    }

    /// What becomes of a fault: the stages run until enough has failed.
    pub(crate) fn fate(&self, fault: usize) -> Result<Fate, Error> {
        let mut failed = BTreeSet::new();
        for stage in &self.0 {
            match within(stage.command(Some(fault)), LEAST.max(stage.usually * SLOWER))? {
                None if failed.is_empty() => {
                    return Ok(Fate::Broken("it does not come to an end".to_owned()));
                }
                None => break,
                Some(output) => failed.extend(failures(&output)),
            }
            if failed.len() >= ENOUGH {
                break;
            }
        }
        Ok(if failed.is_empty() { Fate::Survived } else { Fate::Killed(failed.into_iter().collect()) })
    }
}

impl Stage {
    fn command(&self, fault: Option<usize>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments).current_dir(&self.directory);
        if let Some(fault) = fault {
            command.env("MIDFLIGHT_FAULT", fault.to_string());
        }
        command
    }
}

/// What a command prints; `None` if it was not done in time.
fn within(mut command: Command, limit: Duration) -> Result<Option<String>, Error> {
    let failed = |error| Error::Command("the check".to_owned(), error);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.as_mut().map(|output| output.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let mut text = reader.join().unwrap_or_default();
            // With 1 the cases that failed are in the report, or this host's kernel has logged a warning.
            if !status.success() && status.code() != Some(1) {
                text += "\nended with an error\n";
            }
            return Ok(Some(text));
        }
        if start.elapsed() > limit {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An object of the JSON report.
#[derive(Deserialize)]
struct Report {
    image: String,
    case: String,
    outcome: String,
}

/// The cases that did not pass, or the tests that failed; what ended without either is one failure by itself.
fn failures(output: &str) -> Vec<String> {
    let reports = output.lines().filter_map(|line| serde_json::from_str::<Report>(line).ok());
    let cases =
        reports.filter(|report| report.outcome != "pass").map(|one| format!("{}/{}", one.image, one.case));
    let failed = |line: &str| {
        line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")).map(str::to_owned)
    };
    let all: BTreeSet<String> = cases.chain(output.lines().filter_map(failed)).collect();
    if all.is_empty() && output.ends_with("\nended with an error\n") {
        return vec!["the program ended with an error".to_owned()];
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn what_failed_is_read() {
        let report = |case, outcome| {
            format!("{{\"image\":\"pf\",\"case\":\"{case}\",\"outcome\":\"{outcome}\",\"x\":1}}\n")
        };
        let output =
            report("a", "pass") + &report("b", "fail") + &report("b", "fail") + &report("c", "error");
        assert_eq!(failures(&output), ["pf/b", "pf/c"]);
        assert_eq!(failures("test a::b ... FAILED\ntest c ... ok\n"), ["a::b"]);
        assert_eq!(failures("\nended with an error\n"), ["the program ended with an error"]);
        assert_eq!(failures(&report("a", "pass")), [""; 0]);
    }
}
