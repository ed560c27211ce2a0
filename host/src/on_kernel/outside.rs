//! Boots the kernel under test and passes its results on.

use super::console::Console;
use super::record::{Decoder, Record};
use super::squeeze::Expand;
use super::{KernelUnderTest, OnKernelError, emulator, initrd};
use crate::process::{Child, ChildEvent, MemoryFile};
use std::io::Write;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long the kernel under test may take to power off once midflight has ended there.
const POWER_OFF: Duration = Duration::from_secs(10);
/// How much of the console is shown after an unhappy end, in lines.
const SHOWN: usize = 12;

/// Boots the kernel under test, passes midflight's standard output there to `output` and everything else
/// to `progress`, and returns midflight's exit code there.
///
/// # Errors
/// When there is no exit code, or results were lost on the way.
pub fn run(
    under_test: &KernelUnderTest,
    output: &mut impl Write,
    progress: &mut impl Write,
) -> Result<u8, OnKernelError> {
    if !under_test.kernel.is_file() {
        return Err(OnKernelError::NoKernel(under_test.kernel.clone()));
    }
    let archive = initrd::pack(under_test)?;
    let archive = MemoryFile::new(&archive).map_err(system("making the initrd"))?;
    // The emulator gets a path without surprises, whatever the kernel's is called.
    let kernel = under_test.kernel.canonicalize().map_err(|error| OnKernelError::File {
        what: "the kernel",
        file: under_test.kernel.clone(),
        error,
    })?;
    let line = emulator::command_line(
        &under_test.emulator,
        &kernel.to_string_lossy(),
        &archive.path(),
        &under_test.append,
    )?;
    let mut command = Command::new(&line.program);
    command.args(&line.arguments);
    let start = Instant::now();
    let child = Child::start(command).map_err(system("starting the emulator"))?;
    let mut host = Host {
        child,
        start,
        console: Console::default(),
        decoder: Decoder::default(),
        output: Expand::default(),
        errors: Expand::default(),
        stage: "booting the kernel".to_owned(),
    };
    let result = host.watch(start + under_test.timeout, output, progress);
    // An error inside has already been reported.
    if !matches!(result, Ok(_) | Err(Trouble::Other(OnKernelError::Inside(_) | OnKernelError::Output(_)))) {
        host.show_console(progress);
    }
    result.map_err(|error| match error {
        Trouble::Late => OnKernelError::Timeout {
            limit: under_test.timeout.as_secs_f64(),
            stage: host.stage.clone(),
            says: host.console.last_line(),
        },
        Trouble::Other(error) => error,
    })
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> OnKernelError {
    move |error| OnKernelError::System { what, error }
}

struct Host {
    child: Child,
    start: Instant,
    console: Console,
    decoder: Decoder,
    /// Of midflight's standard output.
    output: Expand,
    /// Of its standard error.
    errors: Expand,
    /// The current stage.
    stage: String,
}

enum Trouble {
    Late,
    Other(OnKernelError),
}

impl From<OnKernelError> for Trouble {
    fn from(error: OnKernelError) -> Self {
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
                ChildEvent::Errors(bytes) => self.console.add(&bytes),
                ChildEvent::Output(bytes) => {
                    for record in self.decoder.feed(&bytes) {
                        if let Some(end) = self.record(record, output, progress)? {
                            return Ok(self.end(end, output)?);
                        }
                    }
                }
                ChildEvent::Late => return Err(Trouble::Late),
                // Signals are not watched here: they end this process directly.
                ChildEvent::EndRequested => return Err(OnKernelError::EndRequested.into()),
                ChildEvent::Ended(status) => return Err(self.without_result(status).into()),
            }
        }
    }

    /// Passes a record on; the last one is returned.
    fn record(
        &mut self,
        record: Record,
        output: &mut impl Write,
        progress: &mut impl Write,
    ) -> Result<Option<Record>, OnKernelError> {
        match record {
            Record::Stage(stage) => self.say(progress, &stage),
            Record::Output(piece) => {
                let bytes = self.output.bytes(&piece).map_err(|_| OnKernelError::Damaged(1))?;
                output.write_all(&bytes).map_err(OnKernelError::Output)?;
            }
            Record::Errors(piece) => {
                let bytes = self.errors.bytes(&piece).map_err(|_| OnKernelError::Damaged(1))?;
                // A failure to write to standard error cannot be reported.
                drop(progress.write_all(&bytes));
            }
            end @ (Record::Ended(_) | Record::Failed(_)) => return Ok(Some(end)),
        }
        Ok(None)
    }

    fn end(&mut self, end: Record, output: &mut impl Write) -> Result<u8, OnKernelError> {
        output.flush().map_err(OnKernelError::Output)?;
        // One that does not power off is killed: its results are complete.
        let deadline = Instant::now() + POWER_OFF;
        while let Ok(ChildEvent::Output(_) | ChildEvent::Errors(_)) = self.child.next(deadline) {}
        match (end, self.decoder.lost()) {
            (_, lost @ 1..) => Err(OnKernelError::Damaged(lost)),
            (Record::Ended(code), 0) => Ok(code),
            (Record::Failed(why), 0) => Err(OnKernelError::Inside(why)),
            (other, 0) => Err(OnKernelError::Inside(format!("it ended with {other:?}"))),
        }
    }

    /// The emulator ended without a last record.
    fn without_result(&self, status: ExitStatus) -> OnKernelError {
        let status_ok = status.success() || self.decoder.received() > 0;
        let (status, says) = (status.to_string(), self.console.last_line());
        match self.console.panic() {
            Some(reason) => OnKernelError::Panic(reason),
            None if !status_ok => OnKernelError::EmulatorFailed { status, says },
            None => OnKernelError::NoResult { status, says },
        }
    }

    fn say(&mut self, progress: &mut impl Write, stage: &str) {
        self.stage = stage.to_owned();
        let seconds = self.start.elapsed().as_secs_f64();
        // A failure to write to standard error cannot be reported.
        let _ = writeln!(progress, "on-kernel [{seconds:6.1} s] {stage}");
    }

    /// The end of the console, for diagnosis.
    fn show_console(&self, progress: &mut impl Write) {
        for line in self.console.last_lines(SHOWN) {
            let _ = writeln!(progress, "    {line}");
        }
    }
}
