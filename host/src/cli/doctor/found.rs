//! What is found out about this host.

use crate::cli::machines::Machines;
use crate::cli::{Given, mounted};
use crate::engine::asker::Asker;
use crate::engine::questions::{Question, StopSupport};
use crate::images;
use crate::machines::{Described, Description};
use kvm::{Facts, KvmFacts};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What there is here.
#[derive(Debug, Default, Serialize)]
pub(super) struct Found {
    pub(super) midflight: &'static str,
    pub(super) images: Vec<String>,
    /// Why there are none.
    pub(super) no_images: Option<String>,
    /// What is not mounted.
    pub(super) not_mounted: Option<String>,
    pub(super) cpu: String,
    pub(super) vendor: String,
    pub(super) kernel: String,
    pub(super) kvm_modules: Vec<String>,
    /// Each machine in the order of runs.
    pub(super) machines: Vec<MachineFound>,
    /// What KVM answers, with KVM_CAP_EXCEPTION_PAYLOAD and without it.
    pub(super) stops: Answers,
    pub(super) stops_without_payload: Answers,
    /// What guests of KVM get of CPUID, by the names that `--require` has.
    pub(super) guests_get: BTreeMap<&'static str, bool>,
    pub(super) capabilities: BTreeMap<&'static str, i32>,
    /// The bit of a nested exception in kvm_vcpu_events, where guests get FRED.
    pub(super) nested_flag: Option<String>,
    /// Whether FRED can be tested on KVM here, and what to do about it if not.
    pub(super) fred: String,
}

/// A machine.
#[derive(Debug, Serialize)]
pub(super) struct MachineFound {
    pub(super) name: String,
    /// What there is of it, in a sentence.
    pub(super) says: String,
}

/// What was answered.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answers {
    /// Why nothing was.
    pub(super) unanswered: Option<String>,
    pub(super) each: Vec<Answer>,
}

/// Whether a stop works, or an injection.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) works: bool,
    /// Why not.
    pub(super) why: Option<String>,
}

impl Found {
    pub(super) fn here(files: &[PathBuf], device: &Path, machines: &Machines, given: &Given) -> Self {
        let facts = kvm::facts(device);
        let (images, no_images) = match images::load(files) {
            Ok(images) => (images.into_iter().map(|image| image.name).collect(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let mut found = Self {
            midflight: crate::version::VERSION,
            images,
            no_images,
            not_mounted: mounted::check(true).err().map(|error| error.to_string()),
            fred: fred(&facts, given),
            cpu: facts.cpu,
            vendor: facts.vendor,
            kernel: facts.kernel,
            kvm_modules: facts.modules,
            ..Self::default()
        };
        for machine in machines.chosen().map(|candidate| &candidate.description) {
            let name = machine.quirks().name.to_owned();
            let says = match (machine.doctor(), &facts.kvm) {
                (Some(says), _) => says,
                (None, Ok(kvm)) => {
                    found.ask(machine, kvm);
                    found.of_kvm()
                }
                (None, Err(error)) => error.to_string(),
            };
            found.machines.push(MachineFound { name, says });
        }
        found
    }

    /// Asks KVM everything.
    fn ask(&mut self, machine: &Description, kvm: &KvmFacts) {
        // A worker of its own for each: one that hangs is killed.
        let ask = |payload| Answers::of(Asker::of(machine).ask(payload, &Question::all(payload)));
        (self.stops, self.stops_without_payload) = (ask(true), ask(false));
        self.guests_get = [("fred", kvm.fred), ("xfd", kvm.xfd), ("amx", kvm.amx)].into();
        self.capabilities = kvm.capabilities.iter().map(|one| (one.name, one.value)).collect();
        self.nested_flag = kvm.fred.then(|| kvm.nested_flag.to_string());
    }

    fn of_kvm(&self) -> String {
        let get: Vec<String> = self
            .guests_get
            .iter()
            .map(|(name, it_does)| format!("{} {}", name.to_uppercase(), if *it_does { "yes" } else { "no" }))
            .collect();
        format!("{}; guests get: {}", self.kvm_modules.join(" "), get.join(", "))
    }

    /// Why a stop or an injection does not work here; `None` where it does.
    pub(super) fn lacks(&self, question: &str) -> Option<String> {
        match self.stops.each.iter().find(|answer| answer.name == question) {
            Some(answer) => answer.why.clone(),
            None => Some(self.stops.unanswered.clone().unwrap_or_else(|| "there is no KVM here".to_owned())),
        }
    }
}

/// Whether this is the name of something that a probe finds out.
pub(super) fn is_question(name: &str) -> bool {
    Question::all(true).iter().any(|question| question.to_string() == name)
}

impl Answers {
    fn of(answered: Result<StopSupport, impl ToString>) -> Self {
        match answered {
            Ok(StopSupport(answers)) => {
                let each = answers.into_iter().map(|(question, support)| Answer {
                    name: question.to_string(),
                    works: support.works(),
                    why: (!support.works()).then(|| support.to_string()),
                });
                Self { unanswered: None, each: each.collect() }
            }
            Err(error) => Self { unanswered: Some(error.to_string()), each: Vec::new() },
        }
    }
}

/// Why guests of KVM on this host do not get FRED.
fn fred(facts: &Facts, given: &Given) -> String {
    let in_guests = matches!(&facts.kvm, Ok(KvmFacts { fred: true, .. }));
    let why_not = match (facts.fred_in_cpu, facts.fred_in_kernel, in_guests) {
        (_, _, true) => {
            let command = given.command("run", &["--require", "kvm,fred"], &["require", "format"]);
            return format!("KVM offers it to guests: `{command}`");
        }
        (false, ..) => "this CPU has none; FRED scenarios run on the model, and on a Bochs that has FRED",
        (true, false, _) => {
            "the CPU has it, the kernel does not use it: boot a kernel with CONFIG_X86_FRED=y and fred=on"
        }
        (true, true, false) => {
            "CPU and kernel use it, KVM does not offer it to guests: this needs a KVM with the FRED series"
        }
    };
    why_not.to_owned()
}
