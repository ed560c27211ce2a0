//! The command line: exit codes, reports, and bad input.

use crate::binary::{embedded, file, midflight, refused};

#[test]
fn an_unknown_scenario_is_an_error() {
    if embedded("pf").is_some() {
        refused(&midflight(&["run", "pf/no-such-case:fred:cold"]), "no scenario matches");
        refused(&midflight(&["list", "nothing-like-that"]), "no scenario matches");
        refused(&midflight(&["run", "--machine", "qemu", "pf/*:fred:*"]), "no scenario is left");
    }
}

#[test]
fn a_build_without_images_says_how_to_get_them() {
    if midflight::images::EMBEDDED.is_empty() {
        refused(&midflight(&["run"]), "make images");
    }
}

#[test]
fn options_that_make_no_sense_are_errors() {
    refused(&midflight(&["run", "--behaviour", "stock", "--machine", "kvm"]), "--behaviour is for the model");
    refused(&midflight(&["run", "--behaviour", "no-such"]), "there is no behaviour `no-such`");
    refused(&midflight(&["run", "--timeout", "0"]), "seconds");
    refused(&midflight(&["run", "--machine", "abacus"]), "abacus");
    if embedded("pf").is_some() {
        refused(&midflight(&["run", "--require", "colour"]), "unknown feature");
        refused(&midflight(&["run", "--known-issues", "/no/such/file"]), "/no/such/file");
        refused(&midflight(&["run", "--host-fact", "kernel=6.1"]), "kernel is read from the host");
        refused(&midflight(&["compare", "--host-fact", "colour=blue"]), "is not a fact that can be stated");
    }
}

#[test]
fn a_missing_kvm_is_an_error_only_when_it_was_asked_for() {
    if embedded("pf").is_none() {
        return;
    }
    let without = ["--kvm", "/no/such/device"];
    let sentence = "open /no/such/device failed: No such file";
    refused(&midflight(&["run", "--machine", "kvm", without[0], without[1]]), sentence);
    refused(&midflight(&["run", "--require", "kvm", without[0], without[1]]), sentence);
    refused(&midflight(&["run", "--require", "fred", without[0], without[1]]), sentence);
    // Something that is there and is no KVM.
    refused(&midflight(&["run", "--machine", "kvm", "--kvm", "/dev/null"]), "it is no KVM");
    let ran = midflight(&["run", "pf/read-unmapped:idt:cold", without[0], without[1]]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(&format!("SKIP: 1 on kvm: {sentence}")), "{ran:?}");
}

#[test]
fn a_kvm_without_permission_is_a_sentence_with_what_helps() {
    if embedded("pf").is_none() {
        return;
    }
    // Where everybody may look.
    let directory = std::env::temp_dir().join(format!("midflight-not-for-you-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let device = directory.join("kvm");
    std::fs::write(&device, b"").unwrap();
    let mut mode = std::fs::metadata(&device).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
    std::fs::set_permissions(&device, mode).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_midflight"));
    // Root may open everything: become nobody.
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0 {
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
    }
    command.args(["run", "pf/read-unmapped:idt:cold", "--machine", "kvm", "--kvm"]).arg(&device);
    let stdio = std::process::Stdio::piped;
    let started = command.stdout(stdio()).stderr(stdio()).spawn();
    match started.map(crate::binary::finish) {
        Ok(ran) => {
            let name = device.display();
            refused(&ran, &format!("open {name} failed: Permission denied (errno 13): its mode is 0000"));
            assert!(ran.stderr.contains(&format!("`sudo chmod 666 {name}`")), "{ran:?}");
            assert!(!ran.stderr.contains("usermod"), "{ran:?}");
        }
        Err(error) => eprintln!("skipped, nothing tested: the binary cannot be run as nobody here: {error}"),
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_run_of_skips_says_that_nothing_was_tested() {
    if embedded("pf").is_some() {
        let ran = midflight(&["run", "pf/read-unmapped:fred:cold", "--kvm", "/no/such/device"]);
        assert!(!ran.stdout.contains("nothing tested"), "{ran:?}");
        let known = file("no-issues.toml", b"");
        let filter = "nm/ldtilecfg-xfd:idt:cold";
        let ran = midflight(&["run", filter, "--machine", "qemu", "--known-issues", known.to_str().unwrap()]);
        if ran.code == 0 {
            assert!(ran.stdout.contains("nothing tested"), "{ran:?}");
        }
    }
}

#[test]
fn a_wrong_behaviour_fails_with_expected_got_and_a_command() {
    if embedded("pf").is_some() {
        let id = "pf/read-unmapped:fred:block@frame:migrate";
        let ran = midflight(&["run", id, "--behaviour", "kernel-only-event-data"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.contains("event data expected 0x8000001a58, got 0x0"), "{ran:?}");
        assert!(ran.stdout.contains("the uAPI did not carry: event data"), "{ran:?}");
        let again = format!(" run {id} --machine model --behaviour kernel-only-event-data");
        assert!(ran.stdout.contains(&again), "{ran:?}");
    }
}

#[test]
fn the_model_never_excuses_anybody() {
    if embedded("pf").is_some() {
        let ran = midflight(&["run", "pf/read-unmapped:fred:cold", "--kvm", "/no/such/device"]);
        assert!(ran.stdout.contains("these results test the tests, not your KVM"), "{ran:?}");
    }
}

#[test]
fn a_known_issue_that_does_not_show_is_a_failure() {
    if embedded("pf").is_none()
        || midflight(&["run", "pf/read-unmapped:idt:cold", "--machine", "kvm"])
            .stderr
            .contains("open /dev/kvm failed")
    {
        eprintln!("skipped, nothing tested: there is no KVM here");
        return;
    }
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
    let list = list.to_str().unwrap();
    let ran = midflight(&["run", "pf/read-unmapped:idt:cold", "--machine", "kvm", "--known-issues", list]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("the known issue `imaginary` did not show"), "{ran:?}");
}

#[test]
fn the_committed_matrix_is_the_one_that_the_suite_gives() {
    if embedded("pf").is_some() {
        let ran = midflight(&["mutants", "--markdown"]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        let committed = include_str!("../../../docs/behaviours.md");
        assert!(ran.stdout == committed, "write it anew: make docs/behaviours.md");
    }
}

#[test]
fn explore_prints_schedules_that_run_replays() {
    if embedded("pf").is_none() {
        return;
    }
    let listed = midflight(&["explore", "pf/read-unmapped:fred", "--list"]).stdout;
    let ids: Vec<&str> = listed.lines().collect();
    assert!(ids.len() > 100 && ids.contains(&"pf/read-unmapped:fred:access@3,2:migrate"), "{listed}");
    let ran = midflight(&["run", ids[0], ids[ids.len() - 1], "--machine", "model"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // One of an access, and one of a pair.
    assert!(ran.stdout.contains("2 passed, 0 failed") && ran.stdout.contains("3 cuts proved"), "{ran:?}");
    let explored = midflight(&["explore", "pf/read-unmapped:fred", "--count", "40"]);
    assert_eq!(explored.code, 0, "{explored:?}");
    assert!(explored.stdout.contains("40 passed, 0 failed, 0 errors; 40 cuts proved"), "{explored:?}");
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
    let ran = midflight(&["doctor", "--kvm", "/no/such/device"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for word in ["cpu ", "kernel ", "fred ", "qemu ", "open /no/such/device failed"] {
        assert!(ran.stdout.contains(word), "{word}: {ran:?}");
    }
    assert!(midflight(&["--version"]).stdout.starts_with("midflight "));
}
