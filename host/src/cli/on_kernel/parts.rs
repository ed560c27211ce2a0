//! Several emulators at a time, each with a part of the work, and what they write as it comes.

use crate::cli::error::CliError;
use crate::on_kernel::{OnKernelError, Prepared};
use std::ffi::OsString;
use std::io::{Result, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// What an emulator's midflight did; the number is the part's place in the list.
pub(super) enum PartEvent {
    /// It wrote to standard output.
    Output(Vec<u8>),
    /// Progress, or its standard error.
    Progress(Vec<u8>),
    /// It has ended.
    Ended(std::result::Result<u8, OnKernelError>),
}

/// Boots `kernel` with the arguments of each of `parts` at the same time and gives what they do to `each`, with the part's place in the list, until all
/// have ended or `each` fails: the rest ends with this process.
pub(super) fn run(
    kernel: Prepared,
    parts: Vec<Vec<OsString>>,
    mut each: impl FnMut(usize, PartEvent) -> std::result::Result<(), CliError>,
) -> std::result::Result<(), CliError> {
    let (sender, events) = channel();
    let kernel = Arc::new(kernel);
    for (part, arguments) in parts.into_iter().enumerate() {
        let (sender, kernel) = (sender.clone(), Arc::clone(&kernel));
        std::thread::spawn(move || {
            let mut output = Stream { part, event: PartEvent::Output, to: sender.clone() };
            let mut progress = Stream { part, event: PartEvent::Progress, to: sender.clone() };
            let ended = kernel.run(&arguments, &mut output, &mut progress);
            // Nobody listens any more where this process is about to end.
            let _ = sender.send((part, PartEvent::Ended(ended)));
        });
    }
    drop(sender);
    events.into_iter().try_for_each(|(part, event)| each(part, event))
}

/// Sends what is written to it.
struct Stream {
    part: usize,
    event: fn(Vec<u8>) -> PartEvent,
    to: Sender<(usize, PartEvent)>,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let sent = self.to.send((self.part, (self.event)(bytes.to_vec())));
        sent.map(|()| bytes.len()).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
