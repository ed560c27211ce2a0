//! What the commands answer that run no suite of the machine's: `list`, `doctor`, `mutants`.

use crate::binary::{embedded, file, midflight};

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
    let others = ["cancel", "io", "storm", "ring"];
    let of_a_page = ["block@frame", "evict@tss", "uffd@pt", "hole@idt", "read-only@frame"];
    for stop in of_a_page.iter().chain(&others) {
        let answer = ran.stdout.lines().find_map(|line| line.trim_start().strip_prefix(*stop));
        assert!(answer.is_some_and(|answer| answer.trim().len() >= "works".len()), "{stop}: {ran:?}");
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
    assert!(lines[row].ends_with("4 cases fail"), "{}", lines[row]);
    let cases = lines[row + 2..row + 6].iter().map(|line| line.split_whitespace().next().unwrap());
    let of = |case| format!("syscall/{case}");
    let caught = ["syscall-ring0", "syscall-ring3", "sysenter-ring0", "sysenter-ring3"];
    assert!(cases.eq(caught.map(of)), "{ran:?}");
    assert!(ran.stdout.contains("DEFECT: error-code-lost is wrong and only 0 cases fail"), "{ran:?}");
    assert!(!ran.stdout.contains("DEFECT: syscall-lost"), "{ran:?}");
    // No right behaviour is caught, whatever the image.
    let wrong = lines.iter().filter(|line| line.contains("(correct)") && !line.ends_with("; 0 cases fail"));
    assert_eq!(wrong.count(), 0, "{ran:?}");
}
