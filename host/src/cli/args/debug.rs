//! Options of `debug`.

use super::groups::OnArgs;
use super::seconds;
use clap::Args;
use std::time::Duration;

/// Options of `debug`.
#[derive(Args)]
pub(crate) struct DebugArgs {
    /// The id of a scenario
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) on: OnArgs,
    /// Where gdb is waited for: HOST:PORT, where port 0 is a free one, or the path of a Unix socket, with a `/`
    #[arg(long, value_name = "PLACE", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// How long gdb may take to connect, and may be silent, in seconds
    #[arg(long, value_name = "S", default_value = "3600", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// Time limit of the guest, in seconds, without the time that gdb takes
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}
