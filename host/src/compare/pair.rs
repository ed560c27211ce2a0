//! Two machines that run the same guest, and the ways between them.

use crate::machines::narrowed::{self, Narrowed};
use crate::machines::{Described, Description, Quirks, Unavailable};
use serde::{Deserialize, Serialize};

/// Two machines, limited to the features that both have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair(pub [Description; 2]);

/// The machines that a guest visits, as indices into a [`Pair`]: it starts on the first.
pub(crate) type MachinePath = &'static [usize];

/// Every way from one machine to the other, and there and back.
pub(crate) const PATHS: [MachinePath; 4] = [&[0, 1], &[1, 0], &[0, 1, 0], &[1, 0, 1]];

impl Pair {
    /// The machine whose known issues may explain differences, if the other may not have any.
    pub fn excusable(&self) -> Option<usize> {
        match self.0.each_ref().map(|machine| machine.quirks().has_known_issues) {
            [true, false] => Some(0),
            [false, true] => Some(1),
            [false, false] | [true, true] => None,
        }
    }

    /// The first of the two that may have known issues.
    pub fn known(&self) -> Option<&Description> {
        self.0.iter().find(|machine| machine.quirks().has_known_issues)
    }

    /// Whether one of the two has a quirk.
    pub fn any(&self, quirk: impl Fn(&Quirks) -> bool) -> bool {
        self.0.iter().any(|machine| quirk(machine.quirks()))
    }

    /// A path in words: `kvm->model`.
    pub fn describe(&self, path: &[usize]) -> String {
        let names: Vec<String> =
            path.iter().filter_map(|stage| self.0.get(*stage)).map(Description::to_string).collect();
        names.join("->")
    }

    /// Opens the two, and narrows them. What CPUID says about the processor's make is that of this host's
    /// where one of the two is on it, else the first one's. Fails when one cannot be used.
    pub fn open(&self) -> Result<[Narrowed; 2], Unavailable> {
        let [first, second] = &self.0;
        let machines = [first.machine()?, second.machine()?];
        if second.quirks().on_this_processor && !first.quirks().on_this_processor {
            let [first, second] = machines;
            let [second, first] = narrowed::pair([second, first]);
            return Ok([first, second]);
        }
        Ok(narrowed::pair(machines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::kvm::Kvm;
    use crate::machines::model::Model;
    use vm::Machine;

    fn model(name: &str) -> Description {
        Description::Model(Model::try_from(name.to_owned()).unwrap())
    }

    #[test]
    fn a_pair_says_which_machines_it_has() {
        let pair = Pair([Description::Kvm(Kvm { device: "/nowhere".into() }), model("stock")]);
        assert_eq!(pair.describe(PATHS[2]), "kvm->model (stock)->kvm");
        assert!(pair.open().unwrap_err().to_string().contains("/nowhere"));
        assert_eq!((pair.excusable(), pair.known()), (Some(0), Some(&pair.0[0])));
        let models = Pair([model("payload-reuse"), model("payload-reuse")]);
        assert_eq!(models.describe(PATHS[0]), "model->model");
        assert_eq!((models.excusable(), models.known(), models.any(|one| one.may_skip)), (None, None, false));
        assert_eq!(models.open().unwrap().map(|machine| machine.name()), ["model", "model"]);
    }

    #[test]
    fn a_pair_travels_as_data() {
        let pair = Pair([Description::Kvm(Kvm { device: "/dev/kvm".into() }), model("stock")]);
        let text = serde_json::to_string(&pair).unwrap();
        assert_eq!(text, r#"[{"kvm":{"device":"/dev/kvm"}},{"model":"stock"}]"#);
        assert_eq!(serde_json::from_str::<Pair>(&text).unwrap(), pair);
        let error = serde_json::from_str::<Pair>(&text.replace("stock", "no-such")).unwrap_err();
        assert!(error.to_string().contains("there is no behaviour `no-such`"), "{error}");
    }
}
