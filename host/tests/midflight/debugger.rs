//! `midflight debug`, with the real gdb where there is one.

use crate::binary::{Ran, directory, embedded, finish, midflight, program, start};
use crate::this_host;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Whether gdb is in PATH; says so where it is not.
fn gdb_is_here() -> bool {
    let ran = Command::new("gdb").arg("--version").stdin(Stdio::null()).output();
    let here = ran.is_ok_and(|ran| ran.status.success());
    if !here {
        eprintln!("skipped, nothing tested: no gdb is in PATH (on Debian: apt install gdb)");
    }
    here
}

/// A midflight that waits for gdb, and where.
fn waiting(arguments: &[&str]) -> (Child, String) {
    let mut child = start(program().arg("debug").args(arguments).stdin(Stdio::null()));
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut place = None;
    let mut line = String::new();
    while place.is_none() && errors.read_line(&mut line).unwrap() > 0 {
        let command =
            line.split_once("target remote ").map(|(_, rest)| rest.trim_end().trim_end_matches('\''));
        place = command.map(str::to_owned);
        line.clear();
    }
    // What else it says is read, so that it never waits for that.
    std::thread::spawn(move || errors.read_to_end(&mut Vec::new()));
    (child, place.unwrap())
}

/// What gdb prints for these commands, and how midflight ends.
fn debugged(arguments: &[&str], commands: &[&str]) -> (String, Ran) {
    let (child, place) = waiting(arguments);
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", &format!("target remote {place}")]);
    gdb.args(commands.iter().flat_map(|command| ["-ex", *command]));
    let ran = finish(start(gdb.stdin(Stdio::null())));
    (format!("{}{}", ran.stdout, ran.stderr), finish(child))
}

/// Checks that a text has these parts in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}: {text}"));
        rest = after;
    }
}

const ID: &str = "pf/read-unmapped:fred:block@frame:migrate";

#[test]
fn gdb_looks_at_a_cut_guest_and_lets_it_run_to_its_judge() {
    if embedded("pf").is_none() || !gdb_is_here() {
        return;
    }
    let commands = [
        "info symbol $pc",
        "x/i $pc",
        "frame",
        "info registers rip rdi cs",
        "x/1xg 0x8000001a58",
        "set var $rax = 1",
        "monitor queue",
        "continue",
        "monitor queue",
        "info symbol $pc",
        "continue",
    ];
    let arguments = [ID, "--behaviour", "kernel-only-event-data", "--wait", "120"];
    let (said, ran) = debugged(&arguments, &commands);
    in_order(
        &said,
        &[
            // gdb writes the name as one of another language.
            "pf.read-unmapped",
            " in section",
            "mov    (%rdi),%rbx",
            "#0 ",
            "pf.read-unmapped",
            "rip            0x",
            "rdi            0x8000001a58",
            "cs             0x8 ",
            "[Inferior 1 (process 1) exited with code 01]",
            // What it prints on standard error.
            "Cannot access memory at address 0x8000001a58",
            "Could not write registers",
            "stopped in the delivery at pf.read-unmapped.act",
            "the queue at the cut: #PF (14) pending=0 injected=1 error_code=0x0",
            "judged at ",
        ],
    );
    ran.printed(1, &["event data expected 0x8000001a58, got 0x0", "again: "]);
    assert!(ran.stdout.contains("  event data 0x0000000000000000 (linear address)"), "{ran:?}");
}

#[test]
fn gdb_may_leave_and_the_guest_is_judged_all_the_same() {
    if embedded("pf").is_none() || !gdb_is_here() {
        return;
    }
    let socket = directory("debug-socket").join("gdb");
    let arguments = [ID, "--machine", "model", "--wait", "120", "--listen", socket.to_str().unwrap()];
    let (said, ran) = debugged(&arguments, &["info registers rip", "detach"]);
    assert!(said.contains("pf.read-unmapped"), "{said}");
    ran.printed(0, &["PASS: pf/read-unmapped:fred:block@frame:migrate on model"]);
    assert!(!socket.exists(), "the socket goes with its midflight");
}

#[test]
fn gdb_looks_at_a_guest_of_kvm() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    if !gdb_is_here() {
        return;
    }
    let commands = ["info registers cs", "x/i 'pf.read-unmapped.act'", "continue", "monitor", "continue"];
    let arguments = ["pf/read-unmapped:idt:cold", "--machine", "kvm", "--wait", "120"];
    let (said, ran) = debugged(&arguments, &commands);
    in_order(&said, &["cs             0x8 ", "mov    (%rdi),%rbx", "exited normally]", "judged at "]);
    ran.printed(0, &["PASS: pf/read-unmapped:idt:cold on kvm"]);
}

#[test]
fn nobody_is_waited_for_longer_than_asked() {
    let Some(_) = embedded("pf") else { return };
    midflight(&["debug", ID, "--machine", "model", "--wait", "0.3"]).refused("nobody connected within 0.3 s");
    // Somebody who connects and says nothing.
    let (child, place) = waiting(&[ID, "--machine", "model", "--wait", "0.5"]);
    let silent = TcpStream::connect(place).unwrap();
    assert_eq!(finish(child).code, 2);
    drop(silent);
    midflight(&["debug", "pf/", "--machine", "model"]).refused("debug stops one");
    midflight(&["debug", ID, "--machine", "model", "--listen", "/nonexistent/x"])
        .refused("--listen /nonexistent/x");
    midflight(&["debug", ID, "--machine", "bochs"]).refused("bochs takes none");
}
