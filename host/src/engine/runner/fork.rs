//! Guests at `Ready`: booted once, and forked from that snapshot.

use super::trouble::Trouble;
use crate::image::Image;
use crate::migration::{Migrated, MigrationError, MigrationRequest};
use crate::report::Finding;
use crate::report::outcome::Frames;
use crate::scenario::{DeliveryMode, Plan, Scenario};
use crate::session::boot::boot;
use crate::session::{Session, Stopped};
use crate::stops::storm::StormBounds;
use crate::stream::Guest;
use fred::control::CR4_FRED;
use protocol::doorbell::Doorbell;
use protocol::mailbox::HostFlags;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use vm::state::{self, VmState};
use vm::{Machine, Vcpu, VcpuError, VmConfig, VmKind};

/// Runs scenarios on a machine, forking them from snapshots taken at `Ready`.
#[expect(missing_debug_implementations, reason = "nobody prints closures")]
pub struct Runner<'m> {
    pub(super) machine: &'m dyn Machine,
    pub(super) behaviour: Option<String>,
    pub(super) timeout: Duration,
    snapshots: HashMap<SnapshotKey, VmState>,
    /// Which reports carry captured frames.
    pub frames: Frames,
    /// How long storms last.
    pub storm: StormBounds,
    /// Called with the guest's position at each stop, for the report of a guest that then hangs.
    pub on_seen: Option<OnSeen<'m>>,
    /// Another process, for guests that continue in one.
    pub to_process: Option<ToProcess<'m>>,
    /// Shown the guest whenever its doorbell has rung.
    pub on_doorbell: Option<OnDoorbell<'m>>,
    /// Shown the guest wherever it stands still; the time that it takes is not the guest's.
    pub on_stopped: Option<OnStopped<'m>>,
    /// The machines that a migration takes the guest to, one after the other; without any, a fresh VM
    /// of its own machine. With some, a guest that nothing cuts migrates at `Armed`.
    pub path: Vec<&'m dyn Machine>,
}

/// The key of a snapshot at `Ready`: image, delivery mode, payload capability.
type SnapshotKey = (String, DeliveryMode, bool);

/// Lets a guest continue in another process, which serves the request.
pub type ToProcess<'m> =
    Box<dyn Fn(&Guest, &Image, MigrationRequest) -> Result<Migrated, MigrationError> + 'm>;

/// Called with a guest's position at each stop.
pub type OnSeen<'m> = Box<dyn Fn(&str) + 'm>;
/// Called with a guest that stands still.
pub type OnStopped<'m> = Box<dyn Fn(StoppedAt, &mut Session<'_>) + 'm>;

/// Where a guest stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedAt {
    /// Its act is about to begin.
    Armed,
    /// Its delivery was cut.
    Cut,
    /// Its judge has judged.
    Done,
}

/// Called with a guest whose doorbell has rung, before anything else happens.
pub type OnDoorbell<'m> = Box<dyn Fn(Doorbell, &mut Session<'_>) -> Result<(), VcpuError> + 'm>;

impl<'m> Runner<'m> {
    /// A runner; each scenario may take `timeout`.
    pub fn new(machine: &'m dyn Machine, behaviour: Option<String>, timeout: Duration) -> Self {
        Self {
            machine,
            behaviour,
            timeout,
            snapshots: HashMap::new(),
            frames: Frames::OfNone,
            storm: StormBounds::DEFAULT,
            on_seen: None,
            to_process: None,
            on_doorbell: None,
            on_stopped: None,
            path: Vec::new(),
        }
    }

    /// A guest at `Ready`: booted for its scenario alone, or forked.
    pub(super) fn start<'i>(
        &mut self,
        image: &'i Image,
        scenario: &Scenario,
        deadline: Instant,
    ) -> Result<Session<'i>, Trouble> {
        match scenario.plan {
            Plan::Cold => self.boot(image, scenario, deadline),
            Plan::None | Plan::Cut(..) => Ok(Session::new(self.fork(image, scenario, deadline)?, image)),
        }
    }

    /// A VM stopped at `Ready`, forked from the snapshot, which is taken the first time.
    fn fork(
        &mut self,
        image: &Image,
        scenario: &Scenario,
        deadline: Instant,
    ) -> Result<Box<dyn Vcpu>, Trouble> {
        let key = (image.name.clone(), scenario.delivery, scenario.payload);
        if !self.snapshots.contains_key(&key) {
            let mut session = self.boot(image, scenario, deadline)?;
            let config = VmConfig { kind: VmKind::Plain, ..self.config(scenario) };
            let state = state::save(session.vcpu.as_mut(), self.machine, &config)?;
            self.snapshots.insert(key.clone(), state);
        }
        let state = VmState { config: self.config(scenario), ..self.snapshots[&key].clone() };
        let mut vcpu = state::restore(self.machine, &state)?;
        vcpu.set_deadline(deadline);
        Ok(vcpu)
    }

    /// A VM booted to `Ready`.
    fn boot<'i>(
        &self,
        image: &'i Image,
        scenario: &Scenario,
        deadline: Instant,
    ) -> Result<Session<'i>, Trouble> {
        let mut vcpu = boot(self.machine, image, scenario.delivery, scenario.payload, HostFlags::PRESENT)?;
        vcpu.set_deadline(deadline);
        let mut session = Session::new(vcpu, image);
        match session.advance()? {
            Stopped::Doorbell(Doorbell::Ready) => {
                has_fred(scenario, &mut session)?;
                self.rang(Doorbell::Ready, &mut session)?;
                Ok(session)
            }
            other => Err(Trouble::unexpected(session, other, self.timeout)),
        }
    }

    /// Shows the guest to whoever wants to see it.
    pub(super) fn rang(&self, doorbell: Doorbell, session: &mut Session<'_>) -> Result<(), VcpuError> {
        self.on_doorbell.as_ref().map_or(Ok(()), |look| look(doorbell, session))
    }

    /// The VM of a scenario.
    pub(super) fn config(&self, scenario: &Scenario) -> VmConfig {
        VmConfig {
            memory_size: crate::image::MEMORY_SIZE,
            cpuid: self.machine.cpuid().to_vec(),
            exception_payload: scenario.payload,
            kind: scenario.plan.cut().map_or(VmKind::Plain, |(stop, _)| stop.facts().vm),
        }
    }
}

/// A guest that is ready for FRED has set CR4.FRED, because CPUID offers it: a KVM that drops in
/// silence what it has offered is wrong.
fn has_fred(scenario: &Scenario, session: &mut Session<'_>) -> Result<(), Trouble> {
    if scenario.delivery == DeliveryMode::Fred && session.vcpu.sregs()?.cr4 & CR4_FRED == 0 {
        return Err(Trouble::machine(Finding::FredNotSet));
    }
    Ok(())
}
