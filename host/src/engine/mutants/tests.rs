use super::*;

fn used(cut: bool, useful: bool) -> Used {
    let id = format!("db/step:fred:{}", if cut { "cancel:resume" } else { "cold" });
    Used { id, cut, useful }
}

/// What is said of a behaviour that failed in `kills` cases, with these counts.
fn defect(behaviour: &'static Behaviour, kills: usize, totals: Totals) -> Option<String> {
    let report = Report::new(&"db/step:fred:cold".parse().unwrap(), "model", None);
    let kill = Kill { scenarios: 1, first: report };
    let kills = (0..kills).map(|case| (case.to_string(), kill.clone())).collect();
    Row { behaviour, totals, kills, errors: Vec::new() }.defect()
}

#[test]
fn a_skip_is_a_defect_of_every_behaviour() {
    let skip =
        |behaviour, kills| defect(behaviour, kills, Totals { skip: 1, fail: kills, ..Totals::default() });
    for said in [skip(&behaviour::CORRECT, 0), skip(&behaviour::flaws::NESTED_LOST, KILLS)] {
        assert!(
            said.is_some_and(|said| said.ends_with("1 scenarios were skipped; the model can do everything"))
        );
    }
}

#[test]
fn what_a_correct_behaviour_fails_and_a_wrong_one_passes_is_a_defect() {
    let [correct, wrong] = [&behaviour::CORRECT, &behaviour::flaws::NESTED_LOST];
    let none = Totals { pass: 9, ..Totals::default() };
    assert_eq!(defect(correct, 0, none), None);
    assert!(defect(correct, 1, Totals { fail: 1, ..none }).is_some());
    assert!(defect(correct, 0, Totals { error: 1, ..none }).is_some());
    assert_eq!(defect(wrong, KILLS, Totals { fail: 9, error: 1, ..none }), None);
    assert!(defect(wrong, KILLS - 1, Totals { fail: 9, ..none }).is_some());
}

#[test]
fn what_has_caught_nothing_is_asked_again() {
    let scenario = |id: &str| -> Scenario { id.parse().unwrap() };
    let [cold, cut, other] =
        ["cold", "cancel:resume", "block@frame:resume"].map(|plan| scenario(&format!("db/step:fred:{plan}")));
    let mut useful = Useful::default();
    assert!([&cold, &cut, &other].iter().all(|one| useful.is_asked(one)));
    let report = |outcome| Report { outcome, ..Report::new(&cut, "model", None) };
    useful.add(&[report(Outcome::Pass), report(Outcome::Error)]);
    assert!(useful.is_asked(&cut));
    useful.add(&[report(Outcome::Fail)]);
    assert!(!useful.is_asked(&cut) && !useful.is_asked(&cold));
    // Another cut answers for itself, and so does a case's control where nothing of the case has caught any.
    assert!(useful.is_asked(&other) && useful.is_asked(&scenario("db/other:fred:cold")));
}

#[test]
fn a_case_that_catches_nothing_is_marked_or_a_defect() {
    let controls = [used(false, false), used(false, false)];
    assert_eq!(idle_of("db/step", true, &controls), [""; 0]);
    let [defect] = &idle_of("db/step", false, &controls)[..] else { panic!() };
    assert!(defect.contains("db/step fails with no wrong behaviour and is not marked"), "{defect}");
    // With cuts that catch nothing either.
    assert_eq!(idle_of("db/step", true, &[used(false, false), used(true, false)]), [""; 0]);
    assert_eq!(idle_of("db/step", false, &[used(false, false), used(true, false)]).len(), 1);
}

#[test]
fn a_stale_mark_is_a_defect() {
    for useful in [used(false, true), used(true, true)] {
        let [defect] = &idle_of("db/step", true, &[used(false, false), useful])[..] else { panic!() };
        assert!(defect.contains("the mark is stale"), "{defect}");
    }
}

#[test]
fn a_cut_answers_for_itself_and_a_control_by_its_case() {
    assert_eq!(idle_of("db/step", false, &[used(false, false), used(true, true)]), [""; 0]);
    let idle = idle_of("db/step", false, &[used(false, true), used(true, false)]);
    assert_eq!(idle, ["db/step:fred:cancel:resume fails with no wrong behaviour"]);
}
