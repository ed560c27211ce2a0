//! Each sentence of the proofs and of the verdict, by a machine whose guest is a script.
//!
//! On the model the guest and the machine are sound, or wrong in one place, and nothing there would notice if a
//! proof were believed without its reasons. Here each row is a run in which one thing is wrong, and says what
//! midflight must make of it. Every row is red once the check that it names is removed.
//!
//! | module | rows about, or what it holds |
//! |---|---|
//! | `fake`, `scene` | the machine, and the registers and memory of its VMs |
//! | `case_script` | the steps of a sound run, of which each row changes one |
//! | `verdict` | the guest's verdict |
//! | `ended` | guests and machines that stop where they should not |
//! | `page`, `again` | a page refuses the delivery, and once more: `block`, `private`, `uffd`, `hole`, `read-only` |
//! | `kernel` | stops that the kernel makes: `evict`, `ring` |
//! | `cancel`, `abandon`, `io` | an event in the queue |
//! | `access` | accesses of a delivery and of an event return, by their number |
//! | `act` | an access of the act itself |
//! | `storm` | signals |
//! | `host`, `migration` | what the host does to the guest, and where it takes it |
//! | `shown` | what is counted, and to whom the guest is shown |
//! | `probes` | probes of stops |
//!
//! Without embedded images there is nothing to run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod abandon;
mod access;
mod act;
mod again;
mod cancel;
mod case_script;
mod ended;
mod fake;
mod host;
mod io;
mod kernel;
mod migration;
mod page;
mod probes;
mod scene;
mod shown;
mod storm;
mod verdict;

use case_script::CaseScript;
use fake::{Scripted, State, Step};
use midflight::engine::runner::Runner;
use midflight::image::Image;
use midflight::images;
use midflight::migration::{Migrated, MigrationError};
use midflight::report::outcome::{Outcome, Report};
use midflight::report::words::reason;
use midflight::scenario::Scenario;
use midflight::stops::storm::StormBounds;
use midflight::stream::Guest;
use std::sync::OnceLock;
use std::time::Duration;

/// A run, and what midflight must make of it.
struct Row {
    /// What happens.
    name: &'static str,
    id: &'static str,
    script: fn(&CaseScript<'_>) -> Vec<Step>,
    outcome: Outcome,
    /// A part of the reason; of a pass, nothing.
    words: &'static str,
}

/// A case that has begun, and then these.
fn after<const N: usize>(of: &CaseScript<'_>, steps: [Step; N]) -> Vec<Step> {
    let mut all = of.begun();
    all.extend(steps);
    all
}

/// How a row is run, where that is not the usual way.
struct Conditions {
    fresh: fn(&mut State),
    storm: StormBounds,
    /// What another process makes of a guest that migrates there.
    to_process: Option<Answers>,
}

type Answers = fn(&Guest) -> Result<Migrated, MigrationError>;

impl Default for Conditions {
    fn default() -> Self {
        Self {
            fresh: |_| {},
            storm: StormBounds { cuts: 1, time: Duration::from_secs(60) },
            to_process: None,
        }
    }
}

/// The embedded images.
fn images() -> Option<&'static [Image]> {
    static IMAGES: OnceLock<Vec<Image>> = OnceLock::new();
    let images = IMAGES.get_or_init(|| match images::load(&[]) {
        Ok(images) => images,
        Err(images::ImagesError::None) => {
            eprintln!("skipped, nothing tested: this build carries no images");
            Vec::new()
        }
        Err(error) => panic!("{error}"),
    });
    (!images.is_empty()).then_some(images)
}

/// Runs `script` as the scenario `id`; how many of its steps nobody ran.
fn run(
    id: &str,
    script: impl FnOnce(&CaseScript<'_>) -> Vec<Step>,
    conditions: &Conditions,
) -> Option<(Report, usize)> {
    let images = images()?;
    let scenario: Scenario = id.parse().unwrap();
    let image: &Image = images.iter().find(|image| image.name == scenario.image).unwrap();
    let (index, case) = image.case(&scenario.case).unwrap();
    let steps = script(&CaseScript { image, case, index, delivery: scenario.delivery });
    let mut machine = Scripted::new(steps);
    machine.fresh = conditions.fresh;
    let mut runner = Runner::new(&machine, None, Duration::from_secs(600));
    runner.storm = conditions.storm;
    if let Some(answers) = conditions.to_process {
        runner.to_process = Some(Box::new(move |guest, _, _| answers(guest)));
    }
    let report = runner.run(image, &scenario);
    Some((report, machine.left()))
}

/// Runs each row, and asks that it comes to its outcome, for its reason, with its whole script run.
#[track_caller]
fn check(rows: &[Row], conditions: &Conditions) {
    let wrong: Vec<String> = rows.iter().filter_map(|row| wrong(row, conditions)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(row: &Row, conditions: &Conditions) -> Option<String> {
    let Row { name, id, script, outcome, words } = row;
    let (report, left) = run(id, script, conditions)?;
    let differences = report.differences.iter();
    let differences = differences.map(|d| format!("{} expected {}, got {}", d.field, d.expected, d.got));
    let seen = differences.chain(reason(&report)).collect::<Vec<_>>().join("; ");
    let says = if words.is_empty() { seen.is_empty() } else { seen.contains(words) };
    let right = report.outcome == *outcome && says && left == 0;
    let got = report.outcome;
    (!right).then(|| {
        format!("{name} ({id}): {got:?} for `{seen}`, {left} steps left; {outcome:?} for `{words}` expected")
    })
}
