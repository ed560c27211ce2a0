use super::*;
use vm::Difference;

const LIST: &str = r#"
    [[issue]]
    name = "rf"
    machine = "kvm"
    scenarios = ["pf/x:idt:nopayload:io:migrate"]
    failure = "RFLAGS expected 0x10002, got 0x2"
    host = { kernel = ["6.17.", "6.18."] }
    reason = "RF is lost"
    reference = "here"
"#;

fn judged(outcome: Outcome, got: &str, kernel: &str) -> Report {
    let scenario = "pf/x:idt:nopayload:io:migrate".parse().unwrap();
    let mut report = Report::new(&scenario, "kvm", None).concluded(outcome, None);
    if outcome == Outcome::Fail {
        let (field, expected) = ("RFLAGS".to_owned(), "0x10002".to_owned());
        report.set_differences(vec![Difference { field, expected, got: got.to_owned() }]);
    }
    let facts = HostFacts { kernel: kernel.to_owned(), ..HostFacts::default() };
    KnownIssues::parse(LIST).unwrap().apply(&mut report, &facts);
    report
}

#[test]
fn only_the_described_failure_is_known() {
    assert_eq!(judged(Outcome::Fail, "0x2", "6.18.44").outcome, Outcome::Known);
    assert_eq!(judged(Outcome::Fail, "0x3", "6.18.44").outcome, Outcome::Fail);
    assert_eq!(judged(Outcome::Fail, "0x2", "6.19.1").outcome, Outcome::Fail);
}

#[test]
fn a_pass_is_a_failure_of_the_list_unless_the_issue_depends_on_time() {
    assert_eq!(judged(Outcome::Pass, "", "6.18.44").outcome, Outcome::Fail);
    let list = LIST.replace("host =", "intermittent = true\nhost =");
    let facts = HostFacts { kernel: "6.18.1".to_owned(), ..HostFacts::default() };
    let scenario = "pf/x:idt:nopayload:io:migrate".parse().unwrap();
    let mut report = Report::new(&scenario, "kvm", None).concluded(Outcome::Pass, None);
    KnownIssues::parse(&list).unwrap().apply(&mut report, &facts);
    assert_eq!(report.outcome, Outcome::Pass);
}

#[test]
fn a_case_stands_for_all_its_scenarios() {
    let list = LIST.replace("scenarios = [\"pf/x:idt:nopayload:io:migrate\"]", "cases = [\"pf/x:idt\"]");
    let issue = &KnownIssues::parse(&list).unwrap().issues[0];
    let facts = HostFacts { kernel: "6.18.1".to_owned(), ..HostFacts::default() };
    let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
    assert!(concerns("pf/x:idt:cold") && concerns("pf/x:idt:cancel:resume"));
    assert!(!concerns("pf/x:fred:cold") && !concerns("pf/xx:idt:cold"));

    let list = list.replace("cases =", "stops = [\"cold\", \"block@frame\"]\ncases =");
    let issue = &KnownIssues::parse(&list).unwrap().issues[0];
    let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
    assert!(concerns("pf/x:idt:cold") && concerns("pf/x:idt:nopayload:block@frame:migrate"));
    assert!(!concerns("pf/x:idt:none") && !concerns("pf/x:idt:cancel:resume"));
    assert!(!concerns("pf/x:idt:block@pt:resume"));

    let any_place = list.replace("block@frame", "block@*");
    let issue = &KnownIssues::parse(&any_place).unwrap().issues[0];
    let report = |id: &str| Report::new(&id.parse().unwrap(), "kvm", None);
    assert!(issue.concerns(&report("pf/x:idt:block@pt:resume"), &facts));
    assert!(!issue.concerns(&report("pf/x:idt:evict@pt:resume"), &facts));

    let list = list.replace("cases =", "actions = [\"migrate\"]\ncases =");
    let issue = &KnownIssues::parse(&list).unwrap().issues[0];
    let concerns = |id: &str| issue.concerns(&Report::new(&id.parse().unwrap(), "kvm", None), &facts);
    assert!(concerns("pf/x:idt:block@frame:migrate"));
    assert!(!concerns("pf/x:idt:block@frame:resume") && !concerns("pf/x:idt:cold"));
}

#[test]
fn any_case_may_be_meant_for_comparisons_only() {
    let scenarios = "scenarios = [\"pf/x:idt:nopayload:io:migrate\"]";
    let with = |stops: &str| LIST.replace(scenarios, &format!("cases = [\"*/*:idt\"]\n{stops}"));
    let list = KnownIssues::parse(&with("stops = [\"compare\"]")).unwrap();
    assert!(list.issues[0].is_for_compare());
    for stops in ["", "stops = [\"cold\"]", "stops = [\"compare\", \"cold\"]"] {
        assert!(matches!(KnownIssues::parse(&with(stops)), Err(KnownIssuesError::Pattern(_))), "{stops}");
    }
    let both = with(&format!("stops = [\"compare\"]\n{scenarios}"));
    assert!(KnownIssues::parse(&both).is_err(), "scenarios are not for comparisons");
}

#[test]
fn an_issue_that_does_not_show_is_a_failure() {
    let report = judged(Outcome::Pass, "", "6.18.44");
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(report.reason.unwrap().contains("remove the scenario"));
    assert_eq!(judged(Outcome::Pass, "", "6.1.0").outcome, Outcome::Pass);
}

#[test]
fn a_broken_list_is_refused() {
    assert!(KnownIssues::parse("[[issue]]\nname = 1").is_err());
    assert!(KnownIssues::parse(&LIST.replace("io:migrate", "io:fly")).is_err());
    assert!(
        KnownIssues::parse(&LIST.replace("scenarios = [", "cases = [\"pf/x:gdt\"]\nscenarios = [")).is_err()
    );
    assert!(KnownIssues::parse(&LIST.replace("\"kvm\"", "\"model\"")).is_err());
    assert!(KnownIssues::parse(&LIST.replace("{ kernel = [\"6.17.\", \"6.18.\"] }", "{}")).is_err());
    assert!(KnownIssues::parse(&LIST.replace("kernel =", "colonel =")).is_err());
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
    let known = KnownIssues::parse(list).unwrap();
    let ring =
        "cut here\nWARNING: CPU: 0 PID: 9 at x/virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+0xe2/0xf0";
    let other = ring.replace("225", "226");
    let said = KernelSaid { warnings: vec![ring.to_owned(), other.clone()], unwatched: None };
    let here = HostFacts { kvm_module: "kvm kvm_pvm".to_owned(), ..HostFacts::default() };
    let judged = known.excuse(said.clone(), &here);
    assert_eq!((judged.said.warnings.as_slice(), judged.known.len()), ([other].as_slice(), 1));
    assert_eq!(judged.exit_code(), 1);
    assert_eq!(known.excuse(said.clone(), &HostFacts::default()).said, said);
    assert_eq!(known.excuse(KernelSaid::default(), &here).exit_code(), 0);
    assert!(KnownIssues::parse(&list.replace("kvm_module", "colour")).is_err());
}

#[test]
fn the_list_built_in_is_sound() {
    KnownIssues::parse(BUILT_IN).unwrap();
}
