//! What a package takes along: completions and manual pages.

use crate::binary::{directory, midflight, run};
use std::process::Command;

const COMMANDS: [&str; 3] = ["run", "on-kernel", "completions"];

#[test]
fn each_shell_gets_completions_and_no_hidden_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = midflight(&["completions", shell]);
        ran.printed(0, &COMMANDS);
        ran.printed(0, &["behaviour", "storm-cuts"]);
        for hidden in ["destination", "worker", "nested", "called-as"] {
            let text = ran.stdout.replace("qemu-destination", "");
            assert!(!text.contains(hidden), "{shell}: {hidden}");
        }
    }
    midflight(&["completions", "tcsh"]).refused("invalid value 'tcsh'");
}

#[test]
fn bash_completes_with_them() {
    let script = directory("completions").join("midflight.bash");
    std::fs::write(&script, midflight(&["completions", "bash"]).stdout).unwrap();
    let complete = |words: &[&str]| {
        let code = r#". "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));
            _midflight midflight "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[*]}""#;
        run(Command::new("bash").args(["-c", code, "bash"]).arg(&script).args(words)).stdout
    };
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped, nothing tested: there is no bash here");
        return;
    }
    assert_eq!(complete(&["midflight", "res"]).trim(), "resume");
    assert_eq!(complete(&["midflight", "run", "--beh"]).trim(), "--behaviour");
    assert_eq!(complete(&["midflight", "run", "--delivery", "f"]).trim(), "fred");
}

#[test]
fn each_command_has_a_page_with_all_its_options() {
    let whole = midflight(&["man"]).stdout;
    let named = whole.lines().filter_map(|line| line.strip_prefix("midflight\\-")?.strip_suffix("(1)"));
    let commands: Vec<String> = named.map(|name| name.replace('\\', "")).collect();
    assert!(COMMANDS.iter().all(|command| commands.iter().any(|name| name == command)), "{commands:?}");
    for command in &commands {
        let page = midflight(&["man", command]);
        page.printed(0, &[&format!(".TH midflight-{command} 1 "), ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"]);
        let help = midflight(&[command.as_str(), "--help"]).stdout;
        let options = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        // What follows a name may be `,`, `[=<FILE>]`.
        for option in options
            .map(|word| word.split(|at: char| !(at.is_ascii_alphanumeric() || at == '-')).next().unwrap())
        {
            assert!(page.stdout.contains(&option.replace('-', "\\-")), "{command}: {option}");
        }
    }
    midflight(&["man", "worker"]).refused("there is no command `worker`; the commands are run, ");
}

/// With a formatter at hand, the pages are what it understands.
#[test]
fn the_pages_are_formatted_without_a_warning() {
    let page = directory("man").join("midflight.1");
    for command in [&["man"][..], &["man", "run"]] {
        std::fs::write(&page, midflight(command).stdout).unwrap();
        let formatted =
            Command::new("man").args(["--warnings", "-l"]).arg(&page).env("MANPAGER", "cat").output();
        match formatted {
            Ok(output) if output.status.success() => {
                assert_eq!(String::from_utf8_lossy(&output.stderr), "");
                assert!(String::from_utf8_lossy(&output.stdout).contains("NAME"), "{output:?}");
            }
            other => eprintln!("skipped, nothing tested: man cannot format a page here: {other:?}"),
        }
    }
}
