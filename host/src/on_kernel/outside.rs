//! Boots the kernel under test and passes its results on.

use super::console::Console;
use super::emulator::{Kernel, Ready, Running};
use super::record::{Decoder, Record};
use super::squeeze::Expand;
use super::{KernelUnderTest, OnKernelError, initrd};
use crate::process::{Child, ChildEvent};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How much of the console is shown after an unhappy end, in lines.
const SHOWN: usize = 12;

/// A kernel with all that it is booted with, but for the arguments of the midflight inside.
#[derive(Debug)]
pub struct Prepared {
    emulator: Ready,
    kernel: Kernel,
    initrd: Vec<u8>,
    append: String,
    timeout: Duration,
}

impl Prepared {
    /// Reads and checks what is to be booted, and finds the emulator.
    ///
    /// # Errors
    /// When any of it is missing or no use.
    pub fn new(under_test: &KernelUnderTest) -> Result<Self, OnKernelError> {
        Ok(Self {
            kernel: Kernel::read(&under_test.kernel)?,
            initrd: initrd::pack(under_test)?,
            emulator: under_test.emulator.ready()?,
            append: under_test.append.clone(),
            timeout: under_test.timeout,
        })
    }

    /// Boots the kernel under test, passes midflight's standard output there to `output` and everything else
    /// to `progress`, and returns midflight's exit code there.
    ///
    /// # Errors
    /// When there is no exit code, or results were lost on the way.
    pub fn run(
        &self,
        arguments: &[OsString],
        output: &mut impl Write,
        progress: &mut impl Write,
    ) -> Result<u8, OnKernelError> {
        let initrd = initrd::with_arguments(&self.initrd, arguments, self.emulator.fact().as_deref())?;
        let start = Instant::now();
        let running = self.emulator.start(&self.kernel, &initrd, &self.append)?;
        drop(initrd);
        watch(running, self.emulator.needed(), start, self.timeout, output, progress)
    }
}

/// Runs what was started at `start` to its end.
fn watch(
    Running { child, files: _files }: Running,
    needed: &'static str,
    start: Instant,
    timeout: Duration,
    output: &mut impl Write,
    progress: &mut impl Write,
) -> Result<u8, OnKernelError> {
    let mut host = Host {
        child,
        needed,
        start,
        console: Console::default(),
        decoder: Decoder::default(),
        output: Expand::default(),
        errors: Expand::default(),
        stage: "booting the kernel".to_owned(),
    };
    let result = host.watch(start + timeout, output, progress);
    // An error inside has already been reported.
    if !matches!(result, Ok(_) | Err(Trouble::Other(OnKernelError::Inside(_) | OnKernelError::Output(_)))) {
        host.show_console(progress);
    }
    result.map_err(|error| match error {
        Trouble::Late => OnKernelError::Timeout {
            limit: timeout.as_secs_f64(),
            stage: host.stage.clone(),
            says: host.console.last_line(),
        },
        Trouble::Other(error) => error,
    })
}

pub(super) fn system(what: &'static str) -> impl Fn(std::io::Error) -> OnKernelError {
    move |error| OnKernelError::System { what, error }
}

struct Host {
    child: Child,
    /// [`Ready::needed`].
    needed: &'static str,
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
                    let records = self.decoder.feed(&bytes);
                    // What comes after a lost one cannot be made out: [`Expand`].
                    if let lost @ 1.. = self.decoder.lost() {
                        return Err(OnKernelError::Damaged(lost).into());
                    }
                    for record in records {
                        if let Some(end) = self.record(record, output, progress)? {
                            return Ok(self.end(end, output)?);
                        }
                    }
                }
                ChildEvent::Late => return Err(Trouble::Late),
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
        // The emulator is killed: its results are complete, and not every machine can power itself off.
        match end {
            Record::Ended(code) => Ok(code),
            Record::Failed(why) => Err(OnKernelError::Inside(why)),
            Record::Stage(_) | Record::Output(_) | Record::Errors(_) => {
                Err(OnKernelError::Inside("its last record is not the end of a run".to_owned()))
            }
        }
    }

    /// The emulator ended without a last record.
    fn without_result(&self, status: ExitStatus) -> OnKernelError {
        let status_ok = status.success() || self.decoder.received() > 0;
        let (status, says) = (status.to_string(), self.console.last_line());
        match self.console.panic() {
            Some(reason) => OnKernelError::Panic(reason),
            None if !status_ok => OnKernelError::EmulatorFailed { needed: self.needed, status, says },
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
