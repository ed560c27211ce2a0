//! Boots the nested host and passes on what it says.

use super::console::Console;
use super::record::{Decoder, Record};
use super::{Nested, NestedError, emulator, initrd};
use crate::process::{Child, Event, MemoryFile};
use std::io::Write;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long the nested host may take to power off once it has said that it ended.
const POWER_OFF: Duration = Duration::from_secs(10);
/// How much of the console is shown after an unhappy end, in lines.
const SHOWN: usize = 12;

/// Boots the nested host, passes midflight's standard output there to `output` and everything else
/// to `progress`, and returns midflight's exit code there.
///
/// # Errors
/// When there is no exit code, or results were lost on the way.
pub fn run(nested: &Nested, output: &mut impl Write, progress: &mut impl Write) -> Result<u8, NestedError> {
    if !nested.kernel.is_file() {
        return Err(NestedError::NoKernel(nested.kernel.clone()));
    }
    let archive = initrd::pack(nested)?;
    let archive = MemoryFile::new(&archive).map_err(system("making the initrd"))?;
    // The emulator gets a path without surprises, whatever the kernel's is called.
    let kernel = nested.kernel.canonicalize().map_err(|error| NestedError::File {
        what: "the kernel",
        file: nested.kernel.clone(),
        error,
    })?;
    let line =
        emulator::command_line(&nested.emulator, &kernel.to_string_lossy(), &archive.path(), &nested.append)?;
    let mut command = Command::new(&line.program);
    command.args(&line.arguments);
    let start = Instant::now();
    let child = Child::start(command).map_err(system("starting the emulator"))?;
    let mut host = Host {
        child,
        start,
        console: Console::default(),
        decoder: Decoder::default(),
        stage: "booting the kernel".to_owned(),
    };
    let result = host.watch(start + nested.timeout, output, progress);
    // What failed inside has told its story itself.
    if !matches!(result, Ok(_) | Err(Trouble::Other(NestedError::Inside(_) | NestedError::Output(_)))) {
        host.show_console(progress);
    }
    result.map_err(|error| match error {
        Trouble::Late => NestedError::Timeout {
            limit: nested.timeout.as_secs_f64(),
            stage: host.stage.clone(),
            says: host.console.last_line(),
        },
        Trouble::Other(error) => error,
    })
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> NestedError {
    move |error| NestedError::System { what, error }
}

struct Host {
    child: Child,
    start: Instant,
    console: Console,
    decoder: Decoder,
    /// How far it has come.
    stage: String,
}

enum Trouble {
    Late,
    Other(NestedError),
}

impl From<NestedError> for Trouble {
    fn from(error: NestedError) -> Self {
        Self::Other(error)
    }
}

impl Host {
    fn watch(
        &mut self,
        deadline: Instant,
        output: &mut impl Write,
        progress: &mut impl Write,
    ) -> Result<u8, Trouble> {
        self.say(progress, "booting the kernel");
        loop {
            match self.child.next(deadline).map_err(system("reading from the emulator"))? {
                Event::Errors(bytes) => self.console.add(&bytes),
                Event::Output(bytes) => {
                    for record in self.decoder.feed(&bytes) {
                        if let Some(end) = self.record(record, output, progress)? {
                            return Ok(self.end(end, output)?);
                        }
                    }
                }
                Event::Late => return Err(Trouble::Late),
                // Nobody watches for signals here: they end this process by themselves.
                Event::ToldToEnd => return Err(NestedError::ToldToEnd.into()),
                Event::Ended(status) => return Err(self.without_result(status).into()),
            }
        }
    }

    /// Passes a record on; the last one is returned.
    fn record(
        &mut self,
        record: Record,
        output: &mut impl Write,
        progress: &mut impl Write,
    ) -> Result<Option<Record>, NestedError> {
        match record {
            Record::Stage(stage) => self.say(progress, &stage),
            Record::Output(bytes) => output.write_all(&bytes).map_err(NestedError::Output)?,
            // Nobody can be told that standard error is gone.
            Record::Errors(bytes) => drop(progress.write_all(&bytes)),
            end @ (Record::Ended(_) | Record::Failed(_)) => return Ok(Some(end)),
        }
        Ok(None)
    }

    fn end(&mut self, end: Record, output: &mut impl Write) -> Result<u8, NestedError> {
        output.flush().map_err(NestedError::Output)?;
        // One that does not power off is killed: its results are complete.
        let deadline = Instant::now() + POWER_OFF;
        while let Ok(Event::Output(_) | Event::Errors(_)) = self.child.next(deadline) {}
        match (end, self.decoder.lost()) {
            (_, lost @ 1..) => Err(NestedError::Damaged(lost)),
            (Record::Ended(code), 0) => Ok(code),
            (Record::Failed(why), 0) => Err(NestedError::Inside(why)),
            (other, 0) => Err(NestedError::Inside(format!("it ended with {other:?}"))),
        }
    }

    /// The emulator is gone and no last record came.
    fn without_result(&self, status: ExitStatus) -> NestedError {
        let status_ok = status.success() || self.decoder.received() > 0;
        let (status, says) = (status.to_string(), self.console.last_line());
        match self.console.panic() {
            Some(reason) => NestedError::Panic(reason),
            None if !status_ok => NestedError::EmulatorFailed { status, says },
            None => NestedError::NoResult { status, says },
        }
    }

    fn say(&mut self, progress: &mut impl Write, stage: &str) {
        self.stage = stage.to_owned();
        let seconds = self.start.elapsed().as_secs_f64();
        // Nobody can be told that standard error is gone.
        let _ = writeln!(progress, "nested [{seconds:6.1} s] {stage}");
    }

    /// The end of the console, for whoever has to find out what went wrong.
    fn show_console(&self, progress: &mut impl Write) {
        for line in self.console.last_lines(SHOWN) {
            let _ = writeln!(progress, "    {line}");
        }
    }
}
