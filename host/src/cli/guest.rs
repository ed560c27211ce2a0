//! A bound for `save` and `resume` that holds whatever the machine does, and the processes that this program starts of
//! itself: a worker, and the destination of `migrate-process`, which resumes guests for its parent.

use super::CliError;
use crate::engine::serve::serve;
use crate::machines::{Described, Description};
use crate::migration::channel;
use kvm::process::end_with_parent;
use std::io::{BufReader, stdin, stdout};
use std::sync::mpsc::{RecvTimeoutError, channel as mpsc};
use std::time::Duration;

/// The child's side of `migrate-process`: a machine and a guest on standard input, the answer on standard
/// output.
pub(super) fn destination() -> Result<u8, CliError> {
    end_with_parent().map_err(CliError::Output)?;
    let mut input = BufReader::new(stdin());
    let description: Description = channel::take_line(&mut input)?;
    let machine = description.machine()?;
    channel::serve(machine.as_ref(), description.behaviour(), input, stdout())?;
    Ok(0)
}

/// Serves the process that started this one, until it ends.
pub(super) fn worker() -> Result<u8, CliError> {
    end_with_parent().map_err(CliError::Output)?;
    serve(BufReader::new(stdin()), stdout())?;
    Ok(0)
}

/// Does `work` in a thread, with a hard bound after its own: a hung KVM spins where no signal but SIGKILL
/// reaches it, which the kernel sends the thread when this process ends.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let (sender, result) = mpsc();
    std::thread::spawn(move || sender.send(work()));
    let hung = || format!("timeout: the guest did not stop within {:.1} s", limit.as_secs_f64());
    result.recv_timeout(limit).unwrap_or_else(|error| {
        Err(CliError::Usage(match error {
            RecvTimeoutError::Timeout => hung(),
            RecvTimeoutError::Disconnected => "the thread that ran the guest ended by itself".to_owned(),
        }))
    })
}
