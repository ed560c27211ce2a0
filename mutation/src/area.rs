//! What is given faults, and what must notice them.

use crate::error::Error;
use crate::tree::{read_dir, root};
use std::path::Path;

/// A part of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its files and directories.
    pub(crate) sources: &'static [&'static str],
    /// What of these is left out.
    pub(crate) without: &'static [&'static str],
    /// How cargo builds what checks it.
    pub(crate) build: &'static [&'static str],
    /// What is run, one after the other until one fails; none for a test, which is the whole program.
    pub(crate) checks: &'static [&'static [&'static str]],
}

/// The scenarios on the model, in three stages: without stops; the selection of `--cover`; a quarter of all.
const SCENARIOS: [&[&str]; 3] = [
    &["run", "*:none", "--machine", "model", "--format", "json"],
    &["run", "--cover", "--machine", "model", "--format", "json"],
    &["run", "--partition", "1/4", "--machine", "model", "--format", "json"],
];

const MIDFLIGHT: [&str; 5] = ["build", "--locked", "--release", "-p", "midflight"];

/// The processor and the hypervisor of the model.
///
/// Left out: what the processor's integer instructions compute, which `model/tests/silicon` compares with a real
/// processor; wrong behaviours, which `midflight mutants` is about; what only prints; I/O that no guest here can see.
pub(crate) const MODEL: Area = Area {
    name: "model",
    sources: &["model/src"],
    without: &[
        "model/src/cpu/arithmetic.rs",
        "model/src/cpu/bit.rs",
        "model/src/cpu/bmi.rs",
        "model/src/cpu/cache.rs",
        "model/src/cpu/decode.rs",
        "model/src/cpu/decoded.rs",
        "model/src/cpu/dispatch.rs",
        "model/src/cpu/flags.rs",
        "model/src/cpu/moves.rs",
        "model/src/cpu/operand.rs",
        "model/src/cpu/plain.rs",
        "model/src/cpu/shift.rs",
        "model/src/cpu/floating_point.rs",
        "model/src/hypervisor/behaviour/flaws.rs",
        "model/src/hypervisor/behaviour/injected.rs",
        "model/src/hypervisor/behaviour/intercepts.rs",
        "model/src/hypervisor/behaviour/proposals.rs",
        "model/src/hypervisor/clock.rs",
        "model/src/hypervisor/trace.rs",
        "model/src/hypervisor/tracepoints.rs",
        "model/src/lib.rs",
    ],
    build: &MIDFLIGHT,
    checks: &SCENARIOS,
};

/// The stops, the proofs of a cut and the verdict, which a scripted VM checks: `host/tests/proofs`.
pub(crate) const PROOFS: Area = Area {
    name: "proofs",
    sources: &[
        "host/src/stops",
        "host/src/engine/verdict.rs",
        "host/src/engine/runner",
        "host/src/engine/disturb.rs",
    ],
    without: &[],
    build: &["test", "--no-run", "--locked", "--release", "-p", "midflight", "--test", "proofs"],
    checks: &[],
};

/// The guest's judge, which tables of frames check: `guest/src/judge/tests`.
pub(crate) const JUDGE: Area = Area {
    name: "judge",
    sources: &["guest/src/judge"],
    without: &["guest/src/judge/tests.rs", "guest/src/judge/tests"],
    build: &["test", "--no-run", "--locked", "--release", "-p", "midflight-guest", "--lib"],
    checks: &[],
};

/// The faults that somebody wrote down without looking at the cases: any file.
pub(crate) const HELD_OUT: Area =
    Area { name: "held-out", sources: &[], without: &[], build: &MIDFLIGHT, checks: &SCENARIOS };

/// All of them.
pub(crate) const ALL: [Area; 4] = [MODEL, PROOFS, JUDGE, HELD_OUT];

impl Area {
    /// Its source files, from the root of the tree.
    pub(crate) fn files(&self) -> Result<Vec<String>, Error> {
        let mut files = Vec::new();
        for source in self.sources {
            self.collect(source, &mut files)?;
        }
        Ok(files)
    }

    fn collect(&self, path: &str, files: &mut Vec<String>) -> Result<(), Error> {
        let whole = root().join(path);
        if self.without.contains(&path) {
            return Ok(());
        }
        if whole.is_dir() {
            for entry in read_dir(&whole)? {
                let name = entry.strip_prefix(root()).unwrap_or(&entry).to_string_lossy().into_owned();
                self.collect(&name, files)?;
            }
        } else if Path::new(path).extension().is_some_and(|end| end == "rs") {
            files.push(path.to_owned());
        }
        Ok(())
    }
}
