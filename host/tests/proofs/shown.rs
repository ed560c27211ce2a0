//! What a run counts, and whom it shows the guest to.

use crate::access::{counts, refused};
use crate::after;
use crate::case_script::CaseScript;
use crate::fake::Scripted;
use crate::{Conditions, images, run};
use midflight::engine::runner::{Runner, StoppedAt};
use midflight::report::outcome::Outcome::{Error, Pass};
use midflight::scenario::Scenario;
use std::cell::RefCell;
use std::time::Duration;

#[test]
fn each_proved_cut_is_counted() {
    let counted = |id: &str, blocked: usize| {
        let script = |of: &CaseScript<'_>| {
            let mut steps = of.begun();
            steps.extend((0..blocked).map(|_| of.blocked()));
            steps.push(of.passed());
            steps
        };
        run(id, script, &Conditions::default()).map(|(report, _)| (report.outcome, report.cuts))
    };
    let Some(once) = counted("pf/read-unmapped:fred:block@frame:resume", 2) else { return };
    assert_eq!(once, (Pass, 1), "a stop is tried twice, and is one cut");
    assert_eq!(counted("pf/read-unmapped:fred:block@frame:again=1", 3), Some((Pass, 2)));
    let pair = |of: &CaseScript<'_>| after(of, [refused(of, 3), refused(of, 5), of.passed()]);
    let ran = run("pf/read-unmapped:fred:access@3,5:resume", pair, &counts());
    assert_eq!(ran.map(|(report, _)| (report.outcome, report.cuts)), Some((Pass, 2)));
}

/// Where the event was delivered all the same, there was none.
#[test]
fn a_cut_that_was_none_is_not_counted() {
    let script = |of: &CaseScript<'_>| after(of, [of.blocked(), of.passed().anyway()]);
    let ran = run("pf/read-unmapped:fred:block@frame:resume", script, &Conditions::default());
    let Some((report, _)) = ran else { return };
    assert_eq!((report.outcome, report.cut, report.cuts), (Error, None, 0));
}

#[test]
fn the_guest_is_shown_wherever_it_stands_still() {
    let Some(images) = images() else { return };
    let scenario: Scenario = "pf/read-unmapped:fred:block@frame:resume".parse().unwrap();
    let image = images.iter().find(|image| image.name == scenario.image).unwrap();
    let (index, case) = image.case(&scenario.case).unwrap();
    let of = CaseScript { image, case, index, delivery: scenario.delivery };
    let machine = Scripted::new(after(&of, [of.blocked(), of.blocked(), of.passed()]));
    let (shown, seen) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let mut runner = Runner::new(&machine, None, Duration::from_secs(600));
    runner.on_stopped = Some(Box::new(|at, _| shown.borrow_mut().push(at)));
    runner.on_seen = Some(Box::new(|place| seen.borrow_mut().push(place.to_owned())));
    assert_eq!(runner.run(image, &scenario).outcome, Pass);
    drop(runner);
    assert_eq!(shown.into_inner(), [StoppedAt::Armed, StoppedAt::Cut, StoppedAt::Done]);
    let act = format!("at pf.read-unmapped.act ({:#x})", case.act);
    assert_eq!(seen.into_inner(), [format!("armed {act}"), format!("cut {act}")]);
}
