//! Options of the commands that write pages.

use clap::Args;
use std::path::PathBuf;

/// Options of `report`.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Files that `midflight run --format json` wrote; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the page to FILE instead of standard output; FILE is replaced atomically, or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How `mutants` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MatrixFormat {
    /// For people, row by row
    Human,
    /// docs/behaviours.md
    Markdown,
    /// One page of HTML, as `midflight report` makes it of results
    Html,
}
