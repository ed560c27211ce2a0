mod grammar;

use super::*;
use crate::kernel_log::KernelWarning;
use crate::report::{Difference, Field, Finding, reason};
use crate::scenario::Scenario;
use protocol::field::Field as Judged;
use protocol::mailbox::RETURNED;
use vm::Value;

fn parse(text: &str) -> Result<KnownIssues, KnownIssuesError> {
    KnownIssues::parse("list.toml", text)
}

const SCENARIOS: &str = "scenarios = [\"pf/x:idt:nopayload:io:migrate\"]";
const FIELD: &str = "field = [{ name = \"RFLAGS\", expected = 0x10002, got = 0x2 }]";
const LIST: &str = r#"
    [[issue]]
    name = "rf"
    machine = "kvm"
    scenarios = ["pf/x:idt:nopayload:io:migrate"]
    field = [{ name = "RFLAGS", expected = 0x10002, got = 0x2 }]
    host = { kernel = ["6.17.", "6.18."] }
    reason = "RF is lost"
    reference = "here"
"#;

fn kvm(scenario: &Scenario) -> Of<'_> {
    Of { machine: "kvm", scenario, by: By::Judge }
}

fn failed(outcome: Outcome, got: &str) -> Report {
    let scenario = "pf/x:idt:nopayload:io:migrate".parse().unwrap();
    let mut report = Report::new(&scenario, "kvm", None).concluded(outcome, None);
    if outcome == Outcome::Fail {
        let field = Field::judged(Judged::Rflags, Some(0));
        report.differences =
            vec![Difference { field, expected: Value::Number(0x1_0002), got: got.parse().unwrap() }];
    }
    report
}

fn linux(kernel: &str) -> HostFacts {
    HostFacts { kernel: kernel.to_owned(), ..HostFacts::default() }
}

fn judged(outcome: Outcome, got: &str, kernel: &str) -> Report {
    let mut report = failed(outcome, got);
    parse(LIST).unwrap().apply(&mut report, &linux(kernel));
    report
}

#[test]
fn only_the_described_failure_is_known() {
    assert_eq!(judged(Outcome::Fail, "0x2", "6.18.44").outcome, Outcome::Known);
    assert_eq!(judged(Outcome::Fail, "0x3", "6.18.44").outcome, Outcome::Fail);
    assert_eq!(judged(Outcome::Fail, "0x2", "6.19.1").outcome, Outcome::Fail);
}

#[test]
fn what_is_known_of_the_host_that_saved_a_guest_is_known_where_it_is_resumed() {
    for (kernel, outcome) in [("6.18.44", Outcome::Known), ("6.19.1", Outcome::Fail)] {
        let mut report = failed(Outcome::Fail, "0x2");
        report.saved_on = Some(linux(kernel));
        parse(LIST).unwrap().apply(&mut report, &HostFacts::default());
        assert_eq!(report.outcome, outcome);
    }
}

#[test]
fn a_pass_is_a_failure_of_the_list_unless_the_issue_depends_on_time() {
    let report = judged(Outcome::Pass, "", "6.18.44");
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(reason(&report).unwrap().contains("remove the scenario"));
    assert_eq!(judged(Outcome::Pass, "", "6.1.0").outcome, Outcome::Pass);
    let list = LIST.replace("host =", "intermittent = true\nhost =");
    let mut report = failed(Outcome::Pass, "");
    parse(&list).unwrap().apply(&mut report, &linux("6.18.1"));
    assert_eq!(report.outcome, Outcome::Pass);
}

#[test]
fn a_case_stands_for_all_its_scenarios() {
    let concerned = |list: &str, ids: &[&str]| -> Vec<bool> {
        let issue = &parse(list).unwrap().issues[0];
        ids.iter().map(|id| issue.concerns(kvm(&id.parse().unwrap()), &linux("6.18.1"))).collect()
    };
    let check = |list: &str, is: &[&str], is_not: &[&str]| {
        assert_eq!(concerned(list, is), vec![true; is.len()], "{is:?}");
        assert_eq!(concerned(list, is_not), vec![false; is_not.len()], "{is_not:?}");
    };
    let list = LIST.replace(SCENARIOS, "cases = [\"pf/x:idt\"]");
    let with = |list: &str, limit: &str| list.replace("cases =", &format!("{limit}\ncases ="));
    check(&list, &["pf/x:idt:cold", "pf/x:idt:cancel:resume"], &["pf/x:fred:cold", "pf/xx:idt:cold"]);

    let list = with(&list, "stops = [\"cold\", \"block@frame\"]");
    let others = ["pf/x:idt:none", "pf/x:idt:cancel:resume", "pf/x:idt:block@pt:resume"];
    check(&list, &["pf/x:idt:cold", "pf/x:idt:nopayload:block@frame:migrate"], &others);
    let any_place = list.replace("block@frame", "block@*");
    check(&any_place, &["pf/x:idt:block@pt:resume"], &["pf/x:idt:evict@pt:resume"]);
    let storms = ["pf/x:idt:storm:resume", "pf/x:idt:storm=7:resume"];
    check(&list.replace("block@frame", "storm"), &storms, &["pf/x:idt:cancel:resume"]);
    check(&list.replace("block@frame", "storm=7"), &storms[1..], &storms[..1]);

    let list = with(&list, "actions = [\"migrate\"]");
    let (on, off) = ("pf/x:idt:block@frame:migrate", "pf/x:idt:nopayload:block@frame:migrate");
    check(&list, &[on], &["pf/x:idt:block@frame:resume", "pf/x:idt:cold"]);
    check(&with(&list, "payload = true"), &[on], &[off]);
    check(&with(&list, "payload = false"), &[off], &[on]);
}

#[test]
fn an_issue_of_an_emulator_is_of_the_one_in_which_the_case_ends() {
    let facts = HostFacts {
        emulator: "QEMU emulator version 7.2".into(),
        emulator_destination: "QEMU emulator version 11.1".into(),
        ..HostFacts::default()
    };
    let concerned = |fact: &str, id: &str| {
        let list = LIST.replace(SCENARIOS, "cases = [\"pf/x:idt\"]").replace("\"kvm\"", "\"qemu\"");
        let host = format!("host = {{ {fact} = [\"QEMU emulator version 7.\"] }}");
        let list = list.lines().map(|line| if line.trim_start().starts_with("host") { &host } else { line });
        let list = parse(&list.collect::<Vec<_>>().join("\n")).unwrap();
        let scenario = id.parse().unwrap();
        list.issues[0].concerns(Of { machine: "qemu", scenario: &scenario, by: By::Judge }, &facts)
    };
    for (id, ends_in_the_source) in [
        ("pf/x:idt:cold", true),
        ("pf/x:idt:cancel:resume", true),
        ("pf/x:idt:evict@frame:resume", true),
        ("pf/x:idt:none", false),
        ("pf/x:idt:cancel:migrate", false),
        ("pf/x:idt:cancel:migrate-process", false),
        ("pf/x:idt:storm:migrate", false),
    ] {
        assert_eq!(concerned("emulator", id), ends_in_the_source, "{id}");
        assert!(concerned("saved_by", id), "{id}");
    }
}

#[test]
fn any_case_may_be_meant_for_comparisons_only() {
    let with = |stops: &str| LIST.replace(SCENARIOS, &format!("cases = [\"*/*:idt\"]\n{stops}"));
    let list = parse(&with("stops = [\"compare\"]")).unwrap();
    assert!(list.issues[0].is_for_compare());
    for stops in ["", "stops = [\"cold\"]", "stops = [\"compare\", \"cold\"]"] {
        assert_eq!(parse(&with(stops)).unwrap_err().problem, Problem::AnyCase, "{stops}");
    }
    let both = with(&format!("stops = [\"compare\"]\n{SCENARIOS}"));
    assert!(parse(&both).is_err(), "scenarios are not for comparisons");
}

#[test]
fn a_prediction_explains_and_excuses_nothing() {
    let list = LIST
        .replace("[[issue]]", "[[prediction]]")
        .replace("{ kernel = [\"6.17.\", \"6.18.\"] }", "{ fred_series = [\"v9\"] }");
    let predictions = KnownIssues::parse_predictions("guess.toml", &list).unwrap();
    let known = KnownIssues { predictions, ..KnownIssues::default() };
    let stated = HostFacts { kvm_fred: true, fred_series: "v9".to_owned(), ..HostFacts::default() };
    let judged = |outcome, got: &str, facts| {
        let mut report = failed(outcome, got);
        let before = report.clone();
        known.apply(&mut report, facts);
        assert_eq!((report.outcome, &report.why), (before.outcome, &before.why));
        report.predicted.map(|predicted| predicted.to_string())
    };
    let text = "for the FRED series v9: rf: RF is lost (here)";
    assert_eq!(judged(Outcome::Fail, "0x2", &stated).as_deref(), Some(text));
    assert_eq!(judged(Outcome::Pass, "", &stated).as_deref(), Some(text), "it did not show");
    assert_eq!(judged(Outcome::Fail, "0x3", &stated), None);
    assert_eq!(judged(Outcome::Fail, "0x2", &HostFacts::default()), None, "nobody stated the series");

    let anybody = list.replace("fred_series", "vendor");
    let error = KnownIssues::parse_predictions("guess.toml", &anybody).unwrap_err().to_string();
    assert!(error.starts_with("guess.toml:7: `rf`: a prediction is for a FRED series"), "{error}");
    assert!(KnownIssues::parse_predictions("guess.toml", LIST).is_err(), "issues are in another list");
    assert!(parse(&list).is_err(), "and predictions are no issues");
}

#[test]
fn only_the_described_warning_of_the_described_host_is_known() {
    let list = r#"
        [[kernel_warning]]
        name = "ring"
        text = "WARNING: CPU: * at *virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+*"
        host = { kvm_module = ["kvm_pvm"] }
        reason = "full"
        reference = "here"
    "#;
    let known = parse(list).unwrap();
    let ring =
        "cut here\nWARNING: CPU: 0 PID: 9 at x/virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+0xe2/0xf0";
    let other = ring.replace("225", "226");
    let warning = |text: &str| KernelWarning { text: text.to_owned(), during: Vec::new() };
    let said = KernelSaid { warnings: vec![warning(ring), warning(&other)], unwatched: None };
    let here = HostFacts { kvm_module: "kvm kvm_pvm".to_owned(), ..HostFacts::default() };
    let judged = known.excuse(said.clone(), &here);
    assert_eq!((judged.said.warnings.as_slice(), judged.known.len()), ([warning(&other)].as_slice(), 1));
    assert_eq!(judged.exit_code(), 1);
    assert_eq!(known.excuse(said.clone(), &HostFacts::default()).said, said);
    assert_eq!(known.excuse(KernelSaid::default(), &here).exit_code(), 0);
    assert!(parse(&list.replace("kvm_module", "colour")).is_err());
}

#[test]
fn a_delivery_that_comes_late_differs_in_where_it_comes_and_in_nothing_else() {
    let late = LIST.lines().filter(|line| !line.contains("field")).collect::<Vec<_>>().join("\n");
    let late = late.replace("[[issue]]", "[[issue]]\nlate = 1\nintermittent = true");
    let known = parse(&late).unwrap();
    let judged = |differences: &[(Judged, u32, u64, u64)], why: Option<Finding>| {
        let mut report = failed(Outcome::Fail, "0x2");
        let one = |&(field, delivery, expected, got): &(Judged, u32, u64, u64)| Difference {
            field: Field::judged(field, Some(delivery)),
            expected: Value::Number(expected),
            got: Value::Number(got),
        };
        (report.differences, report.why) = (differences.iter().map(one).collect(), why);
        known.apply(&mut report, &linux("6.18.4"));
        report.outcome
    };
    let rip = (Judged::Rip, 1, 0x1000, 0x1010);
    assert_eq!(judged(&[rip], None), Outcome::Known);
    assert_eq!(judged(&[rip, (Judged::EntryRflags, 2, 2, 0x46)], None), Outcome::Known);
    assert_eq!(judged(&[(Judged::Entries, 0, 2, 1), (Judged::Rsp, 1, 0, 8)], None), Outcome::Known);
    let words = |words: &str| Some(Finding::guest(words));
    assert_eq!(judged(&[], words("vector 2 came inside an entry stub, RIP 0x1000")), Outcome::Known);
    // Not the late one, too few, too many, another field, after the return, other words.
    assert_eq!(judged(&[rip, (Judged::Rip, 0, 0x1000, 0x1010)], None), Outcome::Fail);
    assert_eq!(judged(&[(Judged::Entries, 0, 2, 0)], None), Outcome::Fail);
    assert_eq!(judged(&[(Judged::Entries, 0, 2, 3)], None), Outcome::Fail);
    assert_eq!(judged(&[rip, (Judged::EventData, 1, 1, 0)], None), Outcome::Fail);
    assert_eq!(judged(&[(Judged::Rip, RETURNED, 0x1000, 0x1010)], None), Outcome::Fail);
    assert_eq!(judged(&[], words("vector 2 came again and again, RIP 0x1000")), Outcome::Fail);
    assert_eq!(judged(&[], words("vector 14 came inside an entry stub, RIP 0x1000")), Outcome::Fail);
    assert_eq!(judged(&[], None), Outcome::Fail);
    for wrong in [late.replace("intermittent = true", ""), LIST.replace("[[issue]]", "[[issue]]\nlate = 1")] {
        assert!(parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_lists_built_in_are_sound() {
    KnownIssues::built_in().unwrap();
}
