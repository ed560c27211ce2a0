//! Which scenarios a QEMU that is driven can run.

use super::nmi::Alone;
use crate::image::Image;
use crate::machines::emulator::Emulator;
use crate::machines::qemu::{Accelerator, TriedQemu};
use crate::scenario::{Plan, Scenario};
use crate::stops::Stop;
use protocol::note::CaseFlags;

/// Whether a scenario is for QEMU at all: what it leaves out, QEMU has no way to do, or does in another scenario.
pub(crate) fn takes(scenario: &Scenario) -> bool {
    // QEMU always has KVM_CAP_EXCEPTION_PAYLOAD on.
    scenario.payload
        && match scenario.plan {
            Plan::Cold | Plan::None => true,
            Plan::Cut(Stop::Cancel(_) | Stop::Evict(_) | Stop::Storm(_), _) => true,
            Plan::Cut(
                Stop::Block(_)
                | Stop::Private(_)
                | Stop::Userfault(_)
                | Stop::Hole(_)
                | Stop::ReadOnly(_)
                | Stop::Ring(_)
                | Stop::Abandon(_)
                | Stop::Io(_)
                | Stop::Access(_)
                | Stop::Return(_)
                | Stop::Act(_),
                _,
            ) => false,
        }
}

/// Why this QEMU cannot run a scenario; `None` when it can.
pub(crate) fn lacks(qemu: &TriedQemu, image: &Image, scenario: &Scenario) -> Option<String> {
    if let Some(lacks) = qemu.lacks(scenario.delivery) {
        return Some(lacks);
    }
    let (_, case) = image.case(&scenario.case)?;
    let injected = case.flags & CaseFlags::INJECTED;
    let is_given = match scenario.plan {
        Plan::Cut(Stop::Cancel(_), _) => injected == CaseFlags::NMI_AT_CUT,
        Plan::Cut(Stop::Evict(_), _) => Alone::of(case).is_some(),
        Plan::Cold | Plan::None | Plan::Cut(..) => false,
    };
    if !injected.is_empty() && !is_given {
        let why = "needs nmi, interrupt: QEMU gives an NMI beside an exception in flight, at an act or in HLT, none \
                   with another of a host's events, and no interrupt";
        return Some(why.to_owned());
    }
    let tcg = qemu.accelerator == Accelerator::Tcg;
    let lacks = |words: &str| tcg.then(|| words.to_owned());
    match scenario.plan {
        Plan::Cold | Plan::None => None,
        Plan::Cut(Stop::Cancel(_), _) => lacks(
            "cancel is not offered: TCG delivers an exception in one step, never saves one in flight and takes none \
             from a saved guest",
        ),
        Plan::Cut(Stop::Storm(_), _) => lacks(
            "storm is not offered: TCG delivers an exception in one step, under the lock for which a stop waits",
        ),
        Plan::Cut(stop, _) => {
            let why = "TCG takes no notice of a page that the kernel maps again";
            lacks(&format!("{stop} is not offered: {why}"))
        }
    }
}
