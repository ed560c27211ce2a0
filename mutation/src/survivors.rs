//! What is known of survivors, and how many may survive.

use crate::error::Error;
use crate::tree::{read, root};
use serde::Deserialize;
use std::collections::BTreeMap;

/// mutation/survivors.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Survivors {
    /// For each area the least share of faults that must be noticed, in per cent. It may only rise.
    pub(crate) least: BTreeMap<String, f64>,
    /// Faults that no guest can tell from the original.
    #[serde(default)]
    pub(crate) equivalent: Vec<Reason>,
    /// Faults that a guest could notice, and none does.
    #[serde(default)]
    pub(crate) gap: Vec<Reason>,
}

/// A survivor, and why it survives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// [`crate::fault::Fault::key`].
    pub(crate) fault: String,
    pub(crate) why: String,
}

impl Survivors {
    pub(crate) fn committed() -> Result<Self, Error> {
        let file = root().join("mutation/survivors.toml");
        toml::from_str(&read(&file)?).map_err(|error| Error::Data(file, error))
    }

    /// Why no guest can notice a fault, if that is known.
    pub(crate) fn equivalent(&self, key: &str) -> Option<&str> {
        self.equivalent.iter().find(|one| one.fault == key).map(|one| one.why.as_str())
    }

    /// Why a fault is not noticed, if that is known.
    pub(crate) fn gap(&self, key: &str) -> Option<&str> {
        self.gap.iter().find(|one| one.fault == key).map(|one| one.why.as_str())
    }
}
