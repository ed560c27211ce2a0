//! The command line as it was given, for commands that repeat a part of it.

use super::args::Cli;
use crate::process::{THIS_PROGRAM, find, quoted};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was typed: the program and the options. A command made of it repeats exactly: it has every option
/// that was given, whichever options there are.
#[derive(Clone, Default)]
pub(super) struct Given {
    /// In words for a shell.
    program: String,
    options: Vec<GivenOption>,
}

#[derive(Clone)]
struct GivenOption {
    id: String,
    /// The option and its values in words for a shell.
    words: Vec<String>,
}

impl Given {
    /// What was given to the program that has parsed `matches`.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let program = match matches.get_one::<OsString>(CALLED_AS) {
            Some(called) => called.to_string_lossy().into_owned(),
            None => quoted(&program(std::env::args_os().next())),
        };
        let Some((subcommand, matches)) = matches.subcommand() else { return Self::default() };
        let options =
            options_of(subcommand).filter(|option| option.get_id() != CALLED_AS).filter_map(|option| {
                let id = option.get_id().as_str();
                let given = matches.value_source(id) == Some(ValueSource::CommandLine);
                given.then(|| GivenOption { id: id.to_owned(), words: words(&option, matches) })
            });
        Self { program, options: options.collect() }
    }

    /// A command with a `subcommand`, `more` words, and those of the options given that `subcommand` has
    /// and `without` does not name.
    pub(super) fn command<W: AsRef<OsStr>>(&self, subcommand: &str, more: &[W], without: &[&str]) -> String {
        self.repeated(subcommand, without).with(more)
    }

    /// Commands that differ in some words only.
    pub(super) fn repeated(&self, subcommand: &str, without: &[&str]) -> Repeated {
        let known: Vec<Arg> = options_of(subcommand).collect();
        let has = |id: &str| known.iter().any(|option| option.get_id() == id);
        let kept = |option: &&GivenOption| !without.contains(&option.id.as_str()) && has(&option.id);
        let options = self.options.iter().filter(kept).flat_map(|option| option.words.iter().cloned());
        Repeated { first: format!("{} {subcommand}", self.program), last: options.collect() }
    }
}

/// Commands that have the same program, subcommand and options.
pub(super) struct Repeated {
    first: String,
    last: Vec<String>,
}

impl Repeated {
    /// The one with `more` words after the subcommand.
    pub(super) fn with<W: AsRef<OsStr>>(&self, more: &[W]) -> String {
        let more = more.iter().map(|word| quoted(word.as_ref()));
        let words = std::iter::once(self.first.clone()).chain(more).chain(self.last.iter().cloned());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What a midflight is started with that does not have what was typed: the words before its own.
pub(super) const CALLED_AS: &str = "called_as";

/// The options of a subcommand, those that every one has among them.
fn options_of(subcommand: &str) -> impl Iterator<Item = Arg> {
    let cli = Cli::command();
    let own = cli.find_subcommand(subcommand).into_iter().flat_map(clap::Command::get_arguments);
    let all: Vec<Arg> =
        own.chain(cli.get_arguments().filter(|option| option.is_global_set())).cloned().collect();
    all.into_iter().filter(|option| option.get_long().is_some())
}

/// An option with its values.
fn words(option: &Arg, matches: &ArgMatches) -> Vec<String> {
    let name = format!("--{}", option.get_long().unwrap_or_default());
    if !option.get_action().takes_values() {
        return vec![name];
    }
    let occurrences = matches.get_raw_occurrences(option.get_id().as_str()).into_iter().flatten();
    let delimiter = option.get_value_delimiter().unwrap_or(',').to_string();
    occurrences
        .map(|values| {
            let value = values.collect::<Vec<_>>().join(OsStr::new(&delimiter));
            // With a sign of equality a value may begin with a dash; some options take no other.
            if value.as_bytes().starts_with(b"-") || option.is_require_equals_set() {
                format!("{name}={}", quoted(&value))
            } else {
                format!("{name} {}", quoted(&value))
            }
        })
        .collect()
}

/// This program by a name that finds it from the same directory: what was `typed`, if that does.
fn program(typed: Option<OsString>) -> OsString {
    let this = std::fs::canonicalize(THIS_PROGRAM).ok();
    let found = typed.as_deref().and_then(|typed| find(Path::new(typed)));
    let is_this = |file: PathBuf| this.is_some() && file.canonicalize().ok() == this;
    match (typed, this.clone()) {
        (Some(typed), _) if found.is_some_and(is_this) => typed,
        (_, Some(this)) => this.into(),
        // Its file is gone: what was typed is the best there is.
        (Some(typed), None) => typed,
        (None, None) => "midflight".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was given on a command line as it is typed.
    fn given(line: &str) -> Given {
        Given::of(&Cli::command().try_get_matches_from(shlex::split(line).unwrap()).unwrap())
    }

    fn words_of(command: &str) -> Vec<String> {
        shlex::split(command).unwrap().split_off(1)
    }

    #[test]
    fn a_command_has_every_option_that_was_given_and_no_default() {
        let given = given(
            "midflight --kvm '$HOME' run 'pf/*' --image 'a b' --image \"it's\" --storm-seconds=2 --frames \
             --host-fact fred_series=v9 --require kvm,fred --known-issues=-x",
        );
        let again = given.command("run", &["pf/a:idt:cold"], &["require"]);
        let expected = "midflight run pf/a:idt:cold --frames --storm-seconds 2 --known-issues=-x \
                        --host-fact fred_series=v9 --image 'a b' --image \"it's\" --kvm '$HOME'";
        let sorted = |command: &str| {
            let mut words = words_of(command);
            words.sort_unstable();
            words
        };
        assert_eq!(sorted(&again), sorted(expected), "{again}");
        // As clap has it, it is the same again.
        assert_eq!(self::given(&again).command("run", &["pf/a:idt:cold"], &[]), again);
    }

    #[test]
    fn another_command_has_what_it_knows() {
        let given = given("midflight explore pf --count 3 --timeout 2 --image x");
        let words = words_of(&given.command("run", &["id"], &[]));
        assert_eq!(words, ["run", "id", "--timeout", "2", "--image", "x"]);
    }

    #[test]
    fn values_that_were_given_in_one_word_stay_in_one() {
        let given = given("midflight compare soft --machines model,model");
        let words = words_of(&given.command("compare", &["soft"], &[]));
        assert_eq!(words, ["compare", "soft", "--machines", "model,model"]);
    }

    #[test]
    fn a_program_is_called_by_what_was_typed_only_if_that_finds_it() {
        let this = std::env::current_exe().unwrap().canonicalize().unwrap();
        for typed in [None, Some("midflight"), Some("/bin/sh"), Some("no/such/file")] {
            assert_eq!(program(typed.map(OsString::from)), this, "{typed:?}");
        }
        assert_eq!(program(Some(this.clone().into())), this);
        let called = given("midflight --called-as \"sudo 'a b' on-kernel --\" run");
        assert_eq!(called.command("run", &["id"], &[]), "sudo 'a b' on-kernel -- run id");
    }
}
