//! The command line: exit codes, reports, and bad input.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod midflight_binary;

use midflight_binary::{Ran, embedded, file, midflight};
use serde_json::Value;

fn refused(ran: &Ran, sentence: &str) {
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains(sentence), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

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
        refused(&midflight(&["run", "--require", "colour"]), "there is no such need");
        refused(&midflight(&["run", "--known-issues", "/no/such/file"]), "/no/such/file");
        refused(&midflight(&["run", "--host-fact", "kernel=6.1"]), "kernel is what the host says of itself");
        refused(&midflight(&["compare", "--host-fact", "colour=blue"]), "is no fact that can be stated");
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
    match started.map(midflight_binary::finish) {
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
fn json_is_one_object_per_scenario_and_one_more() {
    if embedded("pf").is_none() {
        return;
    }
    let ran =
        midflight(&["run", "pf/read-unmapped:fred:*", "--machine", "model", "--format", "json", "--frames"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let objects: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, scenarios) = objects.split_last().unwrap();
    let listed = midflight(&["list", "pf/read-unmapped:fred:*"]);
    // As they end, whichever was begun first.
    let mut ids: Vec<&str> = scenarios.iter().map(|object| object["id"].as_str().unwrap()).collect();
    let mut all: Vec<&str> = listed.stdout.lines().collect();
    ids.sort_unstable();
    all.sort_unstable();
    assert_eq!(ids, all);
    assert!(summary["ended_by"].is_null() && summary["not_run"] == 0, "{summary}");
    const KEYS: [&str; 16] = [
        "id",
        "image",
        "case",
        "machine",
        "delivery",
        "payload",
        "behaviour",
        "stop",
        "action",
        "outcome",
        "reason",
        "cut",
        "expected",
        "got",
        "duration_us",
        "frames",
    ];
    for object in scenarios {
        for key in KEYS {
            assert!(object.get(key).is_some(), "{key} is missing in {object}");
        }
    }
    let cut = scenarios.iter().find(|object| object["stop"] == "block@frame").unwrap();
    assert_eq!(cut["cut"], "queue");
    let cancelled = scenarios.iter().find(|object| object["stop"] == "cancel").unwrap();
    assert_eq!(cancelled["cut"], "synthetic");
    let cold = scenarios.iter().find(|object| object["stop"] == "cold").unwrap();
    assert!(cold["cut"].is_null());
    let frame: Vec<&str> = cut["frames"][0].as_str().unwrap().split(' ').collect();
    assert_eq!(frame[..4], ["FRAME", "pf/read-unmapped", "0", "fred"]);
    assert_eq!(frame.len(), 15);
    assert_eq!(frame[9], "0203000e00000010");
    assert_eq!(summary["totals"]["pass"], scenarios.len());
    assert!(summary["host"]["kernel"].is_string());
}

#[test]
fn a_repeated_scenario_is_one_report_with_the_cuts_of_all_runs() {
    if embedded("pf").is_none() {
        return;
    }
    let id = "pf/read-unmapped:fred:block@frame:resume";
    let arguments = ["run", id, "--machine", "model", "--repeat", "5", "--format", "json"];
    let ran = midflight(&arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let objects: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [report, summary] = &objects[..] else { panic!("{ran:?}") };
    for (key, number) in [("runs", 5), ("runs_alike", 5), ("cuts", 5)] {
        assert_eq!(report[key], number, "{key}");
    }
    assert_eq!((&summary["totals"]["pass"], &summary["totals"]["cuts"]), (&Value::from(1), &Value::from(5)));
    let ran = midflight(&["run", id, "--behaviour", "kernel-only-event-data", "--repeat", "2"]);
    assert_eq!(ran.code, 0, "it survives without migration: {ran:?}");
    let id = id.replace("resume", "migrate");
    let ran = midflight(&["run", &id, "--behaviour", "kernel-only-event-data", "--repeat", "3"]);
    assert!(ran.code == 1 && ran.stdout.contains("in 3 of 3 runs"), "{ran:?}");
    refused(&midflight(&["run", &id, "--repeat", "0"]), "--repeat");
}

#[test]
fn a_storm_lasts_as_long_as_asked() {
    let probe = ["run", "pf/read-unmapped:idt:cold", "--machine", "kvm"];
    if embedded("pf").is_none() || midflight(&probe).stderr.contains("open /dev/kvm failed") {
        eprintln!("skipped, nothing tested: there is no KVM or no image here");
        return;
    }
    let storm = ["run", "pf/read-unmapped:idt:storm:migrate", "--machine", "kvm", "--format", "json"];
    let few = midflight(&[&storm[..], &["--storm-cuts", "1000000", "--storm-seconds", "0.3"]].concat());
    assert_eq!(few.code, 2, "{few:?}");
    assert!(few.stdout.contains("1000000 were wanted; "), "{few:?}");
    let said = few.stdout.contains("signals ended KVM_RUN before the handler, ");
    assert!(said && few.stdout.contains("the last found it at "), "{few:?}");
    let ran = midflight(&[&storm[..], &["--storm-cuts", "2", "--storm-seconds", "9.5"]].concat());
    let report: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert!(ran.code != 0 || report["cuts"] == 2, "{ran:?}");
    let late = [&storm[..], &["--storm-seconds", "10", "--timeout", "10"]].concat();
    refused(&midflight(&late), "--storm-seconds must be less than --timeout");
}

#[test]
fn junit_is_written() {
    if embedded("pf").is_some() {
        let ran = midflight(&["run", "pf/read-unmapped:fred:*", "--machine", "model", "--format", "junit"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.starts_with("<?xml") && ran.stdout.contains("failures=\"0\""), "{ran:?}");
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
            failure = "entries expected 0x1, got 0x0"
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
        let committed = include_str!("../../docs/behaviours.md");
        assert!(ran.stdout == committed, "write it anew: make docs/behaviours.md");
    }
}

#[test]
fn trace_follows_a_guest_into_another_process() {
    if embedded("pf").is_none() {
        return;
    }
    for id in [
        "pf/read-unmapped:fred:block@frame:migrate-process",
        "pf/read-unmapped:fred:block@frame:migrate-process+again=1",
    ] {
        let ran = midflight(&["trace", id]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let (before, after) = ran.stdout.split_once("the guest goes through a stream").unwrap();
        assert!(before.contains("driver       cut at pf.read-unmapped.act"), "{ran:?}");
        assert!(
            after.contains("machine      a fresh VM") && after.contains("handler      entered at"),
            "{ran:?}"
        );
        assert_eq!(
            after.matches("the guest goes through a stream").count(),
            usize::from(id.contains("again"))
        );
    }
}

#[test]
fn trace_tells_where_the_event_data_went() {
    if embedded("pf").is_none() {
        return;
    }
    let id = "pf/read-unmapped:fred:block@frame:migrate";
    let ran = midflight(&["trace", id, "--behaviour", "kernel-only-event-data"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let mut rest = ran.stdout.as_str();
    for line in [
        "driver       armed at pf.read-unmapped.act",
        "REFUSED by the second stage",
        "interrupted  #PF (14) HardwareException, error code 0x0, event data 0x8000001a58",
        "driver       cut at pf.read-unmapped.act",
        "machine      a fresh VM",
        "SET_VCPU_EVENTS  exception nr=14 pending=0 injected=1 error_code=0x0 has_payload=0",
        "inject       #PF (14) HardwareException, error code 0x0, event data 0x0",
        "handler      entered at",
        "lost         event data of the injected exception",
    ] {
        let (_, behind) = rest.split_once(line).unwrap_or_else(|| panic!("{line}: {ran:?}"));
        rest = behind;
    }
    assert_eq!(midflight(&["trace", "pf/"]).code, 2);
    assert_eq!(midflight(&["trace", "pf/read-unmapped:fred:access@3,2:migrate"]).code, 0);
}

#[test]
fn what_keeps_interrupts_and_nmis_out_is_shown_at_the_cut_and_in_a_trace() {
    if embedded("sti").is_none() {
        return;
    }
    for (id, words) in [
        ("sti/pf:fred:block@frame:migrate", "in the interrupt shadow of STI"),
        ("nmi/blocked-after-pf:fred:block@frame:migrate", "NMIs blocked"),
    ] {
        let ran = midflight(&["trace", id]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for start in ["instruction  ", "queue        after the requeue: "] {
            let shown = |line: &str| line.starts_with(start) && line.ends_with(words);
            assert!(ran.stdout.lines().any(shown), "{start}: {ran:?}");
        }
        let failed = midflight(&["run", id, "--behaviour", "kernel-only-event-data"]);
        assert_eq!(failed.code, 1, "{failed:?}");
        let shown = |line: &str| line.contains("the queue at the cut: #PF (14)") && line.contains(words);
        assert!(failed.stdout.lines().any(shown), "{failed:?}");
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
