//! What became of a scenario: the record that travels from workers, into reports and into JSON.

use crate::report::difference::{Difference, Field};
use crate::report::facts::HostFacts;
use crate::scenario::Scenario;
use crate::stops::Proof;
use serde::{Deserialize, Serialize};
use vm::Blame;
use vm::state::{Loss, Restored};

/// What became of a scenario, least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every field was as expected, and the cut was proved if there was to be one.
    Pass,
    /// The machine lacks something; the reason says what.
    Skip,
    /// It failed exactly as an entry of known-issues.toml says; the reason quotes the entry.
    Known,
    /// The machine is wrong.
    Fail,
    /// The harness, the image or the environment is wrong, or the cut did not happen.
    Error,
}

impl Outcome {
    /// Every outcome, least severe first.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Skip, Self::Known, Self::Fail, Self::Error];

    /// The word that reports use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Known => "known",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

impl From<Blame> for Outcome {
    /// An *error* is only what our own program or the environment did.
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Machine => Self::Fail,
            Blame::Us => Self::Error,
        }
    }
}

/// What a skip of the model's comes to.
pub(crate) fn denied(why: Option<&str>) -> String {
    format!("the model can do everything, and it skipped this: {}", why.unwrap_or("it did not say why"))
}

/// The result of one scenario on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The scenario.
    pub scenario: Scenario,
    /// `kvm`, `model` or `qemu`.
    pub machine: String,
    /// The CPU's vendor where the machine is KVM, which intercepts and emulates differently by vendor;
    /// null on other machines.
    #[serde(default)]
    pub vendor: Option<String>,
    /// The model's behaviour; null on other machines.
    pub behaviour: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, where it did not pass.
    pub reason: Option<String>,
    /// The prediction that describes the failure; where it passed, the one that says that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<String>,
    /// The kind of proof that the delivery was cut; null where it was not.
    pub cut: Option<Proof>,
    /// How many cuts were proved: more than one where the delivery was stopped again, or in a storm.
    pub cuts: u32,
    /// How often the scenario ran: 1, or what `--repeat` says.
    pub runs: u32,
    /// How many of these runs had this outcome, the worst of all.
    pub runs_alike: u32,
    /// What the queue held at the last cut.
    pub queue: Option<String>,
    /// Every field that differed.
    pub differences: Vec<Difference>,
    /// How many fields the judge compared.
    pub compared: u32,
    /// What the uAPI could not carry in a migration.
    pub losses: Vec<Loss>,
    /// Whether the uAPI had no field for the event data of an exception that migrated: event data 0 in
    /// its frame is then nobody's fault.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub event_data_open: bool,
    /// What read back otherwise after a restore: `expected` was saved, `got` was read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<vm::Difference>,
    /// Captured frames in the form of the guest's FRAME lines, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// The host that saved the guest, where another command resumed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_on: Option<HostFacts>,
    /// Wall time in microseconds.
    pub duration_us: u64,
}

impl Report {
    /// A report of `scenario` that says nothing yet.
    pub fn new(scenario: &Scenario, machine: &str, behaviour: Option<&str>) -> Self {
        Self {
            scenario: scenario.clone(),
            machine: machine.to_owned(),
            vendor: None,
            behaviour: behaviour.map(str::to_owned),
            outcome: Outcome::Error,
            reason: None,
            predicted: None,
            cut: None,
            cuts: 0,
            runs: 1,
            runs_alike: 1,
            queue: None,
            differences: Vec::new(),
            compared: 0,
            losses: Vec::new(),
            event_data_open: false,
            restored: Vec::new(),
            frames: Vec::new(),
            saved_on: None,
            duration_us: 0,
        }
    }

    /// The report with an outcome and its reason.
    #[must_use]
    pub fn concluded(mut self, outcome: Outcome, reason: impl Into<Option<String>>) -> Self {
        self.outcome = outcome;
        self.reason = reason.into();
        self
    }

    /// Notes what the uAPI could not carry; a guest that migrates often loses the same each time.
    pub fn lose(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            if !self.losses.contains(&loss) {
                self.losses.push(loss);
            }
        }
    }

    /// Notes what a restore found.
    pub fn note_restore(&mut self, restored: &mut Restored) {
        self.lose(std::mem::take(&mut restored.losses));
        for finding in std::mem::take(&mut restored.findings) {
            if !self.restored.contains(&finding) {
                self.restored.push(finding);
            }
        }
    }

    /// A machine on which a restored guest reads back otherwise than it was saved is wrong, whatever
    /// the guest noticed of it.
    pub fn blame_restore(&mut self) {
        const NAMED: usize = 6;
        if self.restored.is_empty() {
            return;
        }
        let named = self.restored.iter().take(NAMED).map(|difference| {
            let vm::Difference { field, expected, got } = difference;
            format!("{field}: {expected} was saved, {got} read back")
        });
        let mut sentence =
            format!("the restored guest is not the saved one: {}", named.collect::<Vec<_>>().join("; "));
        if let more @ 1.. = self.restored.len().saturating_sub(NAMED) {
            sentence += &format!("; and {more} more");
        }
        if let Some(reason) = self.reason.take() {
            sentence = format!("{reason}; {sentence}");
        }
        self.reason = Some(sentence);
        if self.outcome != Outcome::Error {
            self.outcome = Outcome::Fail;
        }
        let restored = self.restored.iter().cloned();
        self.differences.extend(restored.map(|vm::Difference { field, expected, got }| Difference {
            field: Field::Restored(field),
            expected,
            got,
        }));
    }

    /// The model can do everything: what it skips, it fails to do.
    pub fn deny_skip(&mut self) {
        if self.outcome == Outcome::Skip {
            self.outcome = Outcome::Fail;
            self.reason = Some(denied(self.reason.as_deref()));
        }
    }
}
