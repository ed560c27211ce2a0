//! `midflight trace`.

use crate::binary::{embedded, midflight};

#[test]
fn trace_follows_a_guest_into_another_process() {
    let Some(_) = embedded("pf") else { return };
    for id in [
        "pf/read-unmapped:fred:block@frame:migrate-process",
        "pf/read-unmapped:fred:block@frame:migrate-process+again=1",
    ] {
        let ran = midflight(&["trace", id]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let (before, after) = ran.stdout.split_once("the guest is sent through a stream").unwrap();
        assert!(before.contains("driver       cut at pf.read-unmapped.act"), "{ran:?}");
        let entered = after.contains("handler      entered at");
        assert!(entered && after.contains("machine      a fresh VM"), "{ran:?}");
        let sent = after.matches("the guest is sent through a stream").count();
        assert_eq!(sent, usize::from(id.contains("again")));
    }
}

#[test]
fn trace_tells_where_the_event_data_went() {
    let Some(_) = embedded("pf") else { return };
    let id = "pf/read-unmapped:fred:block@frame:migrate";
    let ran = midflight(&["trace", id, "--behaviour", "kernel-only-event-data"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let mut rest = ran.stdout.as_str();
    for line in [
        "driver       armed at pf.read-unmapped.act",
        "EPT violation",
        "exit         EPT violation: write of guest-physical address 0x",
        "interrupted  #PF (14) hardware exception, error code 0x0, event data 0x8000001a58",
        "driver       cut at pf.read-unmapped.act",
        "machine      a fresh VM",
        "SET_VCPU_EVENTS  exception nr=14 pending=0 injected=1 error_code=0x0 has_payload=0",
        "inject       #PF (14) hardware exception, error code 0x0, event data 0x0",
        "handler      entered at",
        "exit         I/O: OUT, port 0x6d66, 4 bytes",
        "frame        of delivery 0, FRED",
        "  RIP        pf.read-unmapped.act (0x",
        "vector 14, type 3 hardware exception, length 0, 64-bit mode)",
        "  event data 0x0000000000000000 (linear address); expected 0x8000001a58",
        "lost         event data of the injected exception",
    ] {
        let (_, after) = rest.split_once(line).unwrap_or_else(|| panic!("{line}: {ran:?}"));
        rest = after;
    }
    assert_eq!(midflight(&["trace", "pf/"]).code, 2);
    assert_eq!(midflight(&["trace", "pf/read-unmapped:fred:access@3,2:migrate"]).code, 0);
}

#[test]
fn what_keeps_interrupts_and_nmis_out_is_shown_at_the_cut_and_in_a_trace() {
    let Some(_) = embedded("sti") else { return };
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
fn a_trace_has_the_disturbance_and_no_text_for_programmers() {
    let Some(_) = embedded("sti") else { return };
    let ran = midflight(&["trace", "sti/pf:fred:block@frame:migrate+disturb"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let rewritten = "driver       rewritten: CR2 = 0x5a5adeadb000, DR6 = 0xffffaff4, IA32_XFD_ERR = 0x40000 at sti.pf.act";
    let (before, after) = ran.stdout.split_once(rewritten).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(before.contains("driver       cut at") && after.contains("machine      a fresh VM"), "{ran:?}");
    assert!(ran.stdout.contains("interrupt shadow 0x2 (STI), NMI pending=0"), "{ran:?}");
    for text in [" { ", "Some(", "None", "HardwareException", "FRAME "] {
        assert!(!ran.stdout.contains(text), "{text}: {ran:?}");
    }
}

#[test]
fn show_says_what_a_scenario_does_and_where_its_rule_is_written() {
    let Some(_) = embedded("pf") else { return };
    let ran = midflight(&["show", "pf/read-unmapped:fred:block@frame:migrate+disturb"]);
    let said = [
        "pf/read-unmapped:fred:block@frame:migrate+disturb\n\nIn ring 0, #PF (vector 14, hardware exception) is delivered \
         through FRED. The delivery is stopped at the page that the frame is pushed to, which refuses access: ",
        "There CR2, DR6 and IA32_XFD_ERR are rewritten so that they disagree with the event, and the guest migrates to a \
         fresh VM in this process; then the guest continues.",
        "a handler is entered once, and each field of its frame is as the case says. It proves the rule of \
         pf/read-unmapped: A read of an unmapped page: error code 0, event data and CR2 the address.",
        "manual   SDM vol. 3 ch. 8",
        "act      pf.read-unmapped.act (0x",
    ];
    ran.printed(0, &said);
    midflight(&["show", "pf/"]).refused("show describes one");
    midflight(&["show", "pf/x:fred:cold"]).refused("no scenario matches");
}

/// Each stop has its own words, and no scenario is left without a sentence.
#[test]
fn show_knows_every_kind_of_stop() {
    let Some(_) = embedded("pf") else { return };
    let case = "pf/read-unmapped:fred";
    let mut said = std::collections::BTreeSet::new();
    for plan in [
        "cold",
        "none",
        "nopayload:block@frame:resume",
        "block@frame:resume",
        "block@pt:resume",
        "private@frame:resume",
        "uffd@frame:resume",
        "hole@frame:resume",
        "read-only@frame:resume",
        "evict@frame:resume",
        "ring:resume",
        "cancel:resume",
        "abandon:resume",
        "abandon:migrate+again=3",
        "storm:resume",
        "access@1:resume",
        "access@1,2:resume",
        "return@0:resume",
        "block@frame:migrate-process",
    ] {
        let ran = midflight(&["show", &format!("{case}:{plan}")]);
        assert_eq!(ran.code, 0, "{plan}: {ran:?}");
        let (_, words) = ran.stdout.split_once("\n\n").unwrap();
        assert!(said.insert(words.to_owned()), "{plan} is described as another one: {words}");
    }
}
