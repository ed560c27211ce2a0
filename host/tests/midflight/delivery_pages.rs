//! What the images promise of the pages that a delivery touches: refused one by one at `Armed`, each
//! stops the delivery under test and nothing else, and opened again the case passes.
//!
//! On the model, which says what was refused. Without embedded images there is nothing to run.

use crate::binary::images;
use midflight::image::{Case, DeliveryPages, Image, MEMORY_SIZE};
use midflight::inject;
use midflight::scenario::{DeliveryMode, Place, is_possible};
use midflight::session::boot::boot;
use midflight::session::{Session, Stopped};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use protocol::doorbell::Doorbell;
use protocol::mailbox::{HostFlags, Verdict};
use protocol::note::CaseFlags;
use vm::state::{self, VmState};
use vm::{Exit, PageAccess, VmConfig};

/// The pages that a delivery of `case` must touch, and nothing else between `Armed` and its handler.
fn pages(case: &Case, delivery: DeliveryMode, pages: &DeliveryPages) -> Vec<(Place, u64)> {
    let at = |place| (place, pages.at(place));
    let of_the_act = case.flags.contains(CaseFlags::TOUCHES_FRAME);
    if of_the_act && case.flags.intersects(CaseFlags::INTERRUPT_AT_CUT | CaseFlags::NMI_AT_CUT) {
        return Vec::new();
    }
    let mut touched = Vec::new();
    if !of_the_act {
        touched.extend([Place::Frame, Place::Pdpt, Place::Pd, Place::Pt].map(at));
    }
    if delivery == DeliveryMode::Idt {
        touched.extend([Place::Idt, Place::Tss].map(at));
        if !case.flags.contains(CaseFlags::TOUCHES_GDT) {
            touched.push(at(Place::Gdt));
        }
    }
    touched
}

fn ready(machine: &ModelMachine, image: &Image, delivery: DeliveryMode) -> VmState {
    let vcpu = boot(machine, image, delivery, true, HostFlags::PRESENT).unwrap();
    let mut session = Session::new(vcpu, image);
    assert_eq!(session.advance().unwrap(), Stopped::Doorbell(Doorbell::Ready));
    state::save(session.vcpu.as_mut(), machine, &VmConfig::plain(machine, MEMORY_SIZE, true)).unwrap()
}

/// Runs case `index` with `page` refused from `Armed` to the stop, several times in one guest: what is
/// cached of one delivery must not keep the next from touching the page.
fn stop_at(machine: &ModelMachine, image: &Image, ready: &VmState, index: u16, page: u64) {
    let case = &image.cases[usize::from(index)];
    let mut session = Session::new(state::restore(machine, ready).unwrap(), image);
    for _ in 0..3 {
        session.choose_case(index).unwrap();
        assert_eq!(session.advance().unwrap(), Stopped::Doorbell(Doorbell::Armed(index)));
        inject::at_armed(&mut session, case).unwrap();
        session.vcpu.set_page_access(page, PageAccess::Blocked).unwrap();
        match session.advance_past_io().unwrap() {
            Stopped::Exit(Exit::Fault { gpa: Some(gpa) }) => assert_eq!(gpa & !0xFFF, page),
            other => panic!("{other:?}"),
        }
        assert_eq!(session.entries().unwrap(), 0);
        let rip = session.vcpu.regs().unwrap().rip;
        // A fetch faults at its target; of several deliveries the first may come inside the act.
        // In a segment that does not begin at 0 RIP says nothing; what comes after the last byte of 4 GiB is 0.
        let is_flat = session.vcpu.sregs().unwrap().cs.base == 0;
        let wraps = case.act == u64::from(u32::MAX) && rip == 0;
        let is_in_act = !is_flat || wraps || rip == case.act || (case.act..=case.after).contains(&rip);
        assert!(is_in_act, "RIP {}", image.describe_address(rip));
        let events = session.vcpu.events().unwrap();
        let shown = events.exception.injected | events.interrupt.injected | events.nmi.injected != 0;
        // The event on the frame page is the case's first; at the IDT it may be the one that it is met in.
        let others = case.flags.contains(CaseFlags::NESTED)
            && [Place::Idt, Place::Gdt, Place::Tss].iter().any(|place| image.pages.at(*place) == page);
        assert!(others || shown != case.flags.contains(CaseFlags::SOFT), "{events:?}");
        session.vcpu.set_page_access(page, PageAccess::Open).unwrap();
        inject::at_cut(&mut session, case.flags).unwrap();
        assert_eq!(session.advance_past_io().unwrap(), Stopped::Doorbell(Doorbell::Done(index)));
        let mailbox = session.mailbox().unwrap();
        assert_eq!(mailbox.verdict, Verdict::Pass as u32, "{:?}", &mailbox.mismatches[..2]);
    }
}

#[test]
fn each_page_stops_the_delivery_of_each_case_and_nothing_else() {
    let machine = ModelMachine::new(&CORRECT);
    for image in &images() {
        for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
            let ready = ready(&machine, image, delivery);
            for (index, case) in image.cases.iter().enumerate() {
                if case.entries(delivery) == 0 || !is_possible(case, delivery) {
                    continue;
                }
                for (name, page) in pages(case, delivery, &image.pages) {
                    eprintln!("{}/{}:{delivery} at {name}", image.name, case.name);
                    stop_at(&machine, image, &ready, u16::try_from(index).unwrap(), page);
                }
            }
        }
    }
}
