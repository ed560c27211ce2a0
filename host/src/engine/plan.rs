//! Which scenarios run on a machine, and which are skipped, decided before anything boots.

use crate::engine::questions::{Question, StopSupport, Support};
use crate::image::{Case, Image};
use crate::report::Report;
use crate::scenario::{self, DeliveryMode, Plan, Scenario};
use fred::cpuid::{AMX_TILE, FRED, Feature, INTEL, PAGE_1G, RDTSCP, SMAP, SMEP, XFD, XSAVE, vendor};
use protocol::need::Needs;
use vm::Machine;
use vm::cpuid::{has, output};

/// What a machine can do, found out before the run.
#[derive(Clone, Debug)]
pub struct Abilities {
    machine: String,
    meets: Needs,
    /// What it answered with KVM_CAP_EXCEPTION_PAYLOAD off, and with it on.
    support: [StopSupport; 2],
}

/// The needs that CPUID alone does not answer, and what a machine is asked instead.
const ASKED: [(Needs, Question); 2] = [(Needs::NMI, Question::Nmi), (Needs::INTERRUPT, Question::Interrupt)];

/// What a case asks of a machine under a delivery, whatever is then done with it.
fn questions_of_case(case: &Case, delivery: DeliveryMode) -> impl Iterator<Item = (Needs, Question)> {
    let needs = scenario::needs(case, delivery);
    ASKED.into_iter().filter(move |(need, _)| needs.contains(*need))
}

/// What a plan asks of a machine: nothing where nothing is stopped.
fn question_of_plan(plan: Plan) -> Option<Question> {
    plan.cut().map(|(stop, _)| Question::Stop(stop.asked()))
}

/// What `scenarios` ask of a machine that meets the needs `meets`, each question once, with
/// KVM_CAP_EXCEPTION_PAYLOAD on or off as `payload` says.
fn questions<'a>(
    scenarios: impl Iterator<Item = (&'a Image, &'a Scenario)>,
    meets: Needs,
    payload: bool,
) -> Vec<Question> {
    let mut questions = Vec::new();
    for (image, scenario) in scenarios.filter(|(_, scenario)| scenario.payload == payload) {
        let Some((_, case)) = image.case(&scenario.case) else { continue };
        // It is skipped without a question.
        if !meets.contains(scenario::needs(case, scenario.delivery)) {
            continue;
        }
        let of_case = questions_of_case(case, scenario.delivery).map(|(_, question)| question);
        for question in of_case.chain(question_of_plan(scenario.plan)) {
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
    }
    questions
}

/// The CPUID feature that meets a need; `None` where every machine here meets it.
const FEATURES: [(Needs, Feature); 8] = [
    (Needs::FRED, FRED),
    (Needs::XFD, XFD),
    (Needs::AMX, AMX_TILE),
    (Needs::RDTSCP, RDTSCP),
    (Needs::SMEP, SMEP),
    (Needs::SMAP, SMAP),
    (Needs::XSAVE, XSAVE),
    (Needs::PAGE_1G, PAGE_1G),
];

/// The needs that a machine with this CPUID meets.
pub fn met_needs(machine: &dyn Machine) -> Needs {
    // NMIs and interrupts are the probe's to find out.
    let mut meets = Needs::USER | Needs::NMI | Needs::INTERRUPT | Needs::SHUTDOWN | Needs::HOST | Needs::IDT;
    let cpuid = machine.cpuid();
    for (need, feature) in FEATURES {
        meets.set(need, has(cpuid, feature));
    }
    meets.set(Needs::INTEL, vendor(output(cpuid, 0, 0)) == INTEL);
    meets
}

impl Abilities {
    /// Finds out what `scenarios` (image index and scenario) depend on, and nothing else: `ask` is called
    /// once with KVM_CAP_EXCEPTION_PAYLOAD on and once with it off, where there is anything to ask. Fails as
    /// `ask`.
    pub fn find_out<E>(
        machine: &str,
        meets: Needs,
        images: &[Image],
        scenarios: &[(usize, Scenario)],
        mut ask: impl FnMut(bool, &[Question]) -> Result<StopSupport, E>,
    ) -> Result<Self, E> {
        let mut support = |payload| {
            let each = scenarios.iter().map(|(image, scenario)| (&images[*image], scenario));
            let questions = questions(each, meets, payload);
            if questions.is_empty() { Ok(StopSupport::default()) } else { ask(payload, &questions) }
        };
        let (with_payload, without) = (support(true)?, support(false)?);
        Ok(Self { machine: machine.to_owned(), meets, support: [without, with_payload] })
    }

    /// The machine's name.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// Why the machine cannot run a scenario; `None` when it can.
    pub fn skip_reason(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        if let Some(lack) = self.lacks(image, scenario) {
            return Some(lack);
        }
        let question = question_of_plan(scenario.plan)?;
        match self.support(scenario).to(question) {
            Some(Support::Works) => None,
            Some(Support::Silent) => Some(format!(
                "{question} does not stop this {}: it delivers the event all the same",
                self.machine
            )),
            Some(Support::NotOffered(why)) => Some(format!("{question} is not offered: {why}")),
            Some(Support::Wrong(why)) => {
                Some(format!("{question} does not work on this {}: {why}", self.machine))
            }
            None => Some(format!("{question} was not probed, so it cannot be relied on")),
        }
    }

    /// What a scenario's case needs and the machine does not have; `None` when it has everything.
    pub fn lacks(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        let (_, case) = image.case(&scenario.case)?;
        let mut meets = self.meets;
        // A case depends on how its events are delivered, not on what the processor supports.
        meets.remove(match scenario.delivery {
            DeliveryMode::Fred => Needs::IDT,
            DeliveryMode::Idt => Needs::FRED,
        });
        let missing = scenario::needs(case, scenario.delivery) - meets;
        if !missing.is_empty() {
            let names: Vec<_> = missing.names().collect();
            return Some(format!("needs {}", names.join(", ")));
        }
        let support = self.support(scenario);
        questions_of_case(case, scenario.delivery).find_map(|(need, question)| {
            let names = need.names().collect::<Vec<_>>().join(", ");
            match support.to(question) {
                Some(answer) if answer.works() => None,
                Some(answer) => Some(format!("needs {names}: {answer}")),
                None => Some(format!("needs {names}, which was not probed")),
            }
        })
    }

    fn support(&self, scenario: &Scenario) -> &StopSupport {
        &self.support[usize::from(scenario.payload)]
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
                Some(reason) => skipped.push(Report::lacking(&scenario, &self.machine, behaviour, reason)),
            }
        }
        (run, skipped)
    }
}

/// Scenarios with a delivery, or all.
pub fn with_delivery(scenarios: &mut Vec<(usize, Scenario)>, delivery: Option<DeliveryMode>) {
    if let Some(delivery) = delivery {
        scenarios.retain(|(_, scenario)| scenario.delivery == delivery);
    }
}
