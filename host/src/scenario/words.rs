//! A scenario in words: what it does, and which rule it proves.

use super::{DeliveryMode, Plan, Scenario};
use crate::image::{Case, Image};
use fred::event::{EventType, vector};
use protocol::note::CaseFlags;

/// What a scenario of `image`'s `case` does and proves, a sentence each.
pub(crate) fn paragraph(image: &Image, case: &Case, scenario: &Scenario) -> Vec<String> {
    let mut sentences = vec![event(case, scenario.delivery)];
    sentences.extend(injected(case.flags));
    match scenario.plan {
        Plan::Cold => sentences
            .push("It runs from boot, without a snapshot and without a stop: the control.".to_owned()),
        Plan::None => sentences.push("It runs from a snapshot, without a stop.".to_owned()),
        Plan::Cut(stop, action) => sentences.extend([stop.how().words(), action.words()]),
    }
    if !scenario.payload {
        sentences.push(
            "KVM_CAP_EXCEPTION_PAYLOAD is off: the payload of a pending exception is written to CR2 or DR6 when user space \
             reads the state."
                .to_owned(),
        );
    }
    sentences.push(verdict(case, scenario));
    sentences.push(format!("It proves the rule of {}/{}: {}", image.name, case.name, case.rule));
    sentences
}

/// The event, and how it is delivered.
fn event(case: &Case, delivery: DeliveryMode) -> String {
    let ring = if case.flags.contains(CaseFlags::USER) { "ring 3" } else { "ring 0" };
    let through = match delivery {
        DeliveryMode::Fred => "FRED",
        DeliveryMode::Idt => "the IDT",
    };
    match case.event {
        Some((event_type, number)) => {
            format!("In {ring}, {} is delivered through {through}.", named(event_type, number))
        }
        None => format!("In {ring}, nothing may be delivered through {through}."),
    }
}

/// An event in words: `#PF (vector 14, hardware exception)`.
fn named(event_type: EventType, number: u8) -> String {
    let name = match event_type {
        EventType::ExternalInterrupt => "an interrupt",
        EventType::SoftwareInterrupt => "INT n",
        EventType::PrivilegedSoftwareException => "INT1",
        EventType::Other if number == 1 => "SYSCALL",
        EventType::Other => "SYSENTER",
        EventType::Nmi | EventType::HardwareException | EventType::SoftwareException => {
            vector::name(number).unwrap_or("an exception")
        }
    };
    format!("{name} (vector {number}, {event_type})")
}

/// What the host injects besides.
fn injected(flags: CaseFlags) -> impl Iterator<Item = String> {
    const SAID: [(CaseFlags, &str); 9] = [
        (CaseFlags::NMI_AT_ARMED, "The host injects an NMI before the act."),
        (CaseFlags::SECOND_NMI, "The host injects a second NMI, and saves and restores the events."),
        (CaseFlags::SECOND_NMI_AT_CUT, "The host injects two NMIs there."),
        (CaseFlags::NMI_AT_CUT, "While the guest is stopped the host injects an NMI."),
        (CaseFlags::BLOCK_NMI, "The host blocks NMIs before the act."),
        (CaseFlags::INTERRUPT_AT_ARMED, "The host raises an external interrupt before the act."),
        (CaseFlags::INTERRUPT_AT_CUT, "While the guest is stopped the host raises an external interrupt."),
        (CaseFlags::NMI_AT_HALT, "The act waits in HLT, where the host injects an NMI."),
        (CaseFlags::INTERRUPT_AT_HALT, "The act waits in HLT, where the host raises an external interrupt."),
    ];
    SAID.into_iter().filter(move |(flag, _)| flags.contains(*flag)).map(|(_, said)| said.to_owned())
}

/// When it passes.
fn verdict(case: &Case, scenario: &Scenario) -> String {
    if case.flags.contains(CaseFlags::SHUTDOWN) {
        return "It passes if the guest is shut down before a handler is entered.".to_owned();
    }
    let proved = match scenario.plan {
        Plan::Cut(..) => "the stop is proved, ",
        Plan::Cold | Plan::None => "",
    };
    match case.entries(scenario.delivery) {
        0 => format!("It passes if {proved}no handler is entered and the registers are as the case says."),
        1 => format!(
            "It passes if {proved}a handler is entered once, and each field of its frame is as the case says."
        ),
        many => format!(
            "It passes if {proved}handlers are entered {many} times, and each field of each frame is as the case says."
        ),
    }
}
