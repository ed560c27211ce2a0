//! Which scenarios run on a machine, and which are skipped, decided before anything boots.

use crate::image::Image;
use crate::probe::{Question, StopSupport, Support};
use crate::result::{Outcome, Report};
use crate::scenario::{self, Delivery, Plan, Scenario, Stop};
use fred::cpuid::{self, Feature};
use protocol::need::Needs;
use vm::Machine;

/// What a machine can do, found out before the run.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// The machine's name.
    pub machine: String,
    /// The needs that it meets.
    pub meets: Needs,
    /// Which stops work, with the capability on.
    pub with_payload: StopSupport,
    /// Which stops work, with the capability off.
    pub without_payload: StopSupport,
    /// Whether single memory accesses of a delivery can be refused.
    pub accesses: bool,
}

/// The CPUID feature behind a need; `None` where every machine here meets it.
const FEATURES: [(Needs, Feature); 4] = [
    (Needs::FRED, cpuid::FRED),
    (Needs::XFD, cpuid::XFD),
    (Needs::AMX, cpuid::AMX_TILE),
    (Needs::RDTSCP, cpuid::RDTSCP),
];

/// The needs that a machine with this CPUID meets.
pub fn met_needs(machine: &dyn Machine) -> Needs {
    // NMIs and interrupts are the probe's to find out.
    let mut meets = Needs::USER | Needs::NMI | Needs::INTERRUPT;
    let leaf = |function, index| {
        let leaf = machine.cpuid().iter().find(|leaf| leaf.function == function && leaf.index == index);
        leaf.map_or([0; 4], |leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
    };
    for (need, feature) in FEATURES {
        meets.set(need, feature.is_in(leaf(feature.leaf, feature.subleaf)));
    }
    meets.set(Needs::INTEL, cpuid::vendor(leaf(0, 0)) == cpuid::INTEL);
    meets
}

impl Abilities {
    /// Why the machine cannot run a scenario; `None` when it can.
    pub fn skip_reason(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        if let Some(lack) = self.lacks(image, scenario) {
            return Some(lack);
        }
        let Plan::Cut(stop, _) = scenario.plan else { return None };
        let support = self.support(scenario);
        let support = match stop {
            // A signal ends KVM_RUN everywhere; whether it meets an event is the storm's to find out.
            Stop::Storm(_) => return None,
            Stop::Access(..) if self.accesses => return None,
            Stop::Access(..) => {
                return Some(format!("{stop} needs a machine that can refuse single accesses"));
            }
            _ => support.to(Question::Stop(stop)),
        };
        match support {
            Some(Support::Works) => None,
            Some(Support::Silent) => Some(format!("{stop} is resolved silently by this {}", self.machine)),
            Some(Support::NotOffered(why)) => Some(format!("{stop} is not offered: {why}")),
            Some(Support::Wrong(why)) => {
                Some(format!("{stop} does not work on this {}: {why}", self.machine))
            }
            None => Some(format!("{stop} was not probed, so it cannot be relied on")),
        }
    }

    /// What a scenario's case needs and the machine does not have; `None` when it has everything.
    pub fn lacks(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        let (_, case) = image.case(&scenario.case)?;
        let missing = scenario::needs(case, scenario.delivery) - self.meets;
        if !missing.is_empty() {
            let names: Vec<_> = missing.names().collect();
            return Some(format!("needs {}", names.join(", ")));
        }
        let support = self.support(scenario);
        let needs = scenario::needs(case, scenario.delivery);
        for (need, question) in [
            (Needs::FRED, Question::Fred),
            (Needs::NMI, Question::Nmi),
            (Needs::INTERRUPT, Question::Interrupt),
        ] {
            let Some(answer) = support.to(question) else { continue };
            if needs.contains(need) && !answer.works() {
                let names: Vec<_> = need.names().collect();
                return Some(format!("needs {}: {answer}", names.join(", ")));
            }
        }
        None
    }

    fn support(&self, scenario: &Scenario) -> &StopSupport {
        if scenario.payload { &self.with_payload } else { &self.without_payload }
    }

    /// Splits scenarios into those to run and reports of those to skip.
    pub fn split(
        &self,
        scenarios: Vec<(usize, Scenario)>,
        images: &[Image],
        behaviour: Option<&str>,
    ) -> (Vec<(usize, Scenario)>, Vec<Report>) {
        let mut run = Vec::new();
        let mut skipped = Vec::new();
        for (image, scenario) in scenarios {
            match self.skip_reason(&images[image], &scenario) {
                None => run.push((image, scenario)),
                Some(reason) => skipped
                    .push(Report::new(&scenario, &self.machine, behaviour).concluded(Outcome::Skip, reason)),
            }
        }
        (run, skipped)
    }

    /// Whether FRED scenarios can run here.
    pub fn has_fred(&self) -> bool {
        self.meets.contains(Needs::FRED)
    }
}

/// Scenarios with a delivery, or all.
pub fn with_delivery(scenarios: &mut Vec<(usize, Scenario)>, delivery: Option<Delivery>) {
    if let Some(delivery) = delivery {
        scenarios.retain(|(_, scenario)| scenario.delivery == delivery);
    }
}
