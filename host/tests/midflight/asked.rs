//! What is probed of a machine before scenarios run on it.

use crate::binary::images;
use midflight::engine::plan::Abilities;
use midflight::engine::questions::{Question, StopSupport, Support};
use midflight::image::Image;
use midflight::scenario::{self, Scenario};
use protocol::need::Needs;
use std::convert::Infallible;

/// What is asked for the scenarios with these ids: with KVM_CAP_EXCEPTION_PAYLOAD on, then off.
fn asked(images: &[Image], ids: &[&str], meets: Needs) -> [Vec<Question>; 2] {
    let scenarios: Vec<(usize, Scenario)> = ids
        .iter()
        .map(|id| {
            let scenario: Scenario = id.parse().unwrap();
            (images.iter().position(|image| image.name == scenario.image).unwrap(), scenario)
        })
        .collect();
    let mut asked = [const { Vec::new() }; 2];
    let mut calls = Vec::new();
    let answer = |payload: bool, questions: &[Question]| {
        calls.push(payload);
        asked[usize::from(!payload)].extend_from_slice(questions);
        let works = |question: &Question| (*question, Support::Works);
        Ok::<_, Infallible>(StopSupport(questions.iter().map(works).collect()))
    };
    let abilities = Abilities::find_out("kvm", meets, images, &scenarios, answer).unwrap();
    let once = calls.iter().filter(|payload| **payload).count() <= 1 && calls.len() <= 2;
    assert!(once, "each side is asked once: {calls:?}");
    for (image, scenario) in &scenarios {
        let reason = abilities.skip_reason(&images[*image], scenario);
        let met = meets.contains(needs(&images[*image], scenario));
        assert_eq!(reason.is_none(), met, "{scenario}: {reason:?}");
    }
    asked
}

fn needs(image: &Image, scenario: &Scenario) -> Needs {
    scenario::needs(image.case(&scenario.case).unwrap().1, scenario.delivery)
}

#[test]
fn a_machine_is_asked_what_the_selection_depends_on_and_nothing_else() {
    let images = images();
    let Some(_) = images.first() else { return };
    let idt = Needs::USER | Needs::NMI | Needs::INTERRUPT;
    let stop = |stop: &str| Question::Stop(stop.parse().unwrap());
    let frame = stop("block@frame");
    let nothing = || [Vec::new(), Vec::new()];
    let asked = |ids: &[&str], meets| asked(&images, ids, meets);

    assert_eq!(asked(&["pf/read-unmapped:idt:cold", "db/single-step:idt:none"], idt), nothing());
    // Of every storm the same: whether a signal ends KVM_RUN near an event at all.
    let storms = ["pf/read-unmapped:idt:storm:migrate", "pf/read-unmapped:idt:storm=7:resume"];
    assert_eq!(asked(&storms, idt), [vec![stop("storm")], vec![]]);
    let both = ["pf/read-unmapped:idt:block@frame:resume", "db/single-step:idt:block@frame:migrate"];
    assert_eq!(asked(&both, idt), [vec![frame], vec![]]);
    let off = ["db/step-over-in:idt:nopayload:io:migrate", "db/step-over-in:idt:io:migrate"];
    assert_eq!(asked(&off, idt), [vec![stop("io")], vec![stop("io")]]);
    assert_eq!(asked(&["nmi/nmi:idt:block@frame:resume"], idt), [vec![Question::Nmi, frame], vec![]]);
    // A machine without FRED is asked nothing for its scenarios.
    let fred = ["pf/read-unmapped:fred:block@frame:resume"];
    assert_eq!(asked(&fred, idt), nothing());
    assert_eq!(asked(&fred, idt | Needs::FRED), [vec![frame], vec![]]);
}
