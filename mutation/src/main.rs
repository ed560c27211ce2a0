//! Puts faults of one line into a copy of the tree, and says which the suite notices: `make mutation`.
//!
//! | module | holds |
//! |---|---|
//! | `area`, `without` | what is given faults, and what must notice them; what is left out, and why |
//! | `fault`, `find`, `lists` | a fault; those that the syntax offers; those that are written down |
//! | `schema`, `tree`, `build` | all faults in one text, behind switches; the copy of the tree; its one build |
//! | `check`, `round` | whether a fault is noticed; the round of an area |
//! | `survivors`, `page` | what is known of survivors; docs/mutation.md |

#![forbid(unsafe_code)]

mod area;
mod build;
mod check;
mod error;
mod fault;
mod find;
mod lists;
mod page;
mod round;
mod schema;
mod survivors;
mod tree;
mod without;

use area::Area;
use check::Fate;
use error::Error;
use page::Count;
use round::Results;
use std::process::ExitCode;
use survivors::Survivors;

const USAGE: &str = "usage: midflight-mutation [--sample N] [--seed S] [--keep] [--page] [AREA…]\n\
                     N faults of each area, 0 for every place; --keep: what was noticed last time is not tried again; \
                     --page: nothing is tried, docs/mutation.md is written from the last rounds";

/// The command line.
struct Options {
    sample: usize,
    seed: u64,
    keep: bool,
    page: bool,
    all: Vec<Area>,
    /// Those of them that are tried.
    areas: Vec<Area>,
}

fn options() -> Result<Options, Error> {
    let usage = || Error::Usage(USAGE.to_owned());
    let mut options =
        Options { sample: 200, seed: 1, keep: false, page: false, all: area::all()?, areas: Vec::new() };
    let mut chosen: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok()).ok_or_else(usage);
        match argument.as_str() {
            "--sample" => options.sample = usize::try_from(number()?).map_err(|_| usage())?,
            "--seed" => options.seed = number()?,
            "--keep" => options.keep = true,
            "--page" => options.page = true,
            name => chosen.push(name.to_owned()),
        }
    }
    if options.sample == 0 {
        options.sample = usize::MAX;
    }
    if chosen.iter().any(|name| options.all.iter().all(|area| area.name != *name)) {
        return Err(usage());
    }
    let is_chosen = |area: &&Area| chosen.is_empty() || chosen.iter().any(|name| area.name == *name);
    options.areas = options.all.iter().filter(is_chosen).cloned().collect();
    Ok(options)
}

fn run() -> Result<bool, Error> {
    let options = options()?;
    let survivors = Survivors::committed()?;
    if !options.page {
        for area in &options.areas {
            round::round(area, options.sample, options.seed, options.keep)?;
        }
    }
    let rounds: Vec<(Area, Results)> = options
        .all
        .into_iter()
        .map(|area| {
            let results = round::results(&area);
            (area, results)
        })
        .collect();
    let file = tree::root().join("docs/mutation.md");
    std::fs::write(&file, page::page(&rounds, &survivors)).map_err(|error| Error::File(file, error))?;
    let defects: Vec<String> =
        rounds.iter().flat_map(|(area, results)| defects(area, results, &survivors)).collect();
    for defect in &defects {
        eprintln!("DEFECT: {defect}");
    }
    Ok(defects.is_empty())
}

/// A sentence for each survivor that nobody has examined, each that does not survive, and a share that is too small.
fn defects(area: &Area, results: &Results, survivors: &Survivors) -> Vec<String> {
    let mut defects = Vec::new();
    if results.faults.is_empty() {
        return defects;
    }
    // Faults of the same words at several places are one entry: the entry stays as long as one of them survives.
    let survives = |key: &str| results.faults.iter().any(|one| one.key == key && one.fate == Fate::Survived);
    for fault in &results.faults {
        let known = survivors.equivalent(&fault.key).or_else(|| survivors.gap(&fault.key)).is_some();
        match (fault.fate == Fate::Survived, known) {
            (true, false) => {
                defects.push(format!("{} survives, and mutation/survivors.toml does not say why", fault.key))
            }
            (false, true) if !survives(&fault.key) => {
                defects.push(format!("{} is noticed: take it out of mutation/survivors.toml", fault.key))
            }
            (true, true) | (false, _) => {}
        }
    }
    let (share, least) = (
        Count::of(results, survivors).share(),
        survivors.least.get(area.name.as_ref()).copied().unwrap_or(100.0),
    );
    if share < least {
        defects.push(format!(
            "{}: {share:.1} % of the faults are noticed, and at least {least} % must be",
            area.name
        ));
    }
    defects
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("midflight-mutation: {error}");
            ExitCode::from(2)
        }
    }
}
