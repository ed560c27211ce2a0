//! The outcome of a scenario: the record that workers send and that reports and JSON are made of.

use crate::image::Address;
use crate::report::{Difference, Field, Finding, HostFacts};
use crate::scenario::Scenario;
use crate::stops::Proof;
use serde::{Deserialize, Serialize};
use std::fmt;
use vm::Blame;
use vm::explain::ShownQueue;
use vm::state::{Loss, Restored};

/// The outcome of a scenario, least severe first. Reports have the word in lower case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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

impl From<Blame> for Outcome {
    /// An *error* is only what our own program or the environment did.
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Machine => Self::Fail,
            Blame::Us => Self::Error,
        }
    }
}

/// What somebody has written of a failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cited {
    /// The FRED series that it is predicted of; none where it is known.
    pub series: Option<String>,
    /// A short name.
    pub name: String,
    /// Why it happens.
    pub reason: String,
    /// Where that is written down.
    pub reference: String,
}

impl fmt::Display for Cited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, name, reason, reference } = self;
        series.as_ref().map_or(Ok(()), |series| write!(f, "for the FRED series {series}: "))?;
        write!(f, "{name}: {reason} ({reference})")
    }
}

/// Of which scenarios captured frames are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frames {
    /// Of none.
    #[default]
    OfNone,
    /// Of those that failed.
    OfFailures,
    /// Of each.
    OfAll,
}

impl Frames {
    /// Whether those of a scenario that has come to this are.
    pub(crate) fn wanted(self, outcome: Outcome) -> bool {
        match self {
            Self::OfNone => false,
            Self::OfFailures => outcome == Outcome::Fail,
            Self::OfAll => true,
        }
    }
}

/// What was seen at a cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtCut {
    /// The queue at the cut; `None` if the kernel resolved the fault itself.
    pub queue: Option<ShownQueue>,
    /// Where the guest was.
    pub at: Address,
}

impl fmt::Display for AtCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.queue {
            Some(queue) => write!(f, "{queue} at {}", self.at),
            None => write!(f, "not seen: the kernel mapped the page and continued at {}", self.at),
        }
    }
}

/// The result of one scenario on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The scenario.
    pub scenario: Scenario,
    /// `kvm`, `model` or `qemu`.
    pub machine: String,
    /// The CPU's vendor where the machine is KVM, which intercepts and emulates differently by vendor;
    /// null on other machines.
    pub vendor: Option<String>,
    /// The model's behaviour; null on other machines.
    pub behaviour: Option<String>,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why, where it did not pass and that is no field that differed.
    pub why: Option<Finding>,
    /// The known issue that describes the failure.
    pub known: Option<Cited>,
    /// The prediction that describes the failure; where it passed, the one that says that it fails.
    pub predicted: Option<Cited>,
    /// The kind of proof that the delivery was cut; null where it was not.
    pub cut: Option<Proof>,
    /// How many cuts were proved: more than one where the delivery was stopped again, or in a storm.
    pub cuts: u32,
    /// How often the scenario ran: 1, or what `--repeat` says.
    pub runs: u32,
    /// How many of these runs had this outcome, the worst of all.
    pub runs_alike: u32,
    /// What the queue held at the last cut.
    pub queue: Option<AtCut>,
    /// Every field that differed.
    pub differences: Vec<Difference>,
    /// How many fields the judge compared.
    pub compared: u32,
    /// What the uAPI could not carry in a migration.
    pub losses: Vec<Loss>,
    /// Whether the uAPI had no field for the event data of an exception that migrated: event data 0 in
    /// its frame is then not a fault of the machine.
    pub event_data_open: bool,
    /// Fields that read back different after a restore: `expected` was saved, `got` was read back.
    pub restored: Vec<vm::Difference>,
    /// Captured frames in the form of the guest's FRAME lines, where they were wanted: [`Frames`].
    pub frames: Vec<String>,
    /// How many deliveries an emulator's image has printed; 0 on other machines.
    pub printed: u32,
    /// The host that saved the guest, where another command resumed it.
    pub saved_on: Option<HostFacts>,
    /// The command that repeats it, for a shell; null where there is none.
    pub again: Option<String>,
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
            why: None,
            known: None,
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
            printed: 0,
            saved_on: None,
            again: None,
            duration_us: 0,
        }
    }

    /// A report of `scenario`, which was skipped because the machine lacks `what`.
    pub fn lacking(scenario: &Scenario, machine: &str, behaviour: Option<&str>, what: String) -> Self {
        Self::new(scenario, machine, behaviour).concluded(Outcome::Skip, Finding::Lacks { what })
    }

    /// The report with an outcome and its reason.
    #[must_use]
    pub fn concluded(mut self, outcome: Outcome, why: impl Into<Option<Finding>>) -> Self {
        self.outcome = outcome;
        self.why = why.into();
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

    /// A machine on which a restored guest does not read back as it was saved is wrong, whatever
    /// the guest noticed of it.
    pub fn blame_restore(&mut self) {
        if self.restored.is_empty() {
            return;
        }
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

    /// The model can do everything: its skip is a failure.
    pub fn deny_skip(&mut self) {
        if self.outcome == Outcome::Skip {
            self.outcome = Outcome::Fail;
            self.why = Some(Finding::denied(self.why.take()));
        }
    }
}
