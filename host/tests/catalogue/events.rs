//! What a case's events are, and their event data: a run on the model that the guest's judge passes.

use fred::event::{EventType, vector};
use midflight::engine::runner::Runner;
use midflight::image::{Case, Image};
use midflight::report::{Outcome, Report};
use midflight::scenario::{self, DeliveryMode, Plan, Scenario};
use protocol::note::CaseFlags;

/// Quadwords of a FRAME line: the SS slot, and the event data after it.
const SS: usize = 5;

/// The events of a case in order, under FRED if it has any there; every frame has passed the judge.
pub(crate) fn events(runner: &mut Runner<'_>, image: &Image, case: &Case) -> String {
    if case.flags.contains(CaseFlags::SHUTDOWN) {
        return "shutdown".to_owned();
    }
    let run = |runner: &mut Runner<'_>, delivery| {
        let report = runner.run(image, &scenario_of(image, case, delivery)?);
        assert_eq!(report.outcome, Outcome::Pass, "{}", report.scenario);
        Some(report)
    };
    match (case.fred_entries, case.idt_entries) {
        (0, 0) => "none".to_owned(),
        (0, _) => run(runner, DeliveryMode::Idt).map_or_else(String::new, |_| idt(case)),
        _ => run(runner, DeliveryMode::Fred).map_or_else(String::new, |report| fred(&report)),
    }
}

/// The plainest scenario in which every event of the case comes.
fn scenario_of(image: &Image, case: &Case, delivery: DeliveryMode) -> Option<Scenario> {
    let in_cut = case.flags.intersects(CaseFlags::NMI_AT_CUT | CaseFlags::INTERRUPT_AT_CUT);
    let fits = |plan: Plan| match plan {
        Plan::None => !in_cut,
        Plan::Cut(..) => in_cut,
        Plan::Cold => false,
    };
    let mut all = scenario::all(image).into_iter();
    all.find(|one| one.case == case.name && one.delivery == delivery && fits(one.plan))
}

fn fred(report: &Report) -> String {
    let events: Vec<String> = report.frames.iter().map(|line| event(line)).collect();
    events.join(", ")
}

/// `#PF: 0x1000`, from a FRAME line.
fn event(line: &str) -> String {
    let word = |number: usize| u64::from_str_radix(line.split(' ').nth(4 + number).unwrap(), 16).unwrap();
    let (ss, data) = (word(SS), word(SS + 1));
    format!("{}: {data:#x}", name((ss >> 48 & 0xF) as u8, (ss >> 32) as u8))
}

fn idt(case: &Case) -> String {
    let first = case.event.map_or_else(String::new, |(kind, vector)| name(kind as u8, vector));
    format!("under the IDT alone: {first}")
}

fn name(kind: u8, number: u8) -> String {
    match EventType::try_from(kind).unwrap() {
        EventType::ExternalInterrupt => format!("interrupt {number:#x}"),
        EventType::Nmi => "NMI".to_owned(),
        EventType::HardwareException => vector::name(number).unwrap().to_owned(),
        EventType::SoftwareInterrupt => format!("INT {number:#x}"),
        EventType::PrivilegedSoftwareException => "INT1".to_owned(),
        EventType::SoftwareException => "INT3".to_owned(),
        EventType::Other => if number == 1 { "SYSCALL" } else { "SYSENTER" }.to_owned(),
    }
}

#[test]
fn an_event_is_named_by_its_slot_and_has_its_data() {
    let line = |ss, data| format!("FRAME pf/x 0 fred 2 10a134 8 10002 125fd8 {ss} {data} 0 0 0 0");
    assert_eq!(event(&line("0203000e00000010", "8000001a58")), "#PF: 0x8000001a58");
    assert_eq!(event(&line("2207000200020023", "0")), "SYSENTER: 0x0");
    assert_eq!(event(&line("0202000200040010", "0")), "NMI: 0x0");
}
