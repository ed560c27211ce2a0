//! One report of a run that several emulators share.

use super::parts::{self, PartEvent};
use crate::cli::args::RunArgs;
use crate::cli::error::CliError;
use crate::cli::printer::{Printer, Reporting};
use crate::cli::progress::progress_bar;
use crate::cli::run::Meant;
use crate::cli::terminal::standard_output;
use crate::ending;
use crate::on_kernel::{OnKernelError, Prepared};
use crate::report::facts::HostFacts;
use crate::report::known::{JudgedWarnings, KnownIssues};
use crate::report::records::{Record, RunEnded};
use crate::report::{Begun, Cause, Early};
use crate::scenario::Partition;
use std::ffi::OsString;
use std::io::{Write, stderr};

/// Runs `args`, which are `arguments`, on the kernel under test, in as many emulators as `jobs` says, and reports as one run.
pub(super) fn run(
    kernel: Prepared,
    arguments: &[OsString],
    args: &RunArgs,
    meant: &Meant,
    jobs: usize,
) -> Result<u8, CliError> {
    // A part of a part would need names of its own.
    let jobs = if args.part.partition.is_some() { 1 } else { jobs.min(meant.count) };
    let parts = Partition::all(u32::try_from(jobs).unwrap_or(1));
    let parts = parts.map(|part| of_part(arguments, (jobs > 1).then_some(part)));
    let known = KnownIssues::default();
    let again = |_: &_| None;
    // Those of the kernel under test come with the first part's end.
    let facts = HostFacts { midflight: crate::version::VERSION.to_owned(), ..HostFacts::default() };
    let how = Reporting {
        begun: Begun { frames: args.frames, ..Begun::now(meant.count, args.report.verbosity()) },
        files: &args.report.files,
        ..Reporting::of_one(args.report.format, &known, facts, &again)
    };
    let mut printer = Printer::new(how, standard_output(args.report.format))?;
    printer.bar = progress_bar("kvm", meant.count);
    let mut merged = Merged { printer, lines: vec![Vec::new(); jobs], ended: Vec::new(), errors: Vec::new() };
    parts::run(kernel, parts.collect(), |part, event| merged.take(part, event))?;
    merged.finish(meant)
}

/// The arguments of one part: its scenarios, and a report for [`Merged`]. What stands after `--` is no option.
fn of_part(given: &[OsString], partition: Option<Partition>) -> Vec<OsString> {
    let end = given.iter().position(|word| word == "--").unwrap_or(given.len());
    let (options, rest) = given.split_at(end);
    let mut more = vec!["--format".to_owned(), "records".to_owned()];
    if let Some(partition) = partition {
        more.extend(["--partition".to_owned(), partition.to_string()]);
    }
    let options = without_files(options);
    options.chain(more.into_iter().map(OsString::from)).chain(rest.iter().cloned()).collect()
}

/// Options without the reports in files, which are written here.
fn without_files(options: &[OsString]) -> impl Iterator<Item = OsString> {
    let named = |word: &&OsString| word.as_encoded_bytes().starts_with(b"--report=");
    let value = |at: usize| at.checked_sub(1).and_then(|before| options.get(before)).is_some_and(is_report);
    let kept = move |(at, word): &(usize, &OsString)| !is_report(word) && !named(word) && !value(*at);
    options.iter().enumerate().filter(kept).map(|(_, word)| word.clone()).collect::<Vec<_>>().into_iter()
}

fn is_report(word: &OsString) -> bool {
    word == "--report"
}

struct Merged<'a> {
    printer: Printer<'a>,
    /// The beginning of each part's line whose end has not come.
    lines: Vec<Vec<u8>>,
    ended: Vec<RunEnded>,
    /// What went wrong, each once: most of it goes wrong in every part.
    errors: Vec<String>,
}

impl Merged<'_> {
    fn take(&mut self, part: usize, event: PartEvent) -> Result<(), CliError> {
        match event {
            PartEvent::Output(bytes) => {
                self.lines[part].extend(bytes);
                while let Some(end) = self.lines[part].iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.lines[part].drain(..=end).collect();
                    self.line(&line)?;
                }
            }
            // A failure to write to standard error cannot be reported.
            PartEvent::Progress(bytes) => self.printer.bar.suspend(|| drop(stderr().write_all(&bytes))),
            // A code of 2 without a report has its reason on standard error, and a signal is named by the summary.
            PartEvent::Ended(Ok(_) | Err(OnKernelError::EndRequested)) => {}
            PartEvent::Ended(Err(error)) => {
                let error = error.to_string();
                if !self.errors.contains(&error) {
                    self.errors.push(error);
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), CliError> {
        match serde_json::from_slice(line) {
            Ok(Record::Scenario(report)) => {
                self.printer.bar.inc(1);
                self.printer.judged(*report)?;
            }
            Ok(Record::Ended(ended)) => self.ended.push(*ended),
            Err(error) => self.errors.push(OnKernelError::NotARecord(error.to_string()).to_string()),
        }
        Ok(())
    }

    /// Writes the summary. Where a part gave no result, the results of the others are reported, and that is an error.
    fn finish(mut self, meant: &Meant) -> Result<u8, CliError> {
        self.printer.bar.finish_and_clear();
        let whole = self.ended.len() == self.lines.len();
        let ended_by = ending::signal().map(Cause::Signal);
        let code = if self.ended.is_empty() && self.printer.is_silent() && ended_by.is_none() {
            2
        } else {
            let missing = meant.count.saturating_sub(self.printer.count());
            let of_parts = self.ended.iter().find_map(|ended| ended.early);
            let cause = ended_by.or(of_parts.map(|early| early.cause)).or((!whole).then_some(Cause::Error));
            let early = cause.map(|cause| Early { cause, not_run: missing });
            let mut kernel = JudgedWarnings::default();
            for ended in self.ended {
                self.printer.how.facts = ended.host;
                kernel = kernel.and(ended.kernel);
            }
            self.printer.summary(&meant.order, &kernel, early)?
        };
        match self.errors.is_empty() {
            true if whole => Ok(code),
            true => Ok(2),
            false => Err(CliError::Parts(self.errors.join("; "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_options_before_what_is_no_option() {
        let given = ["--called-as=x", "run", "pf", "--", "-x"].map(OsString::from);
        let part = Partition::all(2).last();
        let words = ["--called-as=x", "run", "pf", "--format", "records", "--partition", "2/2", "--", "-x"];
        assert_eq!(of_part(&given, part), words.map(OsString::from));
        assert_eq!(of_part(&given[..2], None), ["--called-as=x", "run", "--format", "records"]);
        // The emulator has no such file.
        let given = ["run", "--report", "json=a", "pf", "--report=tap=b", "--frames"].map(OsString::from);
        assert_eq!(of_part(&given, None), ["run", "pf", "--frames", "--format", "records"]);
    }
}
