//! One scenario on one machine.
//!
//! | module | holds |
//! |---|---|
//! | `attempt` | from `Armed` to the verdict |
//! | `still` | a stop at which the guest stands still |
//! | `storm` | a case that runs again and again |
//! | `moves` | what a migration is |
//! | `trouble` | what an end without a verdict means |

mod attempt;
mod moves;
mod still;
mod storm;
mod trouble;

use crate::image::Image;
use crate::migration::{Asked, Migrated, MigrationError};
use crate::report::outcome::{Outcome, Report};
use crate::scenario::{Delivery, Plan, Scenario};
use crate::session::boot::boot;
use crate::session::devices::DevicesState;
use crate::session::{Session, Stopped};
use crate::stops::storm::StormBounds;
use crate::stream::Guest;
use attempt::Run;
use fred::control::CR4_FRED;
use protocol::doorbell::Doorbell;
use protocol::mailbox::HostFlags;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use trouble::Trouble;
use vm::Machine;
use vm::state::{self, VmState};
use vm::{Vcpu, VcpuError, VmConfig, VmKind};

/// Runs scenarios on a machine, forking them from snapshots taken at `Ready`.
pub struct Runner<'m> {
    machine: &'m dyn Machine,
    behaviour: Option<String>,
    timeout: Duration,
    snapshots: HashMap<SnapshotKey, VmState>,
    /// Whether reports carry captured frames.
    pub frames: bool,
    /// How long storms last.
    pub storm: StormBounds,
    /// Told where the guest is whenever it stands still, so that somebody knows if it never does again.
    pub on_seen: Option<OnSeen<'m>>,
    /// Another process, for guests that continue in one.
    pub to_process: Option<ToProcess<'m>>,
    /// Shown the guest whenever its doorbell has rung.
    pub on_doorbell: Option<OnDoorbell<'m>>,
    /// The machines that a migration takes the guest to, one after the other; without any, a fresh VM
    /// of its own machine. With some, a guest that nothing cuts migrates at `Armed`.
    pub route: Vec<&'m dyn Machine>,
}

/// What a snapshot at `Ready` depends on: image, delivery, payload capability.
type SnapshotKey = (String, Delivery, bool);

/// Lets a guest continue in another process, which does what is asked.
pub type ToProcess<'m> = Box<dyn Fn(&Guest, &Image, Asked) -> Result<Migrated, MigrationError> + 'm>;

/// Told where a guest is whenever it stands still.
pub type OnSeen<'m> = Box<dyn Fn(&str) + 'm>;
/// Shown a guest whose doorbell has rung, before anything else is done with it.
pub type OnDoorbell<'m> = Box<dyn Fn(Doorbell, &mut Session<'_>) -> Result<(), VcpuError> + 'm>;

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("machine", &self.machine.name()).finish_non_exhaustive()
    }
}

impl<'m> Runner<'m> {
    /// A runner; each scenario may take `timeout`.
    pub fn new(machine: &'m dyn Machine, behaviour: Option<String>, timeout: Duration) -> Self {
        Self {
            machine,
            behaviour,
            timeout,
            snapshots: HashMap::new(),
            frames: false,
            storm: StormBounds::DEFAULT,
            on_seen: None,
            to_process: None,
            on_doorbell: None,
            route: Vec::new(),
        }
    }

    /// Runs one scenario of `image`.
    pub fn run(&mut self, image: &Image, scenario: &Scenario) -> Report {
        let start = Instant::now();
        let mut report = Report::new(scenario, self.machine.name(), self.behaviour.as_deref());
        match image.case(&scenario.case) {
            Some((index, case)) => {
                let mut run = Run { runner: self, image, case, index, scenario };
                run.conclude(&mut report, start);
            }
            None => {
                let reason = format!("image {} has no case {}", image.name, scenario.case);
                report = report.concluded(Outcome::Error, reason);
            }
        }
        conclude(report, start)
    }

    /// Runs a guest that was stopped elsewhere to the end of its case, and judges it; `report` is what
    /// is known of it.
    pub fn finish(
        &mut self,
        image: &Image,
        scenario: &Scenario,
        mut vcpu: Box<dyn Vcpu>,
        devices: &DevicesState,
        mut report: Report,
    ) -> Report {
        let Some((index, case)) = image.case(&scenario.case) else {
            let reason = format!("image {} has no case {}", image.name, scenario.case);
            return report.concluded(Outcome::Error, reason);
        };
        vcpu.set_deadline(Instant::now() + self.timeout);
        let session = match Session::resumed(vcpu, image, devices) {
            Ok(session) => session,
            Err(reason) => return report.concluded(Outcome::Error, reason),
        };
        let mut session = Some(session);
        let run = Run { runner: self, image, case, index, scenario };
        let done = session.as_mut().map_or(Ok(()), |session| run.to_done(session, &mut report));
        run.settle(done, session.as_mut(), &mut report);
        report
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
            other => Err(self.explain(session, &other)),
        }
    }

    fn rang(&self, doorbell: Doorbell, session: &mut Session<'_>) -> Result<(), VcpuError> {
        self.on_doorbell.as_ref().map_or(Ok(()), |look| look(doorbell, session))
    }

    fn config(&self, scenario: &Scenario) -> VmConfig {
        VmConfig {
            memory_size: crate::image::MEMORY_SIZE,
            cpuid: self.machine.cpuid().to_vec(),
            exception_payload: scenario.payload,
            kind: match scenario.plan {
                Plan::Cut(stop, _) => stop.facts().vm,
                Plan::Cold | Plan::None => VmKind::Plain,
            },
        }
    }
}

/// What is made of a guest's verdict: nothing passes that read back otherwise after a restore, or whose cut
/// was not proved.
pub fn conclude(mut report: Report, start: Instant) -> Report {
    report.blame_restore();
    if matches!(report.scenario.plan, Plan::Cut(..))
        && report.cut.is_none()
        && report.outcome == Outcome::Pass
    {
        report = report.concluded(Outcome::Error, "the guest says pass and no cut was proved".to_owned());
    }
    report.duration_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    report
}

/// A guest that is ready for FRED has set CR4.FRED, because CPUID offers it: a KVM that drops in
/// silence what it has offered is wrong.
fn has_fred(scenario: &Scenario, session: &mut Session<'_>) -> Result<(), Trouble> {
    if scenario.delivery == Delivery::Fred && session.vcpu.sregs()?.cr4 & CR4_FRED == 0 {
        let what = "CPUID offers FRED, the guest has set CR4.FRED, and CR4.FRED reads 0";
        return Err(Trouble::Machine(what.to_owned()));
    }
    Ok(())
}
