//! Options of the commands by which one midflight serves another.

use super::groups::StormArgs;
use super::{MachineName, seconds};
use clap::Args;
use std::time::Duration;

/// Options of `worker`.
#[derive(Args)]
pub(crate) struct WorkerArgs {
    /// How long a scenario may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Report each captured frame
    #[arg(long)]
    pub(crate) frames: bool,
    /// How long storms last.
    #[command(flatten)]
    pub(crate) storm: StormArgs,
}

/// Options of `destination`.
#[derive(Args)]
pub(crate) struct DestinationArgs {
    /// The machine
    #[arg(long)]
    pub(crate) machine: MachineName,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
}
