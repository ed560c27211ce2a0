//! The command line: exit codes, reports, and bad input.

use crate::binary::{self, embedded, file, midflight};
use crate::this_host;

#[test]
fn an_unknown_scenario_is_an_error() {
    let Some(_) = embedded("pf") else { return };
    midflight(&["run", "pf/no-such-case:fred:cold"]).refused("no scenario matches");
    midflight(&["list", "nothing-like-that"]).refused("no scenario matches");
    midflight(&["run", "--machine", "qemu", "pf/*:fred:*"]).refused("no scenario is left");
}

#[test]
fn a_build_without_images_says_how_to_get_them() {
    if midflight::images::EMBEDDED.is_empty() {
        midflight(&["run"]).refused("make images");
    }
}

#[test]
fn options_that_make_no_sense_are_errors() {
    midflight(&["run", "--behaviour", "stock", "--machine", "kvm"]).refused("--behaviour is for the model");
    midflight(&["run", "--behaviour", "no-such"]).refused("there is no behaviour `no-such`");
    midflight(&["run", "--timeout", "0"]).refused("seconds");
    midflight(&["run", "--machine", "abacus"]).refused("abacus");
    let Some(_) = embedded("pf") else { return };
    midflight(&["run", "--require", "colour"]).refused("unknown feature");
    midflight(&["run", "--known-issues", "/no/such/file"]).refused("/no/such/file");
    midflight(&["run", "--host-fact", "kernel=6.1"]).refused("kernel is read from the host");
    midflight(&["compare", "--host-fact", "colour=blue"]).refused("is not a fact that can be stated");
}

#[test]
fn a_missing_kvm_is_an_error_only_when_it_was_asked_for() {
    let Some(_) = embedded("pf") else { return };
    let without = ["--kvm", "/no/such/device"];
    let sentence = "open /no/such/device failed: No such file";
    midflight(&["run", "--machine", "kvm", without[0], without[1]]).refused(sentence);
    midflight(&["run", "--require", "kvm", without[0], without[1]]).refused(sentence);
    midflight(&["run", "--require", "fred", without[0], without[1]]).refused(sentence);
    // Something that is there and is no KVM.
    midflight(&["run", "--machine", "kvm", "--kvm", "/dev/null"]).refused("it is no KVM");
    let ran = midflight(&["run", "pf/read-unmapped:idt:cold", without[0], without[1]]);
    ran.printed(0, &[&format!("SKIP: 1 on kvm: {sentence}")]);
}

#[test]
fn a_kvm_without_permission_is_a_sentence_with_what_helps() {
    let Some(_) = embedded("pf") else { return };
    // Where everybody may look.
    let directory = std::env::temp_dir().join(format!("midflight-not-for-you-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let device = directory.join("kvm");
    std::fs::write(&device, b"").unwrap();
    let mut mode = std::fs::metadata(&device).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
    std::fs::set_permissions(&device, mode).unwrap();
    let mut command = binary::program();
    // Root may open everything: become nobody.
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0 {
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
    }
    command.args(["run", "pf/read-unmapped:idt:cold", "--machine", "kvm", "--kvm"]).arg(&device);
    let stdio = std::process::Stdio::piped;
    match command.stdout(stdio()).stderr(stdio()).spawn().map(binary::finish) {
        Ok(ran) => {
            let name = device.display();
            ran.refused(&format!("open {name} failed: Permission denied (errno 13): its mode is 0000"));
            assert!(ran.stderr.contains(&format!("`sudo chmod 666 {name}`")), "{ran:?}");
            assert!(!ran.stderr.contains("usermod"), "{ran:?}");
        }
        Err(error) => eprintln!("skipped, nothing tested: the binary cannot be run as nobody here: {error}"),
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_run_of_skips_says_that_nothing_was_tested() {
    let Some(_) = embedded("pf") else { return };
    let ran = midflight(&["run", "pf/read-unmapped:fred:cold", "--kvm", "/no/such/device"]);
    assert!(!ran.stdout.contains("nothing tested"), "{ran:?}");
    // The model never excuses anybody.
    assert!(ran.stdout.contains("these results test the tests, not your KVM"), "{ran:?}");
    let known = file("no-issues.toml", b"");
    let filter = "nm/ldtilecfg-xfd:idt:cold";
    let ran = midflight(&["run", filter, "--machine", "qemu", "--known-issues", &known]);
    if ran.code == 0 {
        assert!(ran.stdout.contains("nothing tested"), "{ran:?}");
    }
}

#[test]
fn a_wrong_behaviour_fails_with_expected_got_and_a_command() {
    let Some(_) = embedded("pf") else { return };
    let id = "pf/read-unmapped:fred:block@frame:migrate";
    let again = format!(" run {id} --machine model --behaviour kernel-only-event-data");
    let difference = "event data expected 0x8000001a58, got 0x0";
    midflight(&["run", id, "--behaviour", "kernel-only-event-data"])
        .printed(1, &[difference, "the uAPI did not carry: event data", &again]);
}

#[test]
fn a_known_issue_that_does_not_show_is_a_failure() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let list = file(
        "imaginary.toml",
        br#"
            [[issue]]
            name = "imaginary"
            machine = "kvm"
            scenarios = ["pf/read-unmapped:idt:cold"]
            field = [{ name = "entries", expected = 1, got = 0 }]
            host = { kvm_module = ["kvm"] }
            reason = "none"
            reference = "none"
        "#,
    );
    midflight(&["run", "pf/read-unmapped:idt:cold", "--machine", "kvm", "--known-issues", &list])
        .printed(1, &["the known issue `imaginary` did not show"]);
}

#[test]
fn the_committed_matrix_is_the_one_that_the_suite_gives() {
    let Some(_) = embedded("pf") else { return };
    let ran = midflight(&["mutants", "--markdown"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let committed = include_str!("../../../docs/behaviours.md");
    assert!(ran.stdout == committed, "write it anew: make docs/behaviours.md");
}

#[test]
fn explore_prints_schedules_that_run_replays() {
    let Some(_) = embedded("pf") else { return };
    let listed = midflight(&["explore", "pf/read-unmapped:fred", "--list"]).stdout;
    let ids: Vec<&str> = listed.lines().collect();
    let pair = "pf/read-unmapped:fred:access@3,2:migrate";
    let of_return = ids[ids.len() - 1];
    assert!(ids.len() > 100 && ids.contains(&pair) && of_return.contains(":return@"), "{listed}");
    // One of an access, one of a pair, and one of the event return.
    let ran = midflight(&["run", ids[0], pair, of_return, "--machine", "model"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("3 passed, 0 failed") && ran.stdout.contains("4 cuts proved"), "{ran:?}");
    let explored = midflight(&["explore", "pf/read-unmapped:fred", "--count", "40"]);
    explored.printed(0, &["40 passed, 0 failed, 0 errors; 40 cuts proved"]);
    // Cases in which the host injects as well: at `Armed`, and into the cut.
    // Twelve accesses with four actions each, then pairs of two cuts; of more accesses than a hundred
    // schedules hold, none of the pairs.
    for (case, cuts) in
        [("nmi/nmi:fred", 152), ("nmi/after-pf:fred", 152), ("nmi/interrupt-after-sti:idt", 100)]
    {
        let explored = midflight(&["explore", case, "--count", "100"]);
        let total = format!("100 passed, 0 failed, 0 errors; {cuts} cuts proved");
        assert!(explored.stdout.contains(&total), "{explored:?}");
    }
    let id = "db/single-step:fred:access@4:resume";
    assert_eq!(midflight(&["run", id, "--behaviour", "drop-and-regenerate"]).code, 1);
}

#[test]
fn doctor_and_version_answer_on_every_host() {
    midflight(&["doctor", "--kvm", "/no/such/device"])
        .printed(0, &["cpu ", "kernel ", "fred ", "qemu ", "open /no/such/device failed"]);
    assert!(midflight(&["--version"]).stdout.starts_with("midflight "));
}
