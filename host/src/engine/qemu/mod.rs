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

    type Filter = fn(&mut Saved);

    const FAULT: &str = "ud/ud2:idt:cancel:migrate";
    const TRAP: &str = "db/single-step:idt:cancel:migrate";
    const PAGE_FAULT: &str = "pf/read-unmapped:idt:cancel:migrate";
    /// Its guest is saved where it has come to.
    const AGAIN: &str = "ud/ud2:idt:cancel:migrate+again=3";
    /// Its error code is not 0.
    const WITH_CODE: &str = "gp/no-ldt:idt:cancel:migrate";

    #[test]
    fn a_bit_that_is_flipped_on_the_way_is_red() {
        for (id, cuts) in [(FAULT, 1), (TRAP, 1), (PAGE_FAULT, 1), (AGAIN, 4)] {
            let Some(sound) = filtered(id, |_| {}) else { return };
            assert_eq!(sound, (Outcome::Pass, cuts), "{id}");
        }
        let flipped: [(&str, &str, Filter); 13] = [
            ("another vector", FAULT, |saved| flip(saved, "env.exception_nr", 0)),
            // The instruction of a fault would raise it again.
            ("no event", TRAP, |saved| saved.set("env.exception_nr", 0, u64::MAX).unwrap()),
            ("an error code that it has not", FAULT, |saved| flip(saved, "env.has_error_code", 0)),
            ("no error code", PAGE_FAULT, |saved| flip(saved, "env.has_error_code", 0)),
            ("RF", FAULT, |saved| flip(saved, "env.eflags", 16)),
            ("the payload of #PF", PAGE_FAULT, |saved| flip(saved, "env.cr[2]", 12)),
            ("the payload of #DB", TRAP, |saved| flip_in(saved, "env.dr", 6, 14)),
            ("DR7", TRAP, |saved| flip_in(saved, "env.dr", 7, 0)),
            ("an interrupt", AGAIN, |saved| saved.set("env.interrupt_injected", 0, 0x20).unwrap()),
            ("an NMI injected", AGAIN, |saved| flip(saved, "env.nmi_injected", 0)),
            ("an NMI pending", AGAIN, |saved| flip(saved, "env.nmi_pending", 0)),
            ("NMIs blocked", AGAIN, |saved| flip(saved, "env.hflags2", 2)),
            ("the interrupt shadow", AGAIN, |saved| flip(saved, "env.hflags", 3)),
        ];
        for (what, id, filter) in flipped {
            let (outcome, _) = filtered(id, filter).unwrap();
            assert_ne!(outcome, Outcome::Pass, "{what}");
        }
        // QEMU 7.2 saves none.
        match filtered(WITH_CODE, |_| {}).unwrap() {
            (Outcome::Pass, _) => {
                let (outcome, _) = filtered(WITH_CODE, |saved| flip(saved, "env.error_code", 3)).unwrap();
                assert_ne!(outcome, Outcome::Pass, "the error code");
            }
            other => eprintln!("skipped, nothing tested: this QEMU has saved no error code ({other:?})"),
        }
    }

    fn flip_in(saved: &mut Saved, field: &'static str, index: usize, bit: u32) {
        let value = saved.get(field, index).unwrap();
        saved.set(field, index, value ^ 1 << bit).unwrap();
    }

    fn flip(saved: &mut Saved, field: &'static str, bit: u32) {
        flip_in(saved, field, 0, bit);
    }
}
