//! What the commands answer that run no suite of the machine's: `list`, `doctor`, `mutants`.

use crate::binary::{embedded, file, midflight};
use crate::this_host;

#[test]
fn list_names_cases_with_their_needs_and_rules() {
    let Some(_) = embedded("nm") else { return };
    let ran = midflight(&["list", "--cases", "nm/tilezero-xfd:*", "soft/int1:*"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let [first, second] = ran.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{ran:?}") };
    assert!(first.starts_with("nm/tilezero-xfd [xfd, amx]: TILEZERO with TILEDATA disabled"), "{ran:?}");
    assert!(second.starts_with("soft/int1: INT1: type 5, vector 1"), "{ran:?}");
}

#[test]
fn list_says_how_many_ids_do_not_replay_exactly() {
    let Some(_) = embedded("pf") else { return };
    let ran = midflight(&["list", "pf/read-unmapped:idt:*"]);
    let storms = ran.stdout.lines().filter(|id| id.contains(":storm:")).count();
    assert!(storms > 0 && ran.stderr.contains(&format!("{storms} of these are storms")), "{ran:?}");
    let ran = midflight(&["list", "pf/read-unmapped:idt:block@*"]);
    assert!(ran.code == 0 && !ran.stderr.contains("storms"), "{ran:?}");
}

#[test]
fn doctor_says_of_every_stop_whether_it_works_here() {
    let ran = midflight(&["doctor"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    if ran.stdout.contains("open /dev/kvm failed") || embedded("pf").is_none() {
        eprintln!("skipped, no stop asked for: there is no KVM here, or no image");
        return;
    }
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() <= 50 && lines[4..].iter().any(|line| line.starts_with("on kvm")), "{ran:?}");
    for stop in ["block", "evict", "uffd", "hole", "read-only", "cancel", "io", "storm", "ring", "nmi"] {
        let row = lines.iter().find(|line| line.split_whitespace().next() == Some(stop)).unwrap();
        let answers: Vec<&str> = row.split_whitespace().skip(1).collect();
        assert!(!answers.is_empty(), "{row}");
        for answer in answers.into_iter().filter(|answer| *answer != "yes") {
            let reason = |line: &&&str| line.trim_start().starts_with(&format!("{answer}  "));
            assert!(lines.iter().find(reason).is_some_and(|line| line.len() > 10), "{answer}: {ran:?}");
        }
    }
}

#[test]
fn doctor_answers_programs_and_says_whether_something_is_there() {
    let ran = midflight(&["doctor", "--format", "json", "--kvm", "/no/such/device"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["stops"]["each"].as_array().unwrap().len(), 0);
    assert!(found["machines"][1]["says"].as_str().unwrap().contains("/no/such/device"), "{found}");
    for (need, sentence) in [
        ("kvm", "--require kvm: open /no/such/device failed: No such file"),
        ("fred", "--require fred: open /no/such/device failed"),
        ("block@frame", "--require block@frame: there is no KVM here"),
    ] {
        let ran = midflight(&["doctor", "--kvm", "/no/such/device", "--require", need]);
        assert!(ran.code == 1 && ran.stderr.contains(sentence), "{ran:?}");
        assert!(ran.stdout.starts_with("midflight "), "it answers all the same: {ran:?}");
    }
    midflight(&["doctor", "--require", "colour"]).refused("--require colour: unknown feature");
    if this_host::kvm().is_none() {
        return;
    }
    let ran = midflight(&["doctor", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for answer in found["stops"]["each"].as_array().unwrap() {
        let need = answer["name"].as_str().unwrap();
        assert_ne!(answer["works"].as_bool().unwrap(), answer["why"].is_string(), "{answer}");
        if ["block@frame", "evict@frame", "nmi"].contains(&need) {
            let code = i32::from(answer["why"].is_string());
            assert_eq!(midflight(&["doctor", "--require", &format!("kvm,{need}")]).code, code, "{answer}");
        }
    }
}

#[test]
fn mutants_of_one_image_name_what_it_catches_and_what_nothing_catches() {
    let Some(bytes) = embedded("syscall") else { return };
    let image = file("mutants-syscall", &bytes);
    let ran = midflight(&["mutants", "--image", &image]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let row = lines.iter().position(|line| line.starts_with("syscall-lost ")).unwrap();
    assert!(lines[row].ends_with("5 cases fail"), "{}", lines[row]);
    let cases = lines[row + 2..row + 7].iter().map(|line| line.split_whitespace().next().unwrap());
    let of = |case| format!("syscall/{case}");
    let caught = ["star", "syscall-ring0", "syscall-ring3", "sysenter-ring0", "sysenter-ring3"];
    assert!(cases.eq(caught.map(of)), "{ran:?}");
    assert!(ran.stdout.contains("DEFECT: error-code-lost is wrong and only 0 cases fail"), "{ran:?}");
    assert!(!ran.stdout.contains("DEFECT: syscall-lost"), "{ran:?}");
    // No right behaviour is caught, whatever the image.
    let wrong = lines.iter().filter(|line| line.contains("(correct)") && !line.ends_with("; 0 cases fail"));
    assert_eq!(wrong.count(), 0, "{ran:?}");
}
