//! The verdict of the guest's judge, and whether the host accepts it.

use crate::image::Case;
use crate::report::{Difference, Disbelief, Field, Finding, Outcome, Report};
use crate::scenario::{self, Scenario};
use protocol::compared;
use protocol::delivery::Delivery;
use protocol::field::Field as Judged;
use protocol::mailbox::{DELIVERIES, MISMATCHES, Mailbox, Mismatch, Verdict};
use protocol::text;

/// Puts the verdict in `mailbox`, of `case` under `delivery`, into `report`.
///
/// A pass is believed only with whole deliveries compared, no field different, and exactly the
/// number of deliveries that the case states. A verdict that contradicts itself is the image's error.
///
/// The guest's judge knows nothing of migrations. Where the uAPI had no field for the event data of the
/// exception that migrated, which is the case's first delivery, 0 is as right there as what it expects;
/// any other value, and any other field, is still a failure.
pub(crate) fn read(mailbox: &Mailbox, case: &Case, delivery: scenario::DeliveryMode, report: &mut Report) {
    report.compared = mailbox.compared;
    let is_open = |mismatch: &&Mismatch| report.event_data_open && is_lost_event_data(mismatch);
    let mismatches = mismatches(mailbox);
    let wrong: Vec<_> = mismatches.iter().filter(|one| !is_open(one)).map(difference).collect();
    let open = (mismatches.len() - wrong.len()) as u32;
    report.differences = wrong;
    let (verdict, differing) = match Verdict::from_number(mailbox.verdict) {
        Some(Verdict::Fail) if open > 0 && mailbox.mismatch_count == open => (Some(Verdict::Pass), 0),
        other => (other, mailbox.mismatch_count),
    };
    let words = || Finding::guest(text::read(&mailbox.reason).unwrap_or("the reason is not UTF-8"));
    let not_believed = |why| (Outcome::Error, Some(Finding::Verdict { why }));
    (report.outcome, report.why) = match verdict {
        Some(Verdict::Pass) => match disbelief(mailbox, case, delivery, differing) {
            None => (Outcome::Pass, None),
            Some(why) => not_believed(why),
        },
        // An event where none may be: the guest cannot go on, and says so in words.
        Some(Verdict::Fail) if mailbox.reason != Mailbox::EMPTY.reason => (Outcome::Fail, Some(words())),
        Some(Verdict::Fail) if report.differences.is_empty() => not_believed(Disbelief::NoReason),
        Some(Verdict::Fail) => (Outcome::Fail, None),
        Some(Verdict::Skip) => (Outcome::Skip, Some(words())),
        Some(Verdict::Error) => (Outcome::Error, Some(words())),
        Some(Verdict::None) => not_believed(Disbelief::None),
        None => not_believed(Disbelief::Unknown(mailbox.verdict)),
    };
}

/// The captured frames, one FRAME line each.
pub(crate) fn frames(mailbox: &Mailbox, report: &Report) -> Vec<String> {
    captured(mailbox)
        .iter()
        .enumerate()
        .map(|(n, delivery)| {
            let words = delivery.frame.iter().chain([&delivery.cr2, &delivery.dr6, &delivery.xfd_err]);
            let words: Vec<_> = words.map(|word| format!("{word:016x}")).collect();
            let Scenario { image, case, delivery, .. } = &report.scenario;
            format!("FRAME {image}/{case} {n} {delivery} {}", words.join(" "))
        })
        .collect()
}

fn captured(mailbox: &Mailbox) -> &[Delivery] {
    &mailbox.deliveries[..(mailbox.entries as usize).min(DELIVERIES)]
}

fn mismatches(mailbox: &Mailbox) -> &[Mismatch] {
    &mailbox.mismatches[..(mailbox.mismatch_count as usize).min(MISMATCHES)]
}

fn difference(mismatch: &Mismatch) -> Difference {
    Difference {
        field: Field::Judged { number: mismatch.field, delivery: Some(mismatch.delivery) },
        expected: mismatch.expected.into(),
        got: mismatch.got.into(),
    }
}

/// Event data that reads 0 in the first delivery.
fn is_lost_event_data(mismatch: &Mismatch) -> bool {
    Judged::from_number(mismatch.field) == Some(Judged::EventData)
        && mismatch.delivery == 0
        && mismatch.got == 0
}

fn disbelief(
    mailbox: &Mailbox,
    case: &Case,
    delivery: scenario::DeliveryMode,
    differing: u32,
) -> Option<Disbelief> {
    let least = compared::least(delivery == scenario::DeliveryMode::Fred, case.entries(delivery));
    if mailbox.compared < least {
        return Some(Disbelief::Compared { compared: mailbox.compared, least });
    }
    if differing != 0 {
        return Some(Disbelief::Differing(differing));
    }
    let stated = case.entries(delivery);
    if mailbox.entries != stated {
        return Some(Disbelief::Entries { got: mailbox.entries, stated });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use protocol::need::Needs;
    use protocol::note::CaseFlags;

    fn judged(change: impl FnOnce(&mut Mailbox)) -> Report {
        judged_with(1, "fred", false, change)
    }

    fn judged_with(entries: u32, delivery: &str, open: bool, change: impl FnOnce(&mut Mailbox)) -> Report {
        let case = Case {
            name: "x".into(),
            rule: String::new(),
            needs: Needs::empty(),
            fred_entries: entries,
            idt_entries: entries,
            act: 0,
            after: 0,
            cancel: None,
            event: None,
            flags: CaseFlags::empty(),
        };
        let scenario: Scenario = format!("pf/x:{delivery}:none").parse().unwrap();
        let mut report = Report::new(&scenario, "model", None);
        report.event_data_open = open;
        let mut mailbox = Mailbox { verdict: Verdict::Pass as u32, compared: 67, entries, ..Mailbox::EMPTY };
        change(&mut mailbox);
        read(&mailbox, &case, scenario.delivery, &mut report);
        report
    }

    #[test]
    fn a_pass_is_believed_only_when_something_was_compared() {
        let outcome = |change: fn(&mut Mailbox)| judged(change).outcome;
        assert_eq!(outcome(|_| {}), Outcome::Pass);
        assert_eq!(outcome(|m| m.compared = 0), Outcome::Error);
        assert_eq!(outcome(|m| m.entries = 0), Outcome::Error);
        assert_eq!(outcome(|m| m.entries = 2), Outcome::Error);
        assert_eq!(outcome(|m| m.mismatch_count = 1), Outcome::Error);
        assert_eq!(outcome(|m| m.verdict = 0), Outcome::Error);
        assert_eq!(outcome(|m| m.verdict = 77), Outcome::Error);
    }

    #[test]
    fn a_pass_needs_every_delivery_compared_whole() {
        // What the guest's judge compares without IA32_XFD_ERR, and under the IDT without an error code.
        for (entries, delivery, least) in [
            (0, "fred", 25),
            (0, "idt", 25),
            (1, "fred", 60),
            (2, "fred", 95),
            (1, "idt", 56),
            (2, "idt", 87),
        ] {
            let outcome = |compared| judged_with(entries, delivery, false, |m| m.compared = compared).outcome;
            assert_eq!(outcome(least), Outcome::Pass, "{entries} {delivery}");
            assert_eq!(outcome(least - 1), Outcome::Error, "{entries} {delivery}");
        }
    }

    /// What the uAPI has no field for may be lost: exactly that.
    #[test]
    fn lost_event_data_is_excused_where_the_uapi_has_no_field_for_it() {
        let event_data = Mismatch { field: 6, delivery: 0, expected: 0x4000, got: 0 };
        let rflags = Mismatch { field: 3, delivery: 0, expected: 0x1_0002, got: 2 };
        let judged = |open, mismatches: &[Mismatch]| {
            judged_with(1, "fred", open, |m| {
                m.verdict = Verdict::Fail as u32;
                m.mismatch_count = mismatches.len() as u32;
                m.mismatches[..mismatches.len()].copy_from_slice(mismatches);
            })
        };
        assert_eq!(judged(true, &[event_data]).outcome, Outcome::Pass);
        for (open, mismatches) in [
            (false, vec![event_data]),
            // Another's event data, and another's frame.
            (true, vec![Mismatch { got: 0x8000_0000, ..event_data }]),
            (true, vec![Mismatch { delivery: 1, ..event_data }]),
            (true, vec![rflags]),
            // Invented where none was expected.
            (true, vec![Mismatch { expected: 0, got: 0x4000, ..event_data }]),
        ] {
            let report = judged(open, &mismatches);
            assert_eq!((report.outcome, report.differences.len()), (Outcome::Fail, 1), "{mismatches:?}");
        }
        // Another difference is then reported alone.
        let report = judged(true, &[event_data, rflags]);
        assert_eq!(report.outcome, Outcome::Fail);
        assert_eq!(
            report.differences.iter().map(|d| d.field.of_judge()).collect::<Vec<_>>(),
            [Some(Judged::Rflags)]
        );
        // More than the mailbox holds.
        let many = judged_with(1, "fred", true, |m| {
            m.verdict = Verdict::Fail as u32;
            m.mismatch_count = MISMATCHES as u32 + 1;
            m.mismatches = [event_data; MISMATCHES];
        });
        assert_ne!(many.outcome, Outcome::Pass);
        // The rules of a pass hold for it too.
        let open = |change: fn(&mut Mailbox)| {
            judged_with(1, "fred", true, |m| {
                (m.verdict, m.mismatch_count, m.mismatches[0]) = (Verdict::Fail as u32, 1, event_data);
                change(m);
            })
            .outcome
        };
        assert_eq!(open(|m| m.compared = 59), Outcome::Error);
        assert_eq!(open(|m| m.entries = 2), Outcome::Error);
        assert_eq!(open(|m| m.verdict = Verdict::Pass as u32), Outcome::Error);
    }

    #[test]
    fn a_failure_names_its_fields() {
        let report = judged(|m| {
            m.verdict = Verdict::Fail as u32;
            m.mismatch_count = 1;
            m.mismatches[0] = Mismatch { field: 6, delivery: 0, expected: 0x4000, got: 0xE000 };
        });
        assert_eq!(report.outcome, Outcome::Fail);
        let field = Field::judged(Judged::EventData, Some(0));
        assert_eq!(
            report.differences,
            [Difference { field, expected: 0x4000_u32.into(), got: 0xE000_u32.into() }]
        );
        assert_eq!(judged(|m| m.verdict = Verdict::Fail as u32).outcome, Outcome::Error);
        let report = judged(|m| {
            m.verdict = Verdict::Fail as u32;
            m.reason[..5].copy_from_slice(b"storm");
        });
        assert_eq!((report.outcome, report.why), (Outcome::Fail, Some(Finding::guest("storm"))));
    }
}
