//! `midflight compare`: two machines beside each other, and guests that migrate between them.

use crate::binary::{Ran, embedded, file, midflight};
use crate::this_host;
use midflight::report::facts::HostFacts;
use serde_json::Value;

const MODELS: [&str; 2] = ["--machines", "model,model"];

fn compare(arguments: &[&str]) -> Ran {
    midflight(&[&["compare"], arguments].concat())
}

fn models(arguments: &[&str]) -> Ran {
    compare(&[&MODELS, arguments].concat())
}

#[test]
fn arguments_that_make_no_sense_are_sentences() {
    let refused = |arguments: &[&str], sentence: &str| compare(arguments).refused(sentence);
    refused(&["--machines", "kvm"], "--machines names 1 machines; it needs two, as in kvm,model");
    refused(&["--machines", "kvm,model,model"], "--machines names 3 machines");
    refused(&["--machines", "model,qemu", "--migrate"], "guests do not migrate to or from qemu");
    refused(&["--machines", "kvm,abacus"], "abacus");
    refused(&["--behaviour", "no-such"], "there is no behaviour `no-such`");
    refused(&["--machines", "kvm,kvm", "--behaviour", "stock"], "--behaviour is for the model");
    refused(&["--format", "junit"], "junit");
    let Some(_) = embedded("pf") else { return };
    refused(&["no-such"], "`no-such` is neither an image nor a file; there are ac, beyond,");
    refused(&["--case", "no-such"], "there is no case `no-such`");
    refused(&["--kvm", "/no/such/device"], "open /no/such/device failed: No such file");
    refused(&["--kvm", "/dev/null", "--migrate"], "it is no KVM");
    refused(&["--known-issues", "/no/such/file"], "/no/such/file");
    let level = ["level", "--delivery", "idt", MODELS[0], MODELS[1]];
    refused(&level, "no scenario is left to run on two machines");
    let garbage = file("garbage", b"no image");
    refused(&[&garbage], "is not a complete ELF file");
}

#[test]
fn two_models_agree_about_every_case() {
    let Some(_) = embedded("pf") else { return };
    let (comparisons, summary) = models(&["--format", "json"]).objects(0);
    assert!(comparisons.len() > 100 && summary["totals"]["pass"] == comparisons.len(), "{summary}");
    for one in &comparisons {
        // A guest that is shut down never comes to `Done`.
        let doorbells = if one["image"] == "shutdown" { 2 } else { 3 };
        assert_eq!(one["doorbells"], doorbells, "{one}");
        assert!(one["compared"].as_u64().is_some_and(|compared| compared > 180), "{one}");
    }
}

#[test]
fn an_image_file_is_compared_as_well() {
    if let Some(bytes) = embedded("pf") {
        let image = file("pf-to-compare", &bytes);
        models(&[&image, "--case", "read-unmapped"])
            .printed(0, &["\n2 the same, 0 different", "These results test the tests, not your KVM."]);
    }
}

#[test]
fn the_first_difference_is_told_with_both_frames() {
    let Some(_) = embedded("soft") else { return };
    let arguments = ["soft", "--case", "int1", "--behaviour", "int1-retyped"];
    let lines = [
        "DIFFERENT: soft/int1:fred at Done",
        "  ! SS                 model                 0x1205000100000010 (selector 0x10, vector 1, type 5 privileged",
        "model (int1-retyped)  0x0203000100000010 (selector 0x10, vector 1, type 3 hardware exception, length 0,",
        "        RIP                soft.int1.last",
        "1 the same, 1 different, 0 with known",
        " compare soft --case int1 --delivery fred --machines 'model,model' --behaviour int1-retyped",
    ];
    models(&arguments).printed(1, &lines);
    let (comparisons, _) = models(&[&arguments[..], &["--format", "json"]].concat()).objects(1);
    let different = comparisons.iter().find(|one| one["outcome"] == "fail").unwrap();
    assert_eq!(different["differences"][0]["field"], "delivery 0: SS");
    assert_eq!(different["differences"][0]["second"], "0x203000100000010");
    assert_eq!(different["deliveries"][0].as_array().unwrap().len(), 42);
}

#[test]
fn a_guest_that_never_gets_to_done_is_a_difference() {
    let Some(_) = embedded("db") else { return };
    let (comparisons, summary) = models(&["--behaviour", "delivered-twice", "--format", "json"]).objects(1);
    assert!(summary["totals"]["fail"].as_u64().is_some_and(|fail| fail > 20), "{summary}");
    let entries = |one: &&Value| one["differences"].to_string().contains("\"entries\"");
    assert!(comparisons.iter().any(|one| entries(&one)), "{comparisons:?}");
}

#[test]
fn guests_migrate_between_two_models_on_every_route() {
    let Some(_) = embedded("pf") else { return };
    let (reports, summary) = models(&["--migrate", "--format", "json"]).objects(0);
    assert_eq!(summary["totals"]["pass"], reports.len());
    assert!(summary["totals"]["cuts"].as_u64().is_some_and(|cuts| cuts > 1000), "{summary}");
    // Two models have one name: two paths there, two there and back.
    for path in ["model->model", "model->model->model"] {
        assert_eq!(summary["machines"][path]["pass"], reports.len() / 2, "{summary}");
    }
}

#[test]
fn event_data_that_is_lost_on_the_way_is_seen() {
    let Some(_) = embedded("pf") else { return };
    let arguments = ["--migrate", "pf", "--case", "read-unmapped", "--behaviour", "lost-on-save"];
    let ran = models(&arguments);
    assert_eq!(ran.code, 1, "{ran:?}");
    let failure = "FAIL: pf/read-unmapped:fred:block@frame:migrate on model (lost-on-save)->model\n    \
                   event data expected 0x8000001a58, got 0x0";
    assert!(ran.stdout.contains(failure), "{}", ran.stdout);
    let ran = models(&[&arguments[..], &["--delivery", "idt"]].concat());
    assert_eq!(ran.code, 0, "without event data there is nothing to lose: {ran:?}");
    // What one kind of uAPI carries, another refuses or loses.
    let other = models(&["--migrate", "pf", "--case", "read-unmapped", "--behaviour", "uapi-event-data"]);
    assert_ne!(other.code, 0, "{other:?}");
}

#[test]
fn every_difference_of_this_kvm_is_known() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let ran = compare(&["--format", "json"]);
    assert!(ran.code <= 1, "{}\n{}", ran.stderr, this_host::sentence(this_host::facts()));
    let (comparisons, summary) = ran.objects(ran.code);
    let unknown = this_host::unknown(&comparisons, this_host::facts());
    let not_shown = &summary["not_shown"];
    assert!(unknown.is_empty(), "{} unknown differences:\n{}", unknown.len(), unknown.join("\n\n"));
    assert_eq!(ran.code, 0, "known issues that do not show: {not_shown}");
    let compared = comparisons.iter().filter(|one| one["outcome"] != "skip").count();
    assert!(compared > 20 && summary["totals"]["skip"] == comparisons.len() - compared, "{summary}");
    // The model misbehaves, and KVM's known issues do not excuse it.
    compare(&["pf", "--delivery", "idt", "--behaviour", "delivered-twice"])
        .printed(1, &["DIFFERENT: pf/insb-unmapped:idt at Done"]);
}

#[test]
fn an_unknown_difference_names_the_host_and_its_entry() {
    let facts = HostFacts {
        vendor: "GenuineIntel".into(),
        kernel: "6.18.44-x".into(),
        kvm_module: "kvm kvm_pvm".into(),
        ..HostFacts::default()
    };
    let same = serde_json::json!({ "id": "pf/read-unmapped:idt", "outcome": "pass" });
    let known = serde_json::json!({ "id": "soft/int3:idt", "outcome": "known" });
    let differs = serde_json::json!({
        "id": "db/single-step:idt", "outcome": "fail", "machines": ["kvm", "model"], "at": "Done(0)",
        "differences": [{ "field": "DR6", "first": "0xffff0ff0", "second": "0xffff4ff0" }],
    });
    let unknown = this_host::unknown(&[same, known, differs], &facts);
    let [only] = unknown.as_slice() else { panic!("{unknown:?}") };
    for part in [
        "db/single-step:idt at Done(0)\n    DR6: kvm 0xffff0ff0, model 0xffff4ff0\n",
        "this host: {\"cpu\":\"\",\"vendor\":\"GenuineIntel\",\"kernel\":\"6.18.44-x\",\"kvm_module\":\"kvm kvm_pvm\"",
        "cases = [\"db/single-step:idt\"]\nstops = [\"compare\"]",
        "field = [{ name = \"DR6\", at = \"Done\", expected = 0xffff4ff0, got = 0xffff0ff0 }]",
        "host = { vendor = [\"GenuineIntel\"], kernel = [\"6.18.\"], kvm_module = [\"kvm_pvm\"] }",
    ] {
        assert!(only.contains(part), "{part}: {only}");
    }
    // It is an entry that the list takes.
    let entry = only.split_once("[[issue]]").map(|(_, entry)| format!("[[issue]]{entry}")).unwrap();
    midflight::report::known::KnownIssues::parse("the entry", &entry).unwrap();
}

#[test]
fn without_the_list_the_quirks_of_this_kvm_are_differences() {
    let (Some(_), Some(_)) = (embedded("soft"), this_host::kvm()) else { return };
    if !this_host::facts().kvm_module.contains("kvm_pvm") {
        eprintln!("skipped, nothing tested: the quirks are those of kvm_pvm");
        return;
    }
    let empty = file("no-known-issues.toml", b"");
    compare(&["soft", "--delivery", "idt", "--known-issues", &empty])
        .printed(1, &["DIFFERENT: soft/int3:idt at the end"]);
}

#[test]
fn guests_migrate_between_kvm_and_the_model_on_every_route() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let (reports, summary) = compare(&["--migrate", "--format", "json", "--delivery", "idt"]).objects(0);
    for path in ["kvm->model", "model->kvm", "kvm->model->kvm", "model->kvm->model"] {
        let totals = &summary["machines"][path];
        assert!(totals["pass"].as_u64().is_some_and(|pass| pass > 40), "{path}: {totals}");
        let stopped = |stop: &str| {
            reports
                .iter()
                .any(|one| one["machine"] == path && one["stop"] == stop && one["outcome"] == "pass")
        };
        for stop in ["none", "cancel", "io"] {
            assert!(stopped(stop), "{path}: nothing passed with {stop}");
        }
    }
}
