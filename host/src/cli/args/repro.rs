//! Options of `repro`.

use super::groups::{KnownArgs, OnArgs};
use super::seconds;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `repro`.
#[derive(Args)]
pub(crate) struct ReproArgs {
    /// The id of a scenario
    pub(crate) scenario: String,
    /// The directory to make; it must not exist
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) on: OnArgs,
    /// Time limit of the scenario, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) known: KnownArgs,
}
