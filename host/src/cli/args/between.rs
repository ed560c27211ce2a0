//! Options of the commands by which one midflight serves another.

use super::{Format, MachineName, number_of_seconds, seconds};
use crate::migration::address::Address;
use crate::stops::storm::StormBounds;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The id of a scenario that cuts a guest and ends in `migrate-process`
    #[arg(
        value_name = "SCENARIO",
        requires = "to",
        required_unless_present = "listen",
        conflicts_with = "listen"
    )]
    pub scenario: Option<String>,
    /// Send the guest to whoever listens there: `-` (standard input and output), unix:PATH, tcp:HOST:PORT
    #[arg(long, value_name = "ADDRESS", requires = "scenario", conflicts_with = "listen")]
    pub to: Option<Address>,
    /// Receive one guest there: `-`, unix:PATH, tcp:PORT (loopback), tcp:ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<Address>,
    /// What a tcp listener printed; MIDFLIGHT_TOKEN is taken without it
    #[arg(long, value_name = "TOKEN", requires = "to")]
    pub token: Option<String>,
    /// The machine that cuts, or receives; without it, kvm where there is one, else the model
    #[arg(long)]
    pub machine: Option<MachineName>,
    /// Behaviour of the model; implies `--machine model`
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// Report each captured frame
    #[arg(long, requires = "to")]
    pub frames: bool,
    /// How long the scenario may take, in seconds; of a listener, once somebody has come
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// How long a listener waits for a sender, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds, requires = "listen")]
    pub wait: Duration,
    /// A list of known issues to use instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub known_issues: Option<PathBuf>,
    /// What only you know of this host: fred_series=NAME, the FRED series its KVM was built with
    #[arg(long = "host-fact", value_name = "NAME=VALUE")]
    pub host_facts: Vec<String>,
    /// The kernel's log, watched for warnings while the guest runs; without it, /dev/kmsg where it can be read
    #[arg(long, value_name = "FILE")]
    pub kernel_log: Option<PathBuf>,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// How long a scenario may take, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// Report each captured frame
    #[arg(long)]
    pub frames: bool,
    /// After so many proved cuts a storm ends
    #[arg(long, value_name = "K", default_value_t = StormBounds::DEFAULT.cuts)]
    pub storm_cuts: u32,
    /// How long a storm may last, in seconds
    #[arg(long, value_name = "T", default_value_t = StormBounds::DEFAULT.time.as_secs_f64(), value_parser = number_of_seconds)]
    pub storm_seconds: f64,
}

/// Options of `destination`.
#[derive(Debug, Args)]
pub struct DestinationArgs {
    /// The machine
    #[arg(long)]
    pub machine: MachineName,
    /// Behaviour of the model
    #[arg(long, value_name = "NAME")]
    pub behaviour: Option<String>,
}

/// Options of `keeper`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// The file
    pub path: PathBuf,
}
