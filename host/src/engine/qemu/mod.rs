//! Scenarios in a QEMU that is driven: all of an image and a delivery, one after the other.
//!
//! A guest is booted once and waits at its doorbells. `cold` runs there; `none` continues from what QEMU saved at
//! `Ready`; `cancel` from what it saved at `Armed`, with the case's event put in flight; `evict` takes a page away at
//! `Armed`; `storm` stops the processor at random times. Every migration is QEMU's own, from one process to another.
//!
//! | module | holds |
//! |---|---|
//! | `plan` | which scenarios a QEMU can run, and why not |
//! | `guests` | the guest that was booted, and those that were loaded |
//! | `probe` | whether a stop can meet an event in flight |
//! | `attempt` | one scenario |
//! | `storm` | one with a storm |
//! | `synthesis` | the event that is put in flight, and registers that disagree with it |
//! | `trouble` | what it means that a guest has no verdict |

mod attempt;
mod guests;
pub(crate) mod plan;
pub(crate) mod probe;
mod storm;
mod synthesis;
mod trouble;

use crate::ending;
use crate::engine::RunOptions;
use crate::engine::emulator::Boot;
use crate::machines::qemu::TriedQemu;
use crate::report::Report;
use guests::Guests;

/// Runs the scenarios that a boot is for. `name` is what reports call the machine.
pub(crate) fn run(qemu: &TriedQemu, name: &str, boot: &Boot<'_>, options: &RunOptions) -> Vec<Report> {
    let mut guests = Guests::new(qemu, boot.image, boot.delivery);
    let each = boot.scenarios.iter().take_while(|_| ending::signal().is_none());
    each.map(|scenario| attempt::run(&mut guests, name, scenario, options)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::DeliveryMode;
    use crate::machines::qemu::{Accelerator, Qemu, TRY};
    use crate::qemu::saved::Saved;
    use crate::report::Outcome;
    use std::time::Duration;

    /// The outcome and the cuts of a scenario between whose QEMUs is a filter; `None` where QEMU has no KVM.
    fn filtered(id: &str, filter: fn(&mut Saved)) -> Option<(Outcome, u32)> {
        let qemu = Qemu { accelerators: vec![Accelerator::Kvm], ..Qemu::default() };
        let (Ok(qemu), Ok(images)) = (qemu.tried(TRY), crate::images::load(&[])) else {
            eprintln!("skipped, nothing tested: no QEMU runs guests on KVM here");
            return None;
        };
        let scenario: crate::scenario::Scenario = id.parse().unwrap();
        let image = images.iter().find(|image| image.name == scenario.image).unwrap();
        let mut guests = Guests::new(&qemu, image, DeliveryMode::Idt);
        guests.filter = filter;
        let options = RunOptions::within(Duration::from_secs(60));
        let report = attempt::run(&mut guests, "qemu", &scenario, &options);
        Some((report.outcome, report.cuts))
    }

    #[test]
    fn a_bit_that_is_flipped_on_the_way_is_red() {
        const FAULT: &str = "ud/ud2:idt:cancel:migrate";
        const TRAP: &str = "db/single-step:idt:cancel:migrate";
        for id in [FAULT, TRAP] {
            let Some(sound) = filtered(id, |_| {}) else { return };
            assert_eq!(sound, (Outcome::Pass, 1), "{id}");
        }
        type Filter = fn(&mut Saved);
        let flipped: [(&str, Filter); 4] = [
            // Another vector.
            (FAULT, |saved| flip(saved, "env.exception_nr", 0)),
            // None: the instruction of a fault would raise it again.
            (TRAP, |saved| saved.set("env.exception_nr", 0, u64::MAX).unwrap()),
            // An error code that the event has not.
            (FAULT, |saved| flip(saved, "env.has_error_code", 0)),
            // RF.
            (FAULT, |saved| flip(saved, "env.eflags", 16)),
        ];
        for (number, (id, filter)) in flipped.into_iter().enumerate() {
            let (outcome, _) = filtered(id, filter).unwrap();
            assert_ne!(outcome, Outcome::Pass, "{number}");
        }
    }

    fn flip(saved: &mut Saved, field: &'static str, bit: u32) {
        let value = saved.get(field, 0).unwrap();
        saved.set(field, 0, value ^ 1 << bit).unwrap();
    }
}
