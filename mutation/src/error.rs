//! What ends the program.

use std::path::PathBuf;

/// A sentence that says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} cannot be started: {1}")]
    Command(String, std::io::Error),
    #[error("{0} is no Rust: {1}")]
    Syntax(String, syn::Error),
    #[error("{0}: {1}")]
    Data(PathBuf, toml::de::Error),
    #[error(
        "mutation/lists/{list}.toml: the text of `{name}` is {count} times in {file}: it must be there once"
    )]
    NotOnce { list: String, name: String, file: String, count: usize },
    #[error("the tree with faults does not build, and no fault is to blame:\n{0}")]
    Build(String),
    #[error("without a fault the check fails: nothing can be said about faults")]
    Baseline,
    #[error("{0}")]
    Usage(String),
}
