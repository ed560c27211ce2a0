//! Options of the commands that save a guest and resume it.

use super::groups::{OnArgs, ReportingArgs, WatchArgs};
use super::seconds;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `save`.
#[derive(Args)]
pub(crate) struct SaveArgs {
    /// The id of a scenario that cuts a guest once and ends in `migrate-process`
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: String,
    /// Write the guest to FILE instead of standard output; FILE is replaced atomically, or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) on: OnArgs,
    /// Time limit for the scenario up to its cut, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Time limit for writing the guest, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// Options of `resume`.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    /// File written by `midflight save`; default: standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) on: OnArgs,
    #[command(flatten)]
    pub(crate) report: ReportingArgs,
    /// Report each captured frame
    #[arg(long)]
    pub(crate) frames: bool,
    /// Time limit for the guest's run after it was read, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Time limit for reading the guest, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}
