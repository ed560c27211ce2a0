//! A case that runs again and again in a storm of `stop`s.
//!
//! QEMU stops a processor by a signal that ends KVM_RUN, wherever the guest is then. Pages that the delivery touches are
//! evicted before, as in a storm of the driver's own signals. What QEMU saves of the stopped guest says
//! whether its event is in flight.

use super::attempt::Attempt;
use super::guests::arm;
use super::trouble::Trouble;
use crate::deadline::Deadline;
use crate::machines::qemu::Side;
use crate::qemu::in_flight::InFlight;
use crate::qemu::saved::Saved;
use crate::qemu::vm::QemuVm;
use crate::report::{Finding, Outcome};
use crate::scenario::{Action, Place, Scenario};
use crate::stops::Proof;
use crate::stops::storm::StormBounds;
use fastrand::Rng;
use protocol::doorbell::Doorbell;

/// How much later than QEMU is told to stop it the guest continues, in microseconds; below 0 it continues before that.
///
/// How long QEMU takes to stop a processor differs by host and load, and on a busy host the guest may have no processor
/// for longer. So each stop says how to aim the next one: the lead goes to where as many stops come before the act as
/// after it, in steps that become shorter where they turn, and longer where they do not.
struct Aim {
    random: Rng,
    lead: f64,
    step: f64,
    last: Option<Missed>,
}

/// How a stop has missed the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    /// The guest was before its act.
    Early,
    /// Its handler was entered.
    Late,
}

/// The first step, the shortest and the longest, in microseconds.
const STEPS: [f64; 3] = [64.0, 0.5, 1024.0];
/// The longest lead in microseconds.
const FURTHEST: f64 = 16_000.0;

impl Aim {
    fn new(seed: u32, id: &str) -> Self {
        let of_id = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(id.as_bytes());
        let random = Rng::with_seed(u64::from(seed) << 32 | u64::from(of_id));
        Self { random, lead: 0.0, step: STEPS[0], last: None }
    }

    /// The next one: a random one within a step.
    fn lead(&mut self) -> f64 {
        self.lead + self.step * (self.random.f64() - 0.5)
    }

    fn missed(&mut self, missed: Missed) {
        let turned = self.last.replace(missed).is_some_and(|last| last != missed);
        let [_, shortest, longest] = STEPS;
        self.step = (self.step * if turned { 0.5 } else { 1.25 }).clamp(shortest, longest);
        let towards = match missed {
            Missed::Early => -self.step,
            Missed::Late => self.step,
        };
        self.lead = (self.lead + towards).clamp(-FURTHEST, FURTHEST);
    }
}

/// The pages that leave the guest's mapping before each act. Those of the guest's page tables stay: a KVM that shadows them
/// builds its own anew then, and is at the act for longer than in its delivery.
const EVICTED: [Place; 4] = [Place::Frame, Place::Idt, Place::Gdt, Place::Tss];

/// Where a stop has found the guest.
enum Found {
    /// Its event in flight.
    Event(Saved),
    /// Before its act, or at it.
    OnTheWay,
    /// Its handler was entered.
    Handler,
}

/// The stops of a storm.
pub(super) struct Stops {
    aim: Aim,
    runs: u32,
    /// How many have met the event in flight.
    pub(super) met: u32,
    /// How many have found the guest at its act, or just after it.
    at_act: u32,
    /// How many have found it before that.
    before: u32,
}

impl Stops {
    /// None yet. The seed and the scenario decide when they come.
    pub(super) fn new(seed: u32, scenario: &Scenario) -> Self {
        Self { aim: Aim::new(seed, &scenario.to_string()), runs: 0, met: 0, at_act: 0, before: 0 }
    }

    /// That so many were to meet the event, and these have not in their time.
    pub(super) fn too_few(&self, wanted: u32) -> String {
        let Self { runs, met, at_act, before, .. } = self;
        format!(
            "{met} of {runs} runs were cut in time, {wanted} were required; {before} stops found the guest before its \
             act, {at_act} at the act or just after it"
        )
    }
}

impl Attempt<'_, '_> {
    /// The case runs again and again, and is stopped at random times, until enough stops have met its event in flight.
    pub(super) fn storm(&mut self, seed: u32, action: Action) -> Result<(), Trouble> {
        let StormBounds { cuts: wanted, time } = self.options.storm;
        let mut stops = Stops::new(seed, self.scenario);
        let end = Deadline::after(time);
        let mut vm = self.guests.take(&self.deadline)?;
        loop {
            let Some(ran) = self.run_in_storm(vm, &mut stops, action)? else { return Ok(()) };
            vm = ran;
            if self.report.outcome != Outcome::Pass {
                self.report.why.get_or_insert(Finding::InStorm { run: stops.runs });
                return Ok(());
            }
            if stops.met >= wanted {
                self.keep_source(vm, action);
                return Ok(());
            }
            if vm.has_passed(&end) {
                self.keep_source(vm, action);
                self.report.cut = None;
                let why = stops.too_few(wanted);
                return Err(Trouble::Found(Outcome::Error, Finding::NotCut { why }));
            }
        }
    }

    /// A guest that has migrated is in a QEMU that may be another program.
    fn keep_source(&mut self, vm: QemuVm, action: Action) {
        if action.migrate.is_none() || self.report.cuts == 0 {
            self.keep(Some(vm));
        }
    }

    /// The case once, with one stop.
    pub(super) fn run_in_storm(
        &mut self,
        mut vm: QemuVm,
        stops: &mut Stops,
        action: Action,
    ) -> Result<Option<QemuVm>, Trouble> {
        stops.runs += 1;
        match arm(&mut vm, self.index, &self.deadline)? {
            Doorbell::Armed(index) if index == self.index => {}
            Doorbell::Done(index) if index == self.index => {
                return Err(Trouble::NotArmed(vm.read_mailbox()?));
            }
            other => return Err(Trouble::OutOfTurn(other)),
        }
        for page in EVICTED.map(|place| self.guests.image.pages.at(place)) {
            let evicted = vm.memory.evict(page);
            evicted.map_err(|error| Trouble::lacks(format!("a page cannot be evicted: {error}")))?;
        }
        let lead = stops.aim.lead();
        vm.stop_near_release(lead, &self.deadline)?;
        if let Found::Event(saved) = self.found(&mut vm, stops)? {
            stops.met += 1;
            self.record(Proof::Queue, &saved)?;
            if action.migrate.is_some() {
                vm = self.guests.load(Side::Destination, &saved, &self.deadline)?;
            }
        }
        vm.run(&self.deadline)?;
        self.wait_for_done(vm)
    }

    /// Where the stop has found the guest.
    fn found(&self, vm: &mut QemuVm, stops: &mut Stops) -> Result<Found, Trouble> {
        let mailbox = vm.read_mailbox()?;
        if mailbox.entries > 0 || mailbox.waiting != 0 {
            stops.aim.missed(Missed::Late);
            return Ok(Found::Handler);
        }
        let registers = vm.registers(&self.deadline);
        if !registers.is_some_and(|registers| (self.case.act..=self.case.after).contains(&registers.rip)) {
            stops.before += 1;
            stops.aim.missed(Missed::Early);
            return Ok(Found::OnTheWay);
        }
        stops.at_act += 1;
        let saved = vm.save(&self.deadline)?;
        Ok(if InFlight::of(&saved)?.is_any() { Found::Event(saved) } else { Found::OnTheWay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_of_any_order_of_magnitude_is_found() {
        for takes in [-3000.0, -40.0, 3.0, 80.0, 400.0, 5000.0_f64] {
            let mut aim = Aim::new(1, "pf/read-unmapped:idt:storm:resume");
            let mut met = 0;
            for _ in 0..1000 {
                let lead = aim.lead();
                if (lead - takes).abs() < 2.0 {
                    met += 1;
                } else {
                    aim.missed(if lead > takes { Missed::Early } else { Missed::Late });
                }
            }
            assert!(met > 500, "{takes}: {met}");
        }
    }

    #[test]
    fn a_lead_that_changes_is_found_again() {
        let mut aim = Aim::new(1, "x");
        for takes in [0.0, 2000.0, -300.0] {
            for _ in 0..200 {
                let lead = aim.lead();
                aim.missed(if lead > takes { Missed::Early } else { Missed::Late });
            }
            assert!((aim.lead() - takes).abs() < 10.0, "{takes}");
        }
    }

    #[test]
    fn the_seed_and_the_scenario_decide_the_shares() {
        let leads = |seed, id| [(); 3].map(|()| Aim::new(seed, id).lead());
        assert_eq!(leads(0, "pf/x:idt:storm:resume"), leads(0, "pf/x:idt:storm:resume"));
        assert_ne!(leads(0, "pf/x:idt:storm:resume"), leads(7, "pf/x:idt:storm:resume"));
        assert_ne!(leads(0, "pf/x:idt:storm:resume"), leads(0, "pf/x:idt:storm:migrate"));
    }
}
