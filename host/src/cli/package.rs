//! `midflight completions` and `midflight man`: what a package takes along, made of the command line's description.

use super::CliError;
use super::args::{Cli, CompletionsArgs, ManArgs};
use crate::version;
use clap::builder::StyledStr;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io::{Write, stdout};

/// The program's name.
const PROGRAM: &str = "midflight";

pub(super) fn completions(args: &CompletionsArgs) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), PROGRAM, &mut script);
    print(&script)
}

pub(super) fn man(args: &ManArgs) -> Result<u8, CliError> {
    let mut whole = visible();
    // Gives each command the options that every one has, and its name with midflight's before it.
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => whole.find_subcommand(name).cloned().ok_or_else(|| no_such(&whole, name))?,
    };
    let mut page = Vec::new();
    let title = command.get_display_name().unwrap_or(PROGRAM).to_owned();
    let man = Man::new(command.version(version::VERSION))
        .title(title)
        .source(format!("{PROGRAM} {}", version::VERSION));
    man.date(version::DATE).render(&mut page)?;
    print(&page)
}

/// The command line without what is hidden from people.
fn visible() -> Command {
    let whole = Cli::command();
    Command::new(PROGRAM)
        .about(text(whole.get_about()))
        .after_help(text(whole.get_after_help()))
        .disable_help_subcommand(true)
        .version(version::VERSION)
        .args(whole.get_arguments().filter(|option| !option.is_hide_set()))
        .subcommands(whole.get_subcommands().filter(|command| !command.is_hide_set()))
}

fn text(styled: Option<&StyledStr>) -> StyledStr {
    styled.cloned().unwrap_or_default()
}

fn no_such(whole: &Command, name: &str) -> CliError {
    let names: Vec<_> = whole.get_subcommands().map(Command::get_name).collect();
    CliError::Usage(format!("there is no command `{name}`; the commands are {}", names.join(", ")))
}

fn print(bytes: &[u8]) -> Result<u8, CliError> {
    let mut output = stdout().lock();
    output.write_all(bytes)?;
    output.flush()?;
    Ok(0)
}
