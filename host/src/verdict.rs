//! What the guest's judge says, and whether the host believes it.

use crate::image::Case;
use crate::result::{Difference, Outcome, Report};
use protocol::delivery::Delivery;
use protocol::field::Field;
use protocol::mailbox::{DELIVERIES, MISMATCHES, Mailbox, Verdict};
use protocol::text;

/// Puts the verdict in `mailbox` into `report`.
///
/// A pass is believed only with whole deliveries compared, no field different, and exactly the
/// number of deliveries that the case states.
pub fn read(mailbox: &Mailbox, case: &Case, report: &mut Report) {
    report.compared = mailbox.compared;
    report.set_differences(differences(mailbox));
    let reason = || text::read(&mailbox.reason).unwrap_or("the reason is not UTF-8").to_owned();
    let (outcome, reason) = match Verdict::from_number(mailbox.verdict) {
        Some(Verdict::Pass) => match disbelief(mailbox, case) {
            None => (Outcome::Pass, None),
            Some(why) => (Outcome::Error, Some(why)),
        },
        Some(Verdict::Fail) if report.differences.is_empty() => {
            (Outcome::Error, Some("the guest says fail and names no field".to_owned()))
        }
        Some(Verdict::Fail) => (Outcome::Fail, None),
        Some(Verdict::Skip) => (Outcome::Skip, Some(reason())),
        Some(Verdict::Error) => (Outcome::Error, Some(reason())),
        Some(Verdict::None) => (Outcome::Error, Some("the guest rang Done without a verdict".to_owned())),
        None => (Outcome::Error, Some(format!("the guest's verdict {} is no verdict", mailbox.verdict))),
    };
    report.outcome = outcome;
    report.reason = reason;
}

/// The captured frames, one FRAME line each.
pub fn frames(mailbox: &Mailbox, report: &Report) -> Vec<String> {
    captured(mailbox)
        .iter()
        .enumerate()
        .map(|(n, delivery)| {
            let words = delivery.frame.iter().chain([&delivery.cr2, &delivery.dr6, &delivery.xfd_err]);
            let words: Vec<_> = words.map(|word| format!("{word:016x}")).collect();
            format!("FRAME {}/{} {n} {} {}", report.image, report.case, report.delivery, words.join(" "))
        })
        .collect()
}

fn captured(mailbox: &Mailbox) -> &[Delivery] {
    &mailbox.deliveries[..(mailbox.entries as usize).min(DELIVERIES)]
}

fn differences(mailbox: &Mailbox) -> Vec<Difference> {
    mailbox.mismatches[..(mailbox.mismatch_count as usize).min(MISMATCHES)]
        .iter()
        .map(|mismatch| Difference {
            field: Field::from_number(mismatch.field).map_or("unknown field", Field::name).to_owned(),
            expected: format!("{:#x}", mismatch.expected),
            got: format!("{:#x}", mismatch.got),
        })
        .collect()
}

/// A judge that compares less than the frame, the registers and the entry has not judged a delivery.
const FIELDS_OF_A_DELIVERY: u32 = 16;
/// What the judge of a case without any delivery still has: registers, and that there was none.
const LEAST_COMPARED: u32 = 4;

fn disbelief(mailbox: &Mailbox, case: &Case) -> Option<String> {
    let least = LEAST_COMPARED.max(FIELDS_OF_A_DELIVERY * case.entries);
    if mailbox.compared < least {
        return Some(format!("the guest says pass and compared {} fields, not {least}", mailbox.compared));
    }
    if mailbox.mismatch_count != 0 {
        return Some(format!("the guest says pass with {} fields different", mailbox.mismatch_count));
    }
    if mailbox.entries != case.entries {
        let (got, stated) = (mailbox.entries, case.entries);
        return Some(format!("the guest says pass after {got} deliveries; the case has {stated}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use protocol::mailbox::Mismatch;
    use protocol::need::Needs;
    use protocol::note::CaseFlags;

    fn judged(change: impl FnOnce(&mut Mailbox)) -> Report {
        let case = Case {
            name: "x".into(),
            rule: String::new(),
            needs: Needs::empty(),
            entries: 1,
            act: 0,
            after: 0,
            cancel: None,
            flags: CaseFlags::empty(),
        };
        let scenario: Scenario = "pf/x:fred:none".parse().unwrap();
        let mut report = Report::new(&scenario, "model", None);
        let mut mailbox =
            Mailbox { verdict: Verdict::Pass as u32, compared: 20, entries: 1, ..Mailbox::EMPTY };
        change(&mut mailbox);
        read(&mailbox, &case, &mut report);
        report
    }

    #[test]
    fn a_pass_is_believed_only_when_something_was_compared() {
        assert_eq!(judged(|_| {}).outcome, Outcome::Pass);
        assert_eq!(judged(|m| m.compared = 0).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.compared = 15).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.entries = 0).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.entries = 2).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.mismatch_count = 1).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.verdict = 0).outcome, Outcome::Error);
        assert_eq!(judged(|m| m.verdict = 77).outcome, Outcome::Error);
    }

    #[test]
    fn a_failure_names_its_fields() {
        let report = judged(|m| {
            m.verdict = Verdict::Fail as u32;
            m.mismatch_count = 1;
            m.mismatches[0] = Mismatch { field: 6, delivery: 0, expected: 0x4000, got: 0xE000 };
        });
        assert_eq!(report.outcome, Outcome::Fail);
        assert_eq!(report.expected.as_deref(), Some("event data 0x4000"));
        assert_eq!(report.got.as_deref(), Some("event data 0xe000"));
        assert_eq!(judged(|m| m.verdict = Verdict::Fail as u32).outcome, Outcome::Error);
    }
}
