//! Two machines that run the same guest, and the ways between them.

use crate::machines::narrowed;
use model::ModelMachine;
use model::hypervisor::behaviour::{self, CORRECT};
use serde::{Deserialize, Serialize};
use std::fmt;
use vm::Machine;

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// This host's KVM.
    Kvm,
    /// The model with the behaviour of that name.
    Model(String),
}

/// Two machines, narrowed to what both have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair(pub [Subject; 2]);

/// The machines that a guest visits, as indices into a [`Pair`]: it starts on the first.
pub type Route = &'static [usize];

/// Every way from one machine to the other, and there and back.
pub const ROUTES: [Route; 4] = [&[0, 1], &[1, 0], &[0, 1, 0], &[1, 0, 1]];

/// A pair that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// Its behaviour is unknown.
    #[error("there is no behaviour `{0}`")]
    Behaviour(String),
    /// It names KVM where there is none.
    #[error("no KVM was opened for it")]
    NoKvm,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kvm => f.write_str("kvm"),
            Self::Model(behaviour) if *behaviour == CORRECT.name => f.write_str("model"),
            Self::Model(behaviour) => write!(f, "model ({behaviour})"),
        }
    }
}

impl Pair {
    /// Whether KVM is one of the two.
    pub fn has_kvm(&self) -> bool {
        self.0.contains(&Subject::Kvm)
    }

    /// A route in words: `kvm->model`.
    pub fn describe(&self, route: &[usize]) -> String {
        let names: Vec<String> =
            route.iter().filter_map(|stage| self.0.get(*stage)).map(Subject::to_string).collect();
        names.join("->")
    }

    /// Calls `run` with the two machines, narrowed. `kvm` is what stands for KVM; what CPUID says
    /// about the processor's make is its own where it is one of the two.
    ///
    /// # Errors
    /// When a machine of the pair does not exist.
    pub fn with<R>(
        &self,
        kvm: Option<&dyn Machine>,
        run: impl FnOnce([&dyn Machine; 2]) -> R,
    ) -> Result<R, PairError> {
        let [first, second] = &self.0;
        let models = [model(first)?, model(second)?];
        let machine = |index: usize| match &models[index] {
            Some(model) => Ok(model as &dyn Machine),
            None => kvm.ok_or(PairError::NoKvm),
        };
        let (first, second) = (machine(0)?, machine(1)?);
        if self.0[0] != Subject::Kvm && self.0[1] == Subject::Kvm {
            let [second, first] = narrowed::pair(second, first);
            return Ok(run([&first, &second]));
        }
        let [first, second] = narrowed::pair(first, second);
        Ok(run([&first, &second]))
    }
}

fn model(subject: &Subject) -> Result<Option<ModelMachine>, PairError> {
    match subject {
        Subject::Kvm => Ok(None),
        Subject::Model(name) => match behaviour::by_name(name) {
            Some(behaviour) => Ok(Some(ModelMachine::new(behaviour))),
            None => Err(PairError::Behaviour(name.clone())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Subject {
        Subject::Model(name.to_owned())
    }

    #[test]
    fn a_pair_says_which_machines_it_has() {
        let pair = Pair([Subject::Kvm, model("stock")]);
        assert_eq!(pair.describe(ROUTES[2]), "kvm->model (stock)->kvm");
        assert_eq!(pair.with(None, |_| ()), Err(PairError::NoKvm));
        let unknown = Pair([model("payload-reuse"), model("no-such")]);
        assert_eq!(unknown.with(None, |_| ()), Err(PairError::Behaviour("no-such".to_owned())));
        let models = Pair([model("payload-reuse"), model("payload-reuse")]);
        assert_eq!(models.describe(ROUTES[0]), "model->model");
        assert_eq!(models.with(None, |machines| machines.map(Machine::name)), Ok(["model", "model"]));
    }
}
