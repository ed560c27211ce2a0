//! `model`: the software machine, with a behaviour.

use super::described::{Described, MachineOptions, Opened, Quirks, Unavailable};
use model::ModelMachine;
use model::hypervisor::behaviour::{self, Behaviour, CORRECT};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is peculiar to the model.
pub(super) static QUIRKS: Quirks = Quirks {
    name: "model",
    // It can do everything.
    may_skip: false,
    // Its time is its count of exits.
    repeats: true,
    tests_the_tests: true,
    ..Quirks::ORDINARY
};

/// The model with a behaviour, which travels as its name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Model(pub &'static Behaviour);

impl Model {
    pub(super) fn asked(asked: &MachineOptions<'_>) -> Result<Self, String> {
        Self::named(asked.behaviour)
    }

    /// The model with the behaviour of that name, or the default one.
    ///
    /// # Errors
    /// A sentence when there is none.
    pub fn named(behaviour: Option<&str>) -> Result<Self, String> {
        behaviour.map_or(Ok(Self(&CORRECT)), |name| name.to_owned().try_into())
    }
}

impl TryFrom<String> for Model {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        behaviour::by_name(&name).map(Self).ok_or_else(|| {
            let names: Vec<_> = behaviour::all().map(|behaviour| behaviour.name).collect();
            format!("there is no behaviour `{name}`; there are {}", names.join(", "))
        })
    }
}

impl From<Model> for String {
    fn from(model: Model) -> Self {
        model.0.name.to_owned()
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Model {}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.name == CORRECT.name {
            f.write_str(QUIRKS.name)
        } else {
            write!(f, "{} ({})", QUIRKS.name, self.0.name)
        }
    }
}

impl Described for Model {
    fn quirks(&self) -> &'static Quirks {
        &QUIRKS
    }

    fn behaviour(&self) -> Option<&'static str> {
        Some(self.0.name)
    }

    fn open(&self) -> Result<Opened, Unavailable> {
        Ok(Opened::Machine(Box::new(ModelMachine::new(self.0))))
    }

    fn doctor(&self) -> Option<String> {
        Some("works everywhere, FRED and IDT; it tests the tests".to_owned())
    }
}
