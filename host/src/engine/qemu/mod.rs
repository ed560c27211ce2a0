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
//! | `evict` | one with a page that is taken away |
//! | `storm` | one with a storm |
//! | `nmi` | NMIs that a case asks for |
//! | `synthesis` | the event that is put in flight, and registers that disagree with it |
//! | `trouble` | what it means that a guest has no verdict |

mod attempt;
mod evict;
#[cfg(test)]
mod flipped;
mod guests;
mod nmi;
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
