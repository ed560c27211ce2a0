//! What a person at a terminal sees, and whoever is none does not.

use crate::binary::{embedded, midflight, run};
use std::process::{Command, Stdio};

/// A run of scenarios of which some fail.
const RUN: [&str; 4] =
    ["run", "pf/read-unmapped:fred:block@frame:*", "--behaviour", "kernel-only-event-data"];
/// Red, as a failure is written in colours.
const RED: &str = "\x1b[31mFAIL";
/// The beginning of the live line.
const LIVE: &str = " model [";

/// What is written to a terminal of this kind by a run, with an environment variable more; `None` without script(1).
fn on_a_terminal(kind: &str, variable: (&str, &str)) -> Option<String> {
    let words = [&[env!("CARGO_BIN_EXE_midflight")], &RUN[..]].concat();
    let line = shlex::try_join(words).unwrap();
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::null());
    for theirs in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(theirs);
    }
    command.env("TERM", kind).env(variable.0, variable.1);
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped, nothing tested: there is no script(1) here");
        return None;
    }
    let ran = run(&mut command);
    assert_eq!(ran.code, 1, "{ran:?}");
    Some(ran.stdout)
}

#[test]
fn a_terminal_shows_a_live_line_and_colours_as_far_as_it_may() {
    let Some(_) = embedded("pf") else { return };
    let plain = ("MIDFLIGHT_TEST", "1");
    let Some(seen) = on_a_terminal("xterm-256color", plain) else { return };
    assert!(
        seen.contains(RED) && seen.contains(LIVE) && seen.contains("finding out which stops work"),
        "{seen:?}"
    );
    let seen = on_a_terminal("xterm-256color", ("NO_COLOR", "1")).unwrap();
    assert!(seen.contains("FAIL: ") && seen.contains(LIVE) && !seen.contains("\x1b[3"), "{seen:?}");
    // Some value that no CI has: "true" would have the run write to the kernel's log.
    for variable in [plain, ("CI", "ours")] {
        let seen = on_a_terminal("dumb", variable).unwrap();
        assert!(seen.contains("FAIL: ") && !seen.contains(LIVE) && !seen.contains('\x1b'), "{seen:?}");
    }
    let ran = midflight(&RUN);
    ran.printed(1, &["FAIL: "]);
    assert!(!ran.stdout.contains('\x1b') && ran.stderr.is_empty(), "{ran:?}");
}
