//! Hosts on which a file system that everything depends on is not mounted.

use crate::binary::{Ran, embedded, file, run};
use crate::this_host;
use std::process::Command;

const COLD: [&str; 2] = ["run", "pf/read-unmapped:idt:*"];

/// Runs midflight where an empty file system hides what is at `at`; `None` where that cannot be arranged.
fn without(at: &str, arguments: &[&str]) -> Option<Ran> {
    mounted("mount -t tmpfs none \"$0\"", at, &[], arguments)
}

/// Runs midflight with these variables, as root, after the command `mount` has mounted `what`, its `$0`, for
/// midflight alone; `None` where that cannot be arranged.
fn mounted(mount: &str, what: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Option<Ran> {
    let script = format!("{mount} || exit 77; exec \"$@\"");
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let namespace = if root { "-m" } else { "-rm" };
    let shell = [namespace, "sh", "-c", &script, what, env!("CARGO_BIN_EXE_midflight")];
    if Command::new("unshare").arg("--version").output().is_err() {
        eprintln!("skipped, nothing tested: there is no unshare here");
        return None;
    }
    let ran = run(Command::new("unshare").args(shell).args(arguments).envs(variables.iter().copied()));
    if ran.code == 77 || ran.stderr.starts_with("unshare: ") {
        eprintln!("skipped, nothing tested: nothing can be mounted here: {}", ran.stderr);
        return None;
    }
    Some(ran)
}

fn one_sentence(ran: &Ran, sentence: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains(sentence) && ran.stderr.lines().count() == 1, "{ran:?}");
}

#[test]
fn without_proc_there_is_one_sentence() {
    let Some(_) = embedded("pf") else { return };
    let sentence = "/proc is not mounted: midflight starts processes of its own";
    for more in [["--machine", "model"], ["--format", "json"]] {
        let Some(ran) = without("/proc", &[&COLD[..], &more].concat()) else { return };
        one_sentence(&ran, sentence);
    }
    let save = ["save", "pf/read-unmapped:fred:block@frame:migrate-process"];
    for other in [["explore", "pf/read-unmapped:fred"], ["compare", "pf"], save, ["resume", "no-such-guest"]]
    {
        one_sentence(&without("/proc", &other).unwrap(), sentence);
    }
    // What needs no process and no host still works.
    let traced = without("/proc", &["trace", "pf/read-unmapped:fred:block@frame:migrate"]).unwrap();
    assert_eq!(traced.code, 0, "{traced:?}");
    let asked = without("/proc", &["doctor", "--kvm", "/no/such/device"]).unwrap();
    assert!(asked.code == 0 && asked.stdout.contains(&format!("mounts     {sentence}")), "{asked:?}");
}

#[test]
fn without_sys_there_is_one_sentence_where_kvm_is_concerned() {
    let Some(_) = embedded("pf") else { return };
    let on_model = [&COLD[..], &["--machine", "model"]].concat();
    let Some(ran) = without("/sys", &on_model) else { return };
    assert_eq!(ran.code, 0, "{ran:?}");
    let without_kvm = [&COLD[..], &["--kvm", "/no/such/device", "--delivery", "fred"]].concat();
    assert!(!without("/sys", &without_kvm).unwrap().stderr.contains("/sys"), "there is no KVM to know of");
    let Some(_) = this_host::kvm() else { return };
    for arguments in [&COLD[..], &["run", "pf/*", "--machine", "kvm"], &["compare", "pf"]] {
        let sentence = "/sys is not mounted: /sys/module says which KVM this is";
        one_sentence(&without("/sys", arguments).unwrap(), sentence);
    }
}

#[test]
fn a_log_of_the_kernel_that_nobody_named_and_nobody_can_read_is_said_and_no_failure() {
    let Some(_) = embedded("pf") else { return };
    let arguments = ["run", "pf/read-unmapped:fred:cold", "--machine", "model"];
    let Some(ran) = without("/dev", &arguments) else { return };
    let sentence = "KERNEL: its warnings were not watched, or not all of them: /dev/kmsg: No such file";
    ran.printed(0, &[sentence]);
    let ran = without("/dev", &[&arguments[..], &["--format", "json"]].concat()).unwrap();
    let (_, summary) = ran.objects(0);
    assert!(summary["kernel_unwatched"].as_str().unwrap().contains("No such file"), "{ran:?}");
    assert_eq!(summary["kernel_warnings"], serde_json::Value::Array(Vec::new()));
    let ran = without("/dev", &[&arguments[..], &["--format", "junit"]].concat()).unwrap();
    assert!(ran.stdout.contains("<skipped"), "{ran:?}");
}

#[test]
fn root_marks_scenarios_on_kvm_in_the_kernel_s_log_by_itself_in_a_ci_and_nowhere_else() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let mark = "<6>midflight: pf/read-unmapped:idt:cold\n";
    for (ci, machine, expected) in
        [("true", "kvm", mark), ("1", "kvm", mark), ("false", "kvm", ""), ("true", "model", "")]
    {
        // It takes the place of the kernel's log.
        let log = file(&format!("kmsg-{ci}-{machine}"), b"");
        let watched = file("kmsg-watched", b"");
        let run = ["run", "pf/read-unmapped:idt:cold", "--machine", machine, "--kernel-log", &watched];
        let Some(ran) = mounted("mount --bind \"$0\" /dev/kmsg", &log, &[("CI", ci)], &run) else { return };
        assert_ne!(ran.code, 2, "{ran:?}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), expected, "CI={ci} on {machine}");
    }
}
