//! The processes that this program starts of itself: a worker, and the destination of `migrate-process`, which resumes
//! guests for its parent.

use super::CliError;
use crate::engine::serve::serve;
use crate::machines::{Described, Description};
use crate::migration::channel;
use kvm::process::end_with_parent;
use std::io::{BufRead, BufReader, stdin, stdout};

/// The child's side of `migrate-process`: a machine and guests on standard input, an answer to each on standard output.
pub(super) fn destination() -> Result<u8, CliError> {
    end_with_parent().map_err(CliError::Output)?;
    let mut input = BufReader::new(stdin());
    let description: Description = channel::take_line(&mut input)?;
    let machine = description.machine()?;
    while !input.fill_buf().map_err(CliError::Output)?.is_empty() {
        if !channel::serve(machine.as_ref(), description.behaviour(), &mut input, stdout())? {
            break;
        }
    }
    Ok(0)
}

/// Serves the process that started this one, until it ends.
pub(super) fn worker() -> Result<u8, CliError> {
    end_with_parent().map_err(CliError::Output)?;
    serve(BufReader::new(stdin()), stdout())?;
    Ok(0)
}
