//! The result of one case on two machines, as data.

use super::pair::Pair;
use crate::report::{Cited, Finding, Outcome, Seen};
use crate::scenario::Scenario;
use serde::Serialize;

/// The result of one case on two machines.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The case, from boot.
    pub scenario: Scenario,
    /// The two machines.
    pub machines: [String; 2],
    /// Pass: no difference. Known: only differences that are known issues. Fail: a difference. Skip:
    /// not possible on both. Error: one of them did not finish.
    pub outcome: Outcome,
    /// Why it was skipped, or did not finish.
    pub why: Option<Finding>,
    /// The doorbell of the first difference that no known issue explains.
    pub at: Option<String>,
    /// What differed there.
    pub differences: Vec<MachineDifference>,
    /// The deliveries captured until there, decoded, both machines' side by side.
    pub deliveries: Vec<Vec<Decoded>>,
    /// Known issues that explain earlier differences, or all of them.
    pub known: Vec<Cited>,
    /// How many doorbells both rang alike.
    pub doorbells: usize,
    /// How many values were compared.
    pub compared: usize,
}

/// A difference between two machines; `None` where one of them has no such value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineDifference {
    /// A number.
    Number {
        /// What it is of.
        field: Seen,
        /// What it is on the first machine.
        first: Option<u64>,
        /// What it is on the second machine.
        second: Option<u64>,
    },
    /// How the two ended, in words.
    End([String; 2]),
}

/// A field of both machines as text; `None` where one of them has no such value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// Its name.
    pub field: String,
    /// What it is on the first machine.
    pub first: Option<String>,
    /// What it is on the second machine.
    pub second: Option<String>,
}

impl Comparison {
    /// A comparison in which nothing has been compared yet.
    pub fn new(pair: &Pair, scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            machines: pair.0.each_ref().map(ToString::to_string),
            outcome: Outcome::Pass,
            why: None,
            at: None,
            differences: Vec::new(),
            deliveries: Vec::new(),
            known: Vec::new(),
            doorbells: 0,
            compared: 0,
        }
    }

    /// The comparison with an outcome and its reason.
    #[must_use]
    pub fn concluded(self, outcome: Outcome, why: Finding) -> Self {
        Self { outcome, why: Some(why), ..self }
    }

    /// Models can do everything: a skip on two of them is a failure.
    pub fn deny_skip(&mut self) {
        if self.outcome == Outcome::Skip {
            self.outcome = Outcome::Fail;
            self.why = Some(Finding::denied(self.why.take()));
        }
    }
}
