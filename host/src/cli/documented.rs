//! The commands that the documentation shows are ones that this midflight takes.

use super::args::Cli;
use clap::{Command, CommandFactory};
use std::fs;
use std::path::{Path, PathBuf};

/// README.md, CONTRIBUTING.md and docs/*.md: name and text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> =
        fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect()
}

/// The commands of a page's blocks for a shell, a line each.
fn shell_lines(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines =
        blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.trim().is_empty()).collect()
}

/// What midflight gets in a line: its words, for each time that it is started.
fn started(line: &str) -> Vec<Vec<String>> {
    let Some(words) = shlex::split(line) else { panic!("a shell cannot read: {line}") };
    let of_program = |words: &[String]| {
        let at = words.iter().position(|word| word == "midflight" || word.ends_with("/midflight"))?;
        let end = |word: &String| [">", "<", "2>&1"].contains(&word.as_str()) || word.starts_with('#');
        Some(words[at..].iter().take_while(|word| !end(word)).cloned().collect())
    };
    words.split(|word| ["|", "&&", ";"].contains(&word.as_str())).filter_map(of_program).collect()
}

/// The commands that stand in a page's text between backticks: `midflight run …`.
fn mentioned(page: &str) -> Vec<&str> {
    let outside_blocks = page.split("```").step_by(2);
    let spans = outside_blocks.flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.filter(|span| span.starts_with("midflight ") || span.contains("/midflight ")).collect()
}

#[test]
fn every_command_in_a_block_is_one_that_midflight_takes() {
    let mut count = 0;
    for (name, text) in pages() {
        for line in shell_lines(&text) {
            for words in started(&line) {
                let taken = Cli::command().try_get_matches_from(&words);
                assert!(taken.is_ok(), "{name}: {line}\n{}", taken.unwrap_err());
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count} commands were found");
}

#[test]
fn every_command_in_a_sentence_has_options_that_midflight_has() {
    let whole = Cli::command();
    let mut count = 0;
    for (name, text) in pages() {
        for span in mentioned(&text) {
            let words: Vec<&str> =
                span.split_whitespace().skip_while(|word| !word.ends_with("midflight")).collect();
            let has = |command: Option<&Command>, option: &str| {
                let arguments = command.into_iter().chain([&whole]).flat_map(Command::get_arguments);
                let names: Vec<_> = arguments.filter_map(clap::Arg::get_long).collect();
                ["help", "version"].contains(&option) || names.contains(&option)
            };
            let Some(first) = words.get(1).filter(|word| !word.starts_with(['-', '…'])) else { continue };
            let command = whole.find_subcommand(first.trim_end_matches(','));
            // Both are explained where they are mentioned: the former names.
            assert!(command.is_some() || **first == *"COMMAND", "{name}: `{span}`");
            // After `--` the options are those of the midflight that is started.
            let own = words.iter().skip(2).take_while(|word| **word != "--");
            for option in own.filter_map(|word| word.trim_start_matches('[').strip_prefix("--")) {
                let option =
                    option.split(|at: char| !at.is_ascii_alphanumeric() && at != '-').next().unwrap();
                assert!(has(command, option), "{name}: `{span}`: --{option}");
                count += 1;
            }
        }
    }
    assert!(count > 5, "{count} options were found");
}

/// A block's make targets are the Makefile's.
#[test]
fn every_make_target_exists() {
    let makefile = include_str!("../../../Makefile");
    let mut count = 0;
    for (name, text) in pages() {
        for line in shell_lines(&text).iter().filter(|line| line.starts_with("make ")) {
            for target in
                line.split_whitespace().skip(1).filter(|word| !word.contains('=') && !word.starts_with('-'))
            {
                // `-C` and its directory belong to another tree.
                let ours = !line.contains(" -C ");
                assert!(!ours || makefile.contains(&format!("\n{target}:")), "{name}: {line}");
                count += 1;
            }
        }
    }
    assert!(count > 5, "{count} targets were found");
}
