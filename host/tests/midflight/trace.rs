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
        "interrupted  #PF (14) HardwareException, error code 0x0, event data 0x8000001a58",
        "driver       cut at pf.read-unmapped.act",
        "machine      a fresh VM",
        "SET_VCPU_EVENTS  exception nr=14 pending=0 injected=1 error_code=0x0 has_payload=0",
        "inject       #PF (14) HardwareException, error code 0x0, event data 0x0",
        "handler      entered at",
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
