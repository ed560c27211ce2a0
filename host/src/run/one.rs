//! One scenario on one machine.

use crate::boot::boot;
use crate::cut::{self, Cut, NoCut, SecondRun};
use crate::devices::DevicesState;
use crate::disturb::disturb;
use crate::image::{Case, Image};
use crate::inject;
use crate::machine::Machine;
use crate::migration::{MigrationError, Moved};
use crate::result::{Outcome, Report};
use crate::run::storm::{Storm, StormBounds};
use crate::scenario::{Action, Delivery, Migration, Plan, Scenario, Stop};
use crate::session::{Session, Stopped};
use crate::state::{self, VmState};
use crate::stream::{Errand, Guest};
use crate::vcpu::{Exit, Vcpu, VcpuError, VmConfig, VmKind};
use crate::verdict;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::mailbox::HostFlags;
use protocol::text;
use std::collections::HashMap;
use std::time::{Duration, Instant};

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
    /// Another process, for guests that move to one.
    pub elsewhere: Option<Elsewhere<'m>>,
    /// Shown the guest whenever its doorbell has rung.
    pub on_doorbell: Option<OnDoorbell<'m>>,
    /// The machines that a migration takes the guest to, one after the other; without any, a fresh VM
    /// of its own machine. With some, a guest that nothing cuts migrates at `Armed`.
    pub route: Vec<&'m dyn Machine>,
}

/// What a snapshot at `Ready` depends on: image, delivery, payload capability.
type SnapshotKey = (String, Delivery, bool);

/// Does a guest's errand elsewhere.
pub type Elsewhere<'m> = Box<dyn Fn(&Guest, &Image) -> Result<Moved, MigrationError> + 'm>;

/// Told where a guest is whenever it stands still.
pub type OnSeen<'m> = Box<dyn Fn(&str) + 'm>;
/// Shown a guest whose doorbell has rung, before anything else is done with it.
pub type OnDoorbell<'m> = Box<dyn Fn(Doorbell, &mut Session<'_>) -> Result<(), VcpuError> + 'm>;

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("machine", &self.machine.name()).finish_non_exhaustive()
    }
}

/// Why a scenario came to no verdict.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped where it should not.
    #[error("the guest stopped")]
    Stopped(Stopped),
    /// The cut did not happen.
    #[error("the delivery was not cut: {0}")]
    NoCut(String),
    /// The guest went on elsewhere and was not judged there.
    #[error("{0}")]
    Elsewhere(String),
    /// None: the guest went on elsewhere, and its report came back.
    #[error("the guest was judged elsewhere")]
    Judged,
}

impl From<NoCut> for Trouble {
    fn from(no_cut: NoCut) -> Self {
        match no_cut {
            NoCut::Vcpu(error) => Self::Vcpu(error),
            NoCut::Elsewhere(stopped @ Stopped::Exit(_)) => Self::Stopped(stopped),
            NoCut::Elsewhere(Stopped::Doorbell(Doorbell::Done(_))) => {
                Self::NoCut("the case ended without meeting the stop".to_owned())
            }
            NoCut::Elsewhere(other) => Self::NoCut(format!("the guest stopped at {other:?} instead")),
            NoCut::Unproved(why) => Self::NoCut(why),
        }
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
            elsewhere: None,
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
        report.blame_restore();
        if matches!(scenario.plan, Plan::Cut(..)) && report.cut.is_none() && report.outcome == Outcome::Pass {
            report = report.concluded(Outcome::Error, "the guest says pass and no cut was proved".to_owned());
        }
        report.duration_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        report
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
        run.settle(done, session.as_ref(), &mut report);
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
                self.rang(Doorbell::Ready, &mut session)?;
                Ok(session)
            }
            other => Err(explain(&session, other)),
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
                Plan::Cut(stop, _) => stop.vm_kind(),
                Plan::Cold | Plan::None => VmKind::Plain,
            },
        }
    }
}

/// One scenario under way.
struct Run<'r, 'm, 'a> {
    runner: &'r mut Runner<'m>,
    image: &'a Image,
    case: &'a Case,
    index: u16,
    scenario: &'a Scenario,
}

impl<'a> Run<'_, '_, 'a> {
    fn conclude(&mut self, report: &mut Report, start: Instant) {
        let deadline = start + self.runner.timeout;
        let mut session = None;
        let done = self.attempt(&mut session, report, deadline);
        self.settle(done, session.as_ref(), report);
    }

    /// What an end without a verdict means.
    fn settle(&self, done: Result<(), Trouble>, session: Option<&Session<'_>>, report: &mut Report) {
        let (outcome, reason) = match done {
            Ok(()) | Err(Trouble::Judged) => return,
            Err(Trouble::Elsewhere(why)) => (Outcome::Error, why),
            Err(Trouble::Vcpu(error)) => (Outcome::Error, error.to_string()),
            Err(Trouble::NoCut(why)) => (Outcome::Error, format!("the delivery was not cut: {why}")),
            Err(Trouble::Stopped(stopped)) => self.describe(session, &stopped),
        };
        report.outcome = outcome;
        report.reason = Some(reason);
    }

    fn attempt(
        &mut self,
        slot: &mut Option<Session<'a>>,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let started = match self.scenario.plan {
            Plan::Cold => self.runner.boot(self.image, self.scenario, deadline)?,
            Plan::None | Plan::Cut(..) => {
                Session::new(self.runner.fork(self.image, self.scenario, deadline)?, self.image)
            }
        };
        let session = slot.insert(started);
        session.choose_case(self.index)?;
        let armed = session.advance()?;
        if armed == Stopped::Doorbell(Doorbell::Done(self.index)) {
            // A skip or an error of the guest: it has not armed, and has nothing to judge.
            self.judge(session, report)?;
            return match report.outcome {
                Outcome::Skip | Outcome::Error => Ok(()),
                _ => Err(Trouble::NoCut("the guest judged a case that it had not armed".to_owned())),
            };
        }
        expect(session, armed, Doorbell::Armed(self.index))?;
        self.seen("armed", self.case.act);
        self.runner.rang(Doorbell::Armed(self.index), session)?;
        inject::at_armed(session, self.case.flags)?;
        if self.scenario.plan == Plan::None && !self.runner.route.is_empty() {
            self.migrate(session, report, deadline)?;
        }
        let evicted = match self.scenario.plan {
            Plan::Cut(Stop::Storm(seed), action) => {
                return self.storm(session, report, seed, action, deadline);
            }
            Plan::Cut(Stop::Evict(place), _) => Some(cut::evict(session, place)?),
            Plan::Cut(stop, action) => match self.cut(session, report, stop, action, deadline)? {
                SecondRun::Kept => None,
                SecondRun::RanOn => return self.judge_lost(session, report),
                SecondRun::Changed(after) => {
                    report.outcome = Outcome::Fail;
                    report.reason =
                        Some(format!("the event in flight changed at the second KVM_RUN, to {after}"));
                    return Ok(());
                }
            },
            Plan::Cold | Plan::None => None,
        };
        let done = session.advance_past_input()?;
        expect(session, done, Doorbell::Done(self.index))?;
        self.runner.rang(Doorbell::Done(self.index), session)?;
        self.judge(session, report)?;
        match evicted.map(|evicted| evicted.prove(session)) {
            Some(Ok(cut)) => self.record(report, &cut),
            // An event that was lost met no page either.
            Some(Err(no_cut)) if report.outcome != Outcome::Fail => return Err(no_cut.into()),
            _ => {}
        }
        Ok(())
    }

    fn to_done(&self, session: &mut Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let done = session.advance_past_input()?;
        expect(session, done, Doorbell::Done(self.index))?;
        self.judge(session, report)
    }

    /// The guest ran on from where its delivery was stopped: its event must be gone.
    fn judge_lost(&self, session: &Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        self.judge(session, report)?;
        if report.outcome != Outcome::Fail {
            report.cut = None;
            let what = "the event was delivered all the same";
            return Err(Trouble::NoCut(what.to_owned()));
        }
        Ok(())
    }

    fn record(&self, report: &mut Report, cut: &Cut) {
        report.cut = Some(cut.proof);
        report.cuts += 1;
        report.queue = Some(format!("{} at {}", cut.queue, self.image.describe_address(cut.rip)));
        self.seen("cut", cut.rip);
    }

    fn cut(
        &mut self,
        session: &mut Session<'_>,
        report: &mut Report,
        stop: Stop,
        action: Action,
        deadline: Instant,
    ) -> Result<SecondRun, Trouble> {
        let mut cut = cut::cut(session, self.case, stop, self.scenario.delivery, self.scenario.payload)?;
        self.record(report, &cut);
        if cut.second_run == SecondRun::Kept {
            inject::at_cut(session, self.case.flags)?;
            // What waits behind the event from now on is no change of the event.
            cut.queue = cut::queue(session)?;
        }
        for _ in 0..action.again {
            if cut.second_run != SecondRun::Kept {
                return Ok(cut.second_run);
            }
            self.act(session, report, (stop, action), &cut, false, deadline)?;
            cut = cut::cut_again(session, self.case, stop, &cut)?;
            self.record(report, &cut);
        }
        if cut.second_run != SecondRun::Kept {
            return Ok(cut.second_run);
        }
        let last = !matches!(stop, Stop::Access(_, Some(_)));
        self.act(session, report, (stop, action), &cut, last, deadline)?;
        match stop {
            Stop::Access(_, Some(_)) => Ok(cut::cut_again(session, self.case, stop, &cut)?.second_run),
            _ => Ok(SecondRun::Kept),
        }
    }

    /// What is done at a cut; `last` says that the guest then only has to run to the end of its case.
    fn act(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        (stop, action): (Stop, Action),
        cut: &Cut,
        last: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        if action.disturb {
            disturb(session, cut.phase, has_xfd(self.runner.machine))?;
        }
        cut::release(session, stop)?;
        match action.migrate {
            None => Ok(()),
            Some(Migration::Here) => Ok(self.migrate(session, report, deadline)?),
            Some(Migration::Process) => self.move_elsewhere(session, report, last, deadline),
        }
    }

    /// The case runs again and again, and signals come at random times, until enough of them have met
    /// its event half-way.
    fn storm(
        &mut self,
        session: &mut Session<'_>,
        report: &mut Report,
        seed: u32,
        action: Action,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let mut storm = Storm::new(seed, &self.scenario.to_string());
        let end = Instant::now() + self.runner.storm.time;
        loop {
            if let Some(cut) = storm.strike(session)? {
                self.record(report, &cut);
                self.act(session, report, (Stop::Storm(seed), action), &cut, false, deadline)?;
                let done = session.advance_past_input()?;
                expect(session, done, Doorbell::Done(self.index))?;
            }
            self.judge(session, report)?;
            if report.outcome != Outcome::Pass {
                report.reason.get_or_insert_with(|| format!("in run {} of the storm", storm.runs));
                return Ok(());
            }
            if report.cuts >= self.runner.storm.cuts {
                return Ok(());
            }
            if Instant::now() >= end {
                let (cuts, wanted) = (report.cuts, self.runner.storm.cuts);
                report.cut = None;
                let what = format!("{cuts} of {} runs were cut in time, {wanted} were wanted", storm.runs);
                return Err(Trouble::NoCut(what));
            }
            session.choose_case(self.index)?;
            let armed = session.advance()?;
            expect(session, armed, Doorbell::Armed(self.index))?;
        }
    }

    fn seen(&self, state: &str, rip: u64) {
        if let Some(on_seen) = &self.runner.on_seen {
            on_seen(&format!("{state} at {}", self.image.describe_address(rip)));
        }
    }

    /// The guest moves to another process, and is judged there; a guest that has more to meet than the
    /// end of its case comes back.
    fn move_elsewhere(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        last: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let Some(elsewhere) = &self.runner.elsewhere else {
            return Err(Trouble::Elsewhere(
                "this run has no other process for the guest to go to".to_owned(),
            ));
        };
        let machine = self.runner.machine;
        let state = state::save(session.vcpu.as_mut(), machine, &self.runner.config(self.scenario))?;
        report.lose(state::losses(&state, self.scenario.delivery, report.cut));
        let guest = Guest {
            errand: if last { Errand::Finish } else { Errand::Return },
            time_left: deadline.saturating_duration_since(Instant::now()),
            frames: self.runner.frames,
            report: report.clone(),
            image: self.image.file.clone(),
            devices: session.devices_state(),
            state,
        };
        let moved = elsewhere(&guest, self.image).map_err(|error| Trouble::Elsewhere(error.to_string()))?;
        let (Moved::Judged(answer) | Moved::Returned(Guest { report: answer, .. })) = &moved;
        if answer.id != report.id {
            return Err(Trouble::Elsewhere(format!("the destination answers about {}", answer.id)));
        }
        *report = answer.clone();
        let Moved::Returned(guest) = moved else { return Err(Trouble::Judged) };
        let mut restored = state::restore_and_check(machine, &guest.state)?;
        report.note_restore(&mut restored);
        restored.vcpu.set_deadline(deadline);
        session.replace_vcpu(restored.vcpu);
        Ok(())
    }

    /// The guest moves to a fresh VM and vCPU in this process, or to one after the other on the route.
    /// What is read back is compared where the machine is the same: another has registers of its own.
    fn migrate(
        &self,
        session: &mut Session<'_>,
        report: &mut Report,
        deadline: Instant,
    ) -> Result<(), VcpuError> {
        let config = self.runner.config(self.scenario);
        let mut source = self.runner.machine;
        let route = match self.runner.route.as_slice() {
            [] => std::slice::from_ref(&self.runner.machine),
            route => route,
        };
        for &machine in route {
            let state = state::save(session.vcpu.as_mut(), source, &config)?;
            report.lose(state::losses(&state, self.scenario.delivery, report.cut));
            let mut vcpu = if self.runner.route.is_empty() {
                let mut restored = state::restore_and_check(machine, &state)?;
                report.note_restore(&mut restored);
                restored.vcpu
            } else {
                state::restore(machine, &state)?
            };
            vcpu.set_deadline(deadline);
            session.replace_vcpu(vcpu);
            source = machine;
        }
        Ok(())
    }

    fn judge(&self, session: &Session<'_>, report: &mut Report) -> Result<(), Trouble> {
        let mailbox = session.mailbox()?;
        verdict::read(&mailbox, self.case, report);
        if self.runner.frames {
            report.frames = verdict::frames(&mailbox, report);
        }
        Ok(())
    }

    /// What a guest that stopped where it should not says about the machine, or about the harness.
    fn describe(&self, session: Option<&Session<'_>>, stopped: &Stopped) -> (Outcome, String) {
        let place = session
            .and_then(|session| session.vcpu.regs().ok())
            .map_or("an unknown address".to_owned(), |regs| self.image.describe_address(regs.rip));
        match stopped {
            Stopped::Exit(Exit::Deadline) => {
                let limit = self.runner.timeout.as_secs_f64();
                (Outcome::Error, format!("timeout: after {limit} s the guest was still running, at {place}"))
            }
            Stopped::Exit(Exit::Shutdown) => {
                (Outcome::Fail, format!("the guest was shut down (triple fault), RIP at {place}"))
            }
            Stopped::Exit(Exit::InternalError { suberror, data }) => (
                Outcome::Fail,
                format!("KVM_EXIT_INTERNAL_ERROR, suberror {suberror}, data {data:x?}, RIP at {place}"),
            ),
            Stopped::Exit(Exit::UnknownInstruction { text, rip }) => (
                Outcome::Error,
                format!("unsupported instruction {text} at {}", self.image.describe_address(*rip)),
            ),
            Stopped::Ended(byte) => (Outcome::Error, ended(session, *byte)),
            other => (Outcome::Error, format!("the guest stopped with {other:?}, RIP at {place}")),
        }
    }
}

fn expect(session: &Session<'_>, stopped: Stopped, doorbell: Doorbell) -> Result<(), Trouble> {
    if stopped == Stopped::Doorbell(doorbell) { Ok(()) } else { Err(explain(session, stopped)) }
}

/// A stop while booting happens to a session that the caller never sees: its story goes into the
/// trouble itself.
fn explain(session: &Session<'_>, stopped: Stopped) -> Trouble {
    match stopped {
        Stopped::Ended(byte) => Trouble::NoCut(ended(Some(session), byte)),
        other => Trouble::Stopped(other),
    }
}

fn ended(session: Option<&Session<'_>>, byte: u8) -> String {
    let how = match ImageExit::from_byte(byte) {
        Some(exit) => format!("{exit:?}"),
        None => format!("unknown byte {byte:#x}"),
    };
    let mailbox = session.and_then(|session| session.mailbox().ok());
    let reason = mailbox.as_ref().and_then(|mailbox| text::read(&mailbox.reason)).unwrap_or("");
    let serial = session.map(Session::serial_text).unwrap_or_default();
    let last = serial.lines().last().unwrap_or("");
    let story = if reason.is_empty() { last } else { reason };
    format!("the image ended itself in mid-case ({how}): {story}")
}

fn has_xfd(machine: &dyn Machine) -> bool {
    machine.msr_indices().contains(&fred::msr::XFD_ERR)
}
