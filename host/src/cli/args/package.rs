//! Options of the commands that packages are made with.

use clap::Args;
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Options of `man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// The command whose page is printed; without one, midflight's own, which names all commands
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}
