//! What is given faults, and what must notice them.

use crate::error::Error;
use crate::lists::{List, lists};
use crate::tree::{read_dir, root};
use crate::without;
use std::borrow::Cow;
use std::path::Path;

/// A part of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    /// What it is called.
    pub(crate) name: Cow<'static, str>,
    /// Its faults, if they are written down; otherwise they are those that the syntax of its sources offers.
    pub(crate) list: Option<List>,
    /// Its files and directories.
    pub(crate) sources: &'static [&'static str],
    /// What of these is left out: files, directories, and functions after the name of their file; and why.
    pub(crate) without: &'static [(&'static str, &'static str)],
    /// What is run, one after the other until one fails.
    pub(crate) checks: &'static [Check],
}

/// A program that notices faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// How cargo builds it.
    pub(crate) build: &'static [&'static str],
    /// Where it runs, from the root of the tree.
    pub(crate) directory: &'static str,
    /// The arguments of its runs, one after the other until one fails.
    pub(crate) runs: &'static [&'static [&'static str]],
}

/// The end of a run once this many scenarios have failed, which are scenarios of several cases: nothing more is to be
/// learnt about the fault. One at a time, because as many faults as there are processors are tried at once.
macro_rules! run {
    ($($selection:literal),*) => {
        &["run", $($selection,)* "--machine", "model", "--format", "json", "--jobs", "1", "--max-fail", "60"]
    };
}

/// The scenarios on the model, in stages: without stops; the same where no exception and where every exception is
/// intercepted, which is another way to the handler; the selection of `--cover`; a quarter of all.
const SCENARIOS: Check = Check {
    build: &["build", "--locked", "--release", "-p", "midflight"],
    directory: "host",
    runs: &[
        run!("*:none", "*:cold"),
        run!("*:none", "--behaviour", "intercept-nothing"),
        run!("*:none", "--behaviour", "intercept-everything"),
        run!("--cover"),
        run!("--partition", "1/4"),
    ],
};

/// A test, whole.
const WHOLE: &[&[&str]] = &[&[]];

/// The processor and the hypervisor of the model.
const MODEL: Area = Area {
    name: Cow::Borrowed("model"),
    list: None,
    sources: &["model/src"],
    without: &without::MODEL,
    checks: &[SCENARIOS],
};

/// The stops, the proofs of a cut and the verdict, which a scripted VM checks, `host/tests/proofs`; and then scenarios.
const PROOFS: Area = Area {
    name: Cow::Borrowed("proofs"),
    list: None,
    sources: &[
        "host/src/stops",
        "host/src/engine/verdict.rs",
        "host/src/engine/runner",
        "host/src/engine/disturb.rs",
    ],
    without: &without::PROOFS,
    checks: &[
        Check {
            build: &["test", "--no-run", "--locked", "--release", "-p", "midflight", "--test", "proofs"],
            directory: "host",
            runs: WHOLE,
        },
        SCENARIOS,
    ],
};

/// The guest's judge, which tables of frames check: `guest/src/judge/tests`.
const JUDGE: Area = Area {
    name: Cow::Borrowed("judge"),
    list: None,
    sources: &["guest/src/judge"],
    without: &without::JUDGE,
    checks: &[Check {
        build: &["test", "--no-run", "--locked", "--release", "-p", "midflight-guest", "--lib"],
        directory: "guest",
        runs: WHOLE,
    }],
};

/// All of them: these, and one for each list of faults that somebody wrote down, which may be in any file.
pub(crate) fn all() -> Result<Vec<Area>, Error> {
    let written_down = lists()?.into_iter().map(|list| Area {
        name: list.name.clone().into(),
        list: Some(list),
        sources: &[],
        without: &[],
        checks: &[SCENARIOS],
    });
    Ok([MODEL, PROOFS, JUDGE].into_iter().chain(written_down).collect())
}

impl Area {
    /// Whether a file, a directory, or `FILE FUNCTION` is left out.
    pub(crate) fn leaves_out(&self, place: &str) -> bool {
        self.without.iter().any(|(out, _)| *out == place)
    }

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
        if self.leaves_out(path) {
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
