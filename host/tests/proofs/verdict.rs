//! The guest's verdict: what makes it believed, what makes it a failure.

use crate::case_script::CaseScript;
use crate::fake::Step;
use crate::{Conditions, Row, check};
use midflight::report::outcome::Outcome::{Error, Fail, Pass, Skip};
use protocol::field::Field;
use protocol::mailbox::{MISMATCHES, Mailbox, Mismatch, Verdict};

/// Nothing is stopped, and the judge writes this.
fn judged(of: &CaseScript<'_>, change: impl FnOnce(&mut Mailbox)) -> Vec<Step> {
    let mut steps = of.begun();
    steps.push(of.judged(change));
    steps
}

const ID: &str = "pf/read-unmapped:fred:none";

/// One field of a delivery differs.
fn differs(mailbox: &mut Mailbox, field: Field, delivery: u32, got: u64) {
    let at = mailbox.mismatch_count as usize;
    mailbox.verdict = Verdict::Fail as u32;
    mailbox.mismatch_count += 1;
    mailbox.mismatches[at] = Mismatch { field: field as u32, delivery, expected: 0x4000, got };
}

#[test]
fn a_verdict_is_believed_only_if_it_is_whole() {
    let rows = [
        Row { name: "a pass", id: ID, script: |of| judged(of, |_| {}), outcome: Pass, words: "" },
        Row {
            name: "a pass with a field less compared than the delivery has",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.compared -= 1),
            outcome: Error,
            words: "the guest says pass and compared 59 fields, not 60",
        },
        Row {
            name: "a pass under the IDT, with a field less compared",
            id: "pf/read-unmapped:idt:none",
            script: |of| judged(of, |mailbox| mailbox.compared -= 1),
            outcome: Error,
            words: "the guest says pass and compared 55 fields, not 56",
        },
        Row {
            name: "a pass with a field different",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.mismatch_count = 1),
            outcome: Error,
            words: "the guest says pass with 1 fields different",
        },
        Row {
            name: "a pass without a delivery",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.entries = 0),
            outcome: Error,
            words: "the guest says pass after 0 deliveries; the case has 1",
        },
        Row {
            name: "a pass after an event that was delivered twice",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.entries = 2),
            outcome: Error,
            words: "the guest says pass after 2 deliveries; the case has 1",
        },
        Row {
            name: "no verdict",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.verdict = 0),
            outcome: Error,
            words: "the guest rang Done without a verdict",
        },
        Row {
            name: "a number that is no verdict",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.verdict = 5),
            outcome: Error,
            words: "the guest's verdict 5 is unknown",
        },
        Row {
            name: "a failure without a field and without a reason",
            id: ID,
            script: |of| judged(of, |mailbox| mailbox.verdict = Verdict::Fail as u32),
            outcome: Error,
            words: "the guest says fail and names neither a field nor a reason",
        },
        Row {
            name: "a failure in words",
            id: ID,
            script: |of| {
                judged(of, |mailbox| {
                    mailbox.verdict = Verdict::Fail as u32;
                    mailbox.reason[..9].copy_from_slice(b"vector 13");
                })
            },
            outcome: Fail,
            words: "vector 13",
        },
        Row {
            name: "a skip",
            id: ID,
            script: |of| {
                judged(of, |mailbox| {
                    mailbox.verdict = Verdict::Skip as u32;
                    mailbox.reason[..9].copy_from_slice(b"needs amx");
                })
            },
            outcome: Skip,
            words: "needs amx",
        },
        Row {
            name: "a judge that cannot judge",
            id: ID,
            script: |of| {
                judged(of, |mailbox| {
                    mailbox.verdict = Verdict::Error as u32;
                    mailbox.reason[..7].copy_from_slice(b"no case");
                })
            },
            outcome: Error,
            words: "no case",
        },
        Row {
            name: "a field that differs",
            id: ID,
            script: |of| judged(of, |mailbox| differs(mailbox, Field::Rip, 0, 7)),
            outcome: Fail,
            words: "RIP expected 0x4000, got 0x7",
        },
    ];
    check(&rows, &Conditions::default());
}

/// The exception migrates as injected without KVM_CAP_EXCEPTION_PAYLOAD: no field carries its event data.
fn migrated(of: &CaseScript<'_>, change: impl FnOnce(&mut Mailbox)) -> Vec<Step> {
    let mut steps = of.begun();
    steps.extend([of.blocked(), of.blocked(), of.judged(change)]);
    steps
}

#[test]
fn event_data_is_excused_where_no_field_carries_it_and_nothing_else_is() {
    const LOST: &str = "pf/read-unmapped:fred:nopayload:block@frame:migrate";
    let rows = [
        Row {
            name: "event data 0 in the delivery that migrated",
            id: LOST,
            script: |of| migrated(of, |mailbox| differs(mailbox, Field::EventData, 0, 0)),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the same where the uAPI has a field",
            id: "pf/read-unmapped:fred:block@frame:migrate",
            script: |of| migrated(of, |mailbox| differs(mailbox, Field::EventData, 0, 0)),
            outcome: Fail,
            words: "event data expected 0x4000, got 0x0",
        },
        Row {
            name: "another event's data",
            id: LOST,
            script: |of| migrated(of, |mailbox| differs(mailbox, Field::EventData, 0, 1)),
            outcome: Fail,
            words: "event data expected 0x4000, got 0x1",
        },
        Row {
            name: "event data 0 in a later delivery",
            id: LOST,
            script: |of| migrated(of, |mailbox| differs(mailbox, Field::EventData, 1, 0)),
            outcome: Fail,
            words: "event data expected 0x4000, got 0x0",
        },
        Row {
            name: "another field is 0",
            id: LOST,
            script: |of| migrated(of, |mailbox| differs(mailbox, Field::Cr2, 0, 0)),
            outcome: Fail,
            words: "CR2 expected 0x4000, got 0x0",
        },
        Row {
            name: "event data 0, and another field",
            id: LOST,
            script: |of| {
                migrated(of, |mailbox| {
                    differs(mailbox, Field::EventData, 0, 0);
                    differs(mailbox, Field::Rflags, 0, 2);
                })
            },
            outcome: Fail,
            words: "RFLAGS expected 0x4000, got 0x2",
        },
        Row {
            name: "event data 0 everywhere, and more fields than the mailbox holds",
            id: LOST,
            script: |of| {
                migrated(of, |mailbox| {
                    (0..MISMATCHES).for_each(|_| differs(mailbox, Field::EventData, 0, 0));
                    mailbox.mismatch_count += 1;
                })
            },
            outcome: Error,
            words: "the guest says fail and names neither a field nor a reason",
        },
        Row {
            name: "event data 0, and a field less compared",
            id: LOST,
            script: |of| {
                migrated(of, |mailbox| {
                    differs(mailbox, Field::EventData, 0, 0);
                    mailbox.compared -= 1;
                })
            },
            outcome: Error,
            words: "the guest says pass and compared 59 fields, not 60",
        },
        Row {
            name: "event data 0, and delivered twice",
            id: LOST,
            script: |of| {
                migrated(of, |mailbox| {
                    differs(mailbox, Field::EventData, 0, 0);
                    mailbox.entries = 2;
                })
            },
            outcome: Error,
            words: "the guest says pass after 2 deliveries; the case has 1",
        },
        Row {
            name: "a pass with event data 0",
            id: LOST,
            script: |of| {
                migrated(of, |mailbox| {
                    differs(mailbox, Field::EventData, 0, 0);
                    mailbox.verdict = Verdict::Pass as u32;
                })
            },
            outcome: Error,
            words: "the guest says pass with 1 fields different",
        },
    ];
    check(&rows, &Conditions::default());
}
