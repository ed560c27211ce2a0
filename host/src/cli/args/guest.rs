//! Options of the commands that save a guest and resume it.

use super::groups::{OnArgs, WatchArgs};
use super::seconds;
use crate::report::Format;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `save`.
#[derive(Args)]
pub(crate) struct SaveArgs {
    /// The id of a scenario that cuts a guest once and ends in `migrate-process`
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: String,
    /// Write the guest to FILE, which holds all of it or is not touched, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which machine.
    #[command(flatten)]
    pub(crate) on: OnArgs,
    /// How long the scenario may take up to its cut, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// How long whoever reads the guest may take, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// What is known, and what the kernel says.
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// Options of `resume`.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    /// What `midflight save` has written; without it, standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Which machine.
    #[command(flatten)]
    pub(crate) on: OnArgs,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: Format,
    /// Report each captured frame
    #[arg(long)]
    pub(crate) frames: bool,
    /// How long the guest may take, once it has come, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// How long the guest may take to come, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// What is known, and what the kernel says.
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}
