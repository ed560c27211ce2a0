//! Where a report goes: standard output, or a file that is named.

use crate::report::{Begun, Ended, Format, One, Report, Verbosity};
use indicatif::ProgressBar;
use std::fs::{self, File};
use std::io::{self, Result, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A report in a file beside the one on standard output: `FORMAT=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportFile {
    format: Format,
    file: PathBuf,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let problem = || "a report is FORMAT=FILE, as in junit=results.xml".to_owned();
        let (format, file) = text.split_once('=').ok_or_else(problem)?;
        let format = <Format as clap::ValueEnum>::from_str(format, false).map_err(|_| {
            let formats = <Format as clap::ValueEnum>::value_variants().iter();
            let shown =
                formats.filter_map(clap::ValueEnum::to_possible_value).filter(|one| !one.is_hide_set());
            let names: Vec<_> = shown.map(|one| one.get_name().to_owned()).collect();
            format!("there is no format `{format}`; there are {}", names.join(", "))
        })?;
        if file.is_empty() { Err(problem()) } else { Ok(Self { format, file: file.into() }) }
    }
}

/// One report of a run.
pub(super) struct Sink<'a> {
    format: Format,
    to: To<'a>,
}

enum To<'a> {
    /// A stream that somebody reads: lines are flushed one by one, a document is written at the end.
    Stream(Box<dyn Write + 'a>),
    /// A file to which lines are added.
    Lines { file: File, pace: Pace },
    /// A file that is replaced by a document that is whole at any moment.
    Document { file: PathBuf, pace: Pace },
}

impl<'a> Sink<'a> {
    /// Standard output, or standard error.
    pub(super) fn stream(format: Format, output: Box<dyn Write + 'a>) -> Self {
        Self { format, to: To::Stream(output) }
    }

    /// A file, which is empty from now on. Fails with its name.
    pub(super) fn file(ReportFile { format, file }: &ReportFile) -> Result<Self> {
        let opened = File::create(file).map_err(|error| named(file, &error))?;
        let pace = Pace::default();
        // What is no file cannot be replaced by one.
        let to = match (format.writer().is_document(), opened.metadata()?.is_file()) {
            (true, true) => To::Document { file: file.clone(), pace },
            (true, false) => To::Stream(Box::new(opened)),
            (false, _) => To::Lines { file: opened, pace },
        };
        Ok(Self { format: *format, to })
    }

    /// Writes what stands before the first result.
    pub(super) fn begin(&mut self, bar: &ProgressBar, run: &Begun) -> Result<()> {
        let mut text = Vec::new();
        self.format.writer().begin(&mut text, run)?;
        self.write(bar, &text)
    }

    /// Writes a result, the last of those of `so_far`.
    pub(super) fn one(&mut self, bar: &ProgressBar, report: &Report, so_far: &Ended<'_>) -> Result<()> {
        let verbosity = match self.to {
            To::Stream(_) => so_far.begun.verbosity,
            To::Lines { .. } | To::Document { .. } => Verbosity::Normal,
        };
        let mut text = Vec::new();
        let one = One { number: so_far.reports.len(), report, verbosity, frames: so_far.begun.frames };
        self.format.writer().one(&mut text, &one)?;
        self.write(bar, &text)?;
        match &mut self.to {
            To::Document { file, pace } => pace.now_and_then(|| document(self.format, file, so_far)),
            To::Lines { file, pace } => pace.now_and_then(|| synced(file)),
            To::Stream(_) => Ok(()),
        }
    }

    /// Writes the end.
    pub(super) fn end(&mut self, bar: &ProgressBar, run: &Ended<'_>) -> Result<()> {
        if let To::Document { file, .. } = &self.to {
            return document(self.format, file, run);
        }
        let mut text = Vec::new();
        self.format.writer().end(&mut text, run)?;
        self.write(bar, &text)?;
        match &mut self.to {
            To::Lines { file, .. } => synced(file),
            To::Stream(_) | To::Document { .. } => Ok(()),
        }
    }

    fn write(&mut self, bar: &ProgressBar, text: &[u8]) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        match &mut self.to {
            To::Stream(output) => bar.suspend(|| output.write_all(text).and_then(|()| output.flush())),
            To::Lines { file, .. } => file.write_all(text),
            To::Document { .. } => Ok(()),
        }
    }
}

/// Replaces `file` by the document of `run`: whoever reads it finds a whole one.
fn document(format: Format, file: &Path, run: &Ended<'_>) -> Result<()> {
    let mut text = Vec::new();
    format.writer().end(&mut text, run)?;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".midflight-{}", std::process::id()));
    let whole = PathBuf::from(name);
    let written = File::create(&whole)
        .and_then(|mut new| new.write_all(&text).and_then(|()| synced(&new)))
        .and_then(|()| fs::rename(&whole, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&whole);
        named(file, &error)
    })
}

/// Lets what was written outlast the kernel, where the file can: a pipe or a terminal cannot.
fn synced(file: &File) -> Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

/// Does something that takes time no more often than one twentieth of the time allows.
#[derive(Debug, Default)]
struct Pace {
    /// When it was done last, and how long it took.
    last: Option<(Instant, Duration)>,
}

/// What the rest of a run gets for each part that this gets.
const SHARE: u32 = 20;

impl Pace {
    fn now_and_then(&mut self, what: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.last.is_some_and(|(end, took)| end.elapsed() < took * SHARE) {
            return Ok(());
        }
        let start = Instant::now();
        what()?;
        self.last = Some((Instant::now(), start.elapsed()));
        Ok(())
    }
}
