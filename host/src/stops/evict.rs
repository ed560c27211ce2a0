//! The kernel stops the delivery by itself: `evict`.

use super::{Cut, NoCut, Proof, SecondRun};
use crate::image::Place;
use crate::session::Session;
use protocol::disturbance::Phase;
use vm::VcpuError;

/// A page that was taken out of the guest's mapping.
#[derive(Clone, Copy, Debug)]
pub struct Evicted {
    page: u64,
    /// RIP then.
    rip: u64,
}

/// Takes the page at `place` out of the guest's mapping, at `Armed`: the delivery meets its absence,
/// leaves the guest, and is resumed by the kernel.
///
/// # Errors
/// When it cannot be taken.
pub fn evict(session: &mut Session<'_>, place: Place) -> Result<Evicted, VcpuError> {
    session.complete_io()?;
    let page = session.image().pages.at(place);
    session.vcpu.evict(page)?;
    Ok(Evicted { page, rip: session.vcpu.regs()?.rip })
}

impl Evicted {
    /// Proves, behind the case, that the page was met.
    ///
    /// # Errors
    /// When it was not.
    pub fn prove(&self, session: &Session<'_>) -> Result<Cut, NoCut> {
        if !session.vcpu.is_resident(self.page)? {
            return Err(NoCut::Unproved(format!("nothing met the absence of the page {:#x}", self.page)));
        }
        Ok(Cut {
            proof: Proof::Refault,
            phase: Phase::After,
            queue: "not seen: the kernel mapped the page and went on".to_owned(),
            rip: self.rip,
            second_run: SecondRun::Kept,
        })
    }
}
