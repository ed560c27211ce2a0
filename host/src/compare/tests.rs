//! Which differences known issues explain.

use super::excuse::{Excuses, Judge, not_shown};
use super::{Comparison, differences as all_differences, printed};
use crate::compare::observe::DELIVERY_WORDS;
use crate::compare::observe::{Observation, Observations};
use crate::compare::pair::Pair;
use crate::machines::Description;
use crate::machines::kvm::Kvm;
use crate::machines::model::Model;
use crate::report::known::KnownIssues;
use crate::report::{Cited, Difference, Field, HostFacts, MailboxField, Outcome, Report};
use crate::scenario::Scenario;
use protocol::doorbell::Doorbell;
use protocol::field::Field as Judged;
use vm::state::field::Register;

/// Issues of KVM, each with the case and stop and the field that it describes.
fn list() -> KnownIssues {
    let issue = |(name, case, stop, field)| {
        format!(
            "[[issue]]\nname = '{name}'\nmachine = 'kvm'\ncases = ['{case}']\nstops = ['{stop}']\n\
             field = [{{ name = {field} }}]\nhost = {{ kvm_module = ['kvm'] }}\n\
             reason = 'it is so'\nreference = 'here'\n"
        )
    };
    let issues = [
        ("cr2", "pf/x:idt", "cold", "'CR2', expected = 0x7, got = 0x20"),
        ("never", "pf/x:idt", "cold", "'entries', expected = 1, got = 0"),
        ("result", "pf/x:idt", "cold", "'result', expected = 1, got = 0"),
        ("rsi", "*/*:idt", "compare", "'RSI', at = 'Ready', expected = 1, got = 2"),
    ];
    KnownIssues::parse("list.toml", &issues.map(issue).concat()).unwrap()
}

const CR2: usize = 13;
const DR6: usize = 14;

fn scenario() -> Scenario {
    "pf/x:idt:cold".parse().unwrap()
}

fn cited(name: &str) -> Cited {
    let [name, reason, reference] = [name, "it is so", "here"].map(str::to_owned);
    Cited { series: None, name, reason, reference }
}

fn model(behaviour: &str) -> Description {
    Description::Model(Model::try_from(behaviour.to_owned()).unwrap())
}

fn pair() -> Pair {
    Pair([Description::Kvm(Kvm { device: "/dev/kvm".into() }), model("payload-reuse")])
}

/// A guest whose registers are 1 except RSI.
fn mark(doorbell: Doorbell, rsi: u64) -> Observation {
    Observation {
        doorbell: doorbell.encode(),
        registers: vec![(Register::Rsi.into(), rsi), (Register::Cr0.into(), 1)],
        mailbox: vec![(MailboxField::Entries, 0), (MailboxField::Verdict, 0)],
        deliveries: Vec::new(),
    }
}

/// A guest at `Done` with one delivery, whose quadwords are 7 but for `words`.
fn done(verdict: u64, words: &[(usize, u64)]) -> Observation {
    let mut delivery = vec![7; DELIVERY_WORDS];
    for (word, value) in words {
        delivery[*word] = *value;
    }
    let mailbox = vec![(MailboxField::Entries, 1), (MailboxField::Verdict, verdict)];
    Observation { mailbox, deliveries: vec![delivery], ..mark(Doorbell::Done(0), verdict) }
}

fn seen(observation: &Observation, wrong: &[(Judged, u64, u64)]) -> Observations {
    let mut report = Report::new(&scenario(), "kvm", None);
    report.outcome = if wrong.is_empty() { Outcome::Pass } else { Outcome::Fail };
    let difference = |&(field, expected, got): &(Judged, u64, u64)| Difference {
        field: Field::judged(field, Some(0)),
        expected: expected.into(),
        got: got.into(),
    };
    report.differences = wrong.iter().map(difference).collect();
    Observations { observations: vec![observation.clone()], report }
}

/// The issue that explains how `kvm` differs from the model, given the judge's findings on KVM.
fn excuse(pair: &Pair, module: &str, marks: [Observation; 2], wrong: &[(Judged, u64, u64)]) -> Option<Cited> {
    let known = list();
    let facts = HostFacts { kvm_module: module.to_owned(), ..HostFacts::default() };
    let excuses = Excuses { known: &known, facts: &facts };
    let (failed, passed) = (seen(&marks[0], wrong), seen(&marks[1], &[]));
    let judge = Judge { pair, scenario: &scenario(), seen: [&failed, &passed], excuses: &excuses };
    let differences = all_differences(&marks[0], &marks[1], &printed::ALL, &mut 0);
    assert!(!differences.is_empty());
    judge.explain(&marks[0], &marks[1], &differences)
}

#[test]
fn only_what_an_entry_describes_is_explained_at_a_doorbell() {
    let of = |module, kvm: Observation, model| excuse(&pair(), module, [kvm, model], &[]);
    assert!(
        of("kvm", mark(Doorbell::Ready, 2), mark(Doorbell::Ready, 1)).is_some_and(|why| why.name == "rsi")
    );
    assert_eq!(of("kvm", mark(Doorbell::Ready, 3), mark(Doorbell::Ready, 1)), None, "another value");
    assert_eq!(of("kvm", mark(Doorbell::Armed(0), 2), mark(Doorbell::Armed(0), 1)), None, "another doorbell");
    assert_eq!(of("kvm_x", mark(Doorbell::Ready, 2), mark(Doorbell::Ready, 1)), None, "another host");
    let mut more = mark(Doorbell::Ready, 2);
    more.registers[1].1 = 9;
    assert_eq!(of("kvm", more, mark(Doorbell::Ready, 1)), None, "another register as well");
    let models = Pair([model("stock"), model("stock")]);
    assert_eq!(
        excuse(&models, "kvm", [mark(Doorbell::Ready, 2), mark(Doorbell::Ready, 1)], &[]),
        None,
        "the model"
    );
}

#[test]
fn at_done_the_judge_must_have_named_just_what_differs() {
    let wrong = [(Judged::Cr2, 0x7, 0x20)];
    let of = |kvm, wrong: &[_]| excuse(&pair(), "kvm", [kvm, done(1, &[])], wrong);
    assert!(of(done(2, &[(CR2, 0x20)]), &wrong).is_some_and(|why| why.name == "cr2"));
    assert_eq!(of(done(2, &[(CR2, 0x20), (DR6, 1)]), &wrong), None, "DR6 as well");
    assert_eq!(of(done(2, &[]), &wrong), None, "CR2 does not differ");
    assert_eq!(of(done(2, &[(CR2, 0x20)]), &[(Judged::Cr2, 0x7, 0x21)]), None, "not the entry's failure");
    let mut system = done(2, &[(CR2, 0x20)]);
    system.registers[1].1 = 9;
    assert_eq!(of(system, &wrong), None, "CR0 is left by no judge");
}

#[test]
fn what_the_act_left_behind_is_seen_in_the_verdict_alone() {
    let wrong = [(Judged::Result, 1, 0)];
    let of = |kvm| excuse(&pair(), "kvm", [kvm, done(1, &[])], &wrong);
    assert!(of(done(2, &[])).is_some_and(|why| why.name == "result"));
    assert_eq!(of(done(2, &[(DR6, 1)])), None, "DR6 as well");
}

#[test]
fn a_delivery_that_never_came_differs_in_every_field() {
    let wrong = [(Judged::Entries, 1, 0)];
    let mut none = done(2, &[]);
    none.deliveries.clear();
    none.mailbox[0].1 = 0;
    let marks = |kvm| [kvm, done(1, &[])];
    assert!(excuse(&pair(), "kvm", marks(none.clone()), &wrong).is_some());
    none.registers[1].1 = 9;
    assert_eq!(excuse(&pair(), "kvm", marks(none), &wrong), None);
    let mut one = done(2, &[(CR2, 0x20)]);
    one.mailbox[0].1 = 0;
    assert_eq!(excuse(&pair(), "kvm", marks(one), &wrong), None, "a delivery came");
}

#[test]
fn an_entry_that_explained_nothing_is_told() {
    let known = list();
    let not_shown_of = |module: &str, outcome, explained: &[&str]| {
        let facts = HostFacts { kvm_module: module.to_owned(), ..HostFacts::default() };
        let mut comparison = Comparison::new(&pair(), &scenario());
        comparison.outcome = outcome;
        comparison.known = explained.iter().map(|name| cited(name)).collect();
        not_shown(&pair().0[0], &[(&scenario(), &comparison)], &Excuses { known: &known, facts: &facts })
    };
    assert_eq!(not_shown_of("kvm", Outcome::Pass, &[]).len(), 1);
    assert!(not_shown_of("kvm", Outcome::Pass, &[])[0].to_string().contains("`rsi` did not show"));
    assert_eq!(not_shown_of("kvm", Outcome::Known, &["rsi"]), []);
    assert_eq!(not_shown_of("kvm", Outcome::Fail, &[]), [], "it may have come later");
    assert_eq!(not_shown_of("kvm_x", Outcome::Pass, &[]), []);
}
