//! Storms on hosts of different speed: the model, whose KVM_RUNs take as long as a test wants before
//! they enter the guest.

use crate::binary::{image, images};
use midflight::engine::runner::Runner;
use midflight::report::outcome::{Outcome, Report};
use midflight::report::words::reason;
use midflight::scenario::{self, Plan, Scenario, Stop};
use midflight::stops::storm::StormBounds;
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::time::{Duration, Instant};

/// Every KVM_RUN with a signal returns with the guest where it was.
const NEVER: Option<Duration> = None;

fn micros(count: u64) -> Option<Duration> {
    Some(Duration::from_micros(count))
}

/// Runs `id` where the first `runs` KVM_RUNs of each VM take `takes`.
fn storm(id: &str, takes: Option<Duration>, runs: u32, bounds: StormBounds) -> Option<Report> {
    let scenario: Scenario = id.parse().unwrap();
    let image = image(&scenario.image)?;
    let machine = ModelMachine::new(&CORRECT).slow_to_enter(takes, runs);
    let mut runner = Runner::new(&machine, None, Duration::from_secs(60));
    runner.storm = bounds;
    Some(runner.run(&image, &scenario))
}

/// From one that enters the guest at once to one that takes longer than any guest of the model's; and
/// such that do not let the first signals interrupt anything but themselves.
#[test]
fn a_storm_meets_its_event_however_long_a_host_takes_to_enter_the_guest() {
    let bounds = StormBounds { cuts: 3, time: Duration::from_secs(50) };
    for image in images() {
        // One scenario of each case, at one speed after the other.
        let storms = scenario::all(&image).into_iter().filter(
            |scenario| matches!(scenario.plan, Plan::Cut(Stop::Storm(_), action) if action.migrate.is_none()),
        );
        let speeds = [(micros(0), 0), (micros(50), u32::MAX), (micros(300), u32::MAX), (NEVER, 100)];
        for (scenario, (takes, runs)) in storms.zip(speeds.into_iter().cycle()) {
            let report = storm(&scenario.to_string(), takes, runs, bounds).unwrap();
            let seen = (report.outcome, report.cuts, &reason(&report));
            assert_eq!(seen, (Outcome::Pass, 3, &None), "{scenario}: {takes:?} for {runs} runs");
        }
    }
}

#[test]
fn a_storm_that_cuts_nothing_obeys_its_bound_and_says_what_it_did() {
    let bounds = StormBounds { cuts: 1, time: Duration::from_millis(200) };
    let start = Instant::now();
    let Some(report) = storm("pf/read-ring3:idt:storm:resume", NEVER, u32::MAX, bounds) else { return };
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!((report.outcome, report.cut), (Outcome::Error, None));
    let reason = reason(&report).unwrap();
    let numbers: Vec<u64> = reason.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Of how many runs none was cut, and one was wanted; how many signals came, how many in vain.
    let [0, runs, 1, signals, still] = numbers[..] else { panic!("{reason}") };
    assert!(runs > 2 && signals > 0 && still == signals, "{reason}");
    assert!(reason.contains("were cut in time, 1 were required"), "{reason}");
    assert!(reason.contains("; the last found it at pf.read-ring3."), "{reason}");
}

#[test]
fn on_the_model_a_seed_replays_its_storm() {
    let bounds = StormBounds { cuts: 8, time: Duration::from_secs(50) };
    let queue = |seed: u32| {
        let id = format!("pf/read-unmapped:fred:storm={seed}:migrate");
        storm(&id, micros(7), u32::MAX, bounds).map(|report| (report.outcome, report.queue))
    };
    let Some(first) = queue(1) else { return };
    assert_eq!(first.0, Outcome::Pass);
    assert_eq!(queue(1), Some(first.clone()));
    assert!((2..20).any(|seed| queue(seed) != Some(first.clone())), "every seed is the same");
}
