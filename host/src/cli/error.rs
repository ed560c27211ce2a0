//! Why a command cannot be carried out.

use crate::engine::serve::ServeError;
use crate::engine::worker::WorkerError;
use crate::images::ImagesError;
use crate::machines::Unavailable;
use crate::migration::MigrationError;
use crate::on_kernel::OnKernelError;
use crate::report::known::KnownIssuesError;
use crate::scenario::filter::InvalidFilter;

/// The command cannot be carried out: exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// There is no image to run, or one cannot be used.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A machine cannot be used.
    #[error(transparent)]
    Machine(#[from] Unavailable),
    /// A worker process cannot be used.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A worker process cannot go on.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The kernel under test gave no result.
    #[error(transparent)]
    OnKernel(#[from] OnKernelError),
    /// Emulators that shared a run gave no result.
    #[error("{0}")]
    Parts(String),
    /// A guest cannot be resumed.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The list of known issues cannot be used.
    #[error(transparent)]
    KnownIssues(#[from] KnownIssuesError),
    /// A file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// What happened.
        error: std::io::Error,
    },
    /// A filter names nothing.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// A filter matches nothing.
    #[error("no scenario matches `{filter}`; {}`midflight list` prints every id", meant(.near))]
    NoMatch {
        /// The filter.
        filter: String,
        /// What may have been meant, the nearest first.
        near: Vec<String>,
    },
    /// What is to be excluded is not there.
    #[error("--exclude {0}: no scenario that was selected matches it")]
    NothingExcluded(String),
    /// A file is not the report of a run.
    #[error("--rerun-failed {file}: {why}")]
    NoReport {
        /// Its name.
        file: String,
        /// Why not.
        why: String,
    },
    /// The selection is empty.
    #[error("no scenario is left to run on {0}")]
    NothingSelected(String),
    /// A file system that everything depends on is not there.
    #[error("{at} is not mounted: {why}; as root: mount -t {kind} {kind} {at}")]
    NotMounted {
        /// Where it belongs.
        at: &'static str,
        /// What needs it.
        why: &'static str,
        /// Its type.
        kind: &'static str,
    },
    /// A need given with `--require` is not met.
    #[error("--require {need}: {reason}")]
    Required {
        /// The need.
        need: String,
        /// Why it is not met.
        reason: String,
    },
    /// Options that do not go together, or make no sense.
    #[error("{0}")]
    Usage(String),
    /// A guest that was saved cannot be written.
    #[error("the guest cannot be written: {0}")]
    Guest(std::io::Error),
    /// The report cannot be written.
    #[error("the report cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

fn meant(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("did you mean `{}`? ", near.join("`, `"))
}
