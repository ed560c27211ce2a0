//! One round: an area's faults, built once and checked one by one.

use crate::area::Area;
use crate::build::build;
use crate::check::{Checks, Fate};
use crate::error::Error;
use crate::fault::Fault;
use crate::find;
use crate::tree::{Tree, read, root};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a round found; kept in `target/mutation`, so that the page can be written from several rounds.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// How many places for a fault the area's syntax has.
    pub(crate) places: usize,
    /// How many were chosen; with what seed.
    pub(crate) chosen: usize,
    pub(crate) seed: u64,
    /// Those that compile.
    pub(crate) faults: Vec<Tried>,
}

/// A fault that was tried.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) sentence: String,
    pub(crate) fate: Fate,
}

fn directory() -> PathBuf {
    root().join("target/mutation")
}

fn kept(area: &Area) -> PathBuf {
    directory().join(format!("{}.json", area.name))
}

/// The results of an area's last round; empty if there is none.
pub(crate) fn results(area: &Area) -> Results {
    fs::read_to_string(kept(area)).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The faults of an area: all that are written down, or `sample` of those that the syntax offers.
fn choose(area: &Area, sample: usize, seed: u64) -> Result<(usize, Vec<Fault>), Error> {
    if let Some(list) = &area.list {
        return Ok((list.faults.len(), list.faults.clone()));
    }
    let mut all = Vec::new();
    for file in area.files()? {
        let source = read(&root().join(&file))?;
        all.extend(find::faults(&file, &source).map_err(|error| Error::Syntax(file, error))?);
    }
    all.retain(|fault| !area.leaves_out(&format!("{} {}", fault.file, fault.name)));
    let places = all.len();
    all.sort_by_cached_key(|fault| rank(seed, fault));
    all.truncate(sample);
    Ok((places, all))
}

/// Where a seed puts a fault. It depends on nothing else, so that a sample stays as it is where the tree does: what is
/// new is in it or not, and nothing else moves. Another release of the toolchain may hash otherwise.
fn rank(seed: u64, fault: &Fault) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, fault.key()).hash(&mut hasher);
    hasher.finish()
}

/// Carries out a round. With `keep`, what an earlier round has found of a fault is taken from it.
pub(crate) fn round(area: &Area, sample: usize, seed: u64, keep: bool) -> Result<Results, Error> {
    let earlier = if keep { results(area).faults } else { Vec::new() };
    let (places, faults) = choose(area, sample, seed)?;
    let tree = Tree::copy(directory().join("tree"))?;
    let (mut programs, mut built) = (Vec::new(), Vec::new());
    for (number, check) in area.checks.iter().enumerate() {
        let program;
        (program, built) = build(&tree, &directory().join("build"), check.build, &faults)?;
        // The next build puts its own program there.
        let own = directory().join(format!("{}-program-{number}", area.name));
        fs::copy(&program, &own).map_err(|error| Error::File(own.clone(), error))?;
        programs.push(own);
    }
    let checks = Checks::of(area, &programs, &tree)?;
    let results = Results { places, chosen: faults.len(), seed, faults: Vec::new() };
    try_all(area, &checks, &built, &faults, &earlier, results)
}

/// Tries the faults, as many at a time as there are processors. The results are in the order of the faults.
fn try_all(
    area: &Area,
    checks: &Checks,
    built: &[usize],
    faults: &[Fault],
    earlier: &[Tried],
    results: Results,
) -> Result<Results, Error> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new((BTreeMap::new(), results)));
    let work = || -> Result<(), Error> {
        while let Some(&number) = built.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(fault) = faults.get(number) else { continue };
            let tried = one(checks, number, fault, earlier)?;
            eprintln!("{} {}", word(&tried.fate), tried.key);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0.insert(number, tried);
            results.1.faults = results.0.values().cloned().collect();
            save(area, &results.1)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
    })?;
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner).1)
}

fn one(checks: &Checks, number: usize, fault: &Fault, earlier: &[Tried]) -> Result<Tried, Error> {
    let key = fault.key();
    let known = earlier.iter().find(|one| one.key == key && one.fate != Fate::Survived);
    let fate = match known {
        Some(known) => known.fate.clone(),
        None => checks.fate(number)?,
    };
    let (name, sentence) = (fault.name.clone(), fault.sentence.clone());
    Ok(Tried { key, name, sentence, fate })
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Killed(_) => "killed  ",
        Fate::Broken(_) => "broken  ",
        Fate::Survived => "SURVIVED",
    }
}

fn save(area: &Area, results: &Results) -> Result<(), Error> {
    let file = kept(area);
    let text = serde_json::to_string_pretty(results).unwrap_or_default();
    fs::write(&file, text).map_err(|error| Error::File(file, error))
}
