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
use crate::scenario::{Action, Place};
use crate::stops::Proof;
use crate::stops::storm::StormBounds;
use fastrand::Rng;
use protocol::doorbell::Doorbell;
use std::collections::VecDeque;

/// How much later than QEMU is told to stop it the guest continues, in microseconds; below 0 it continues before that.
///
/// How long QEMU takes to stop a processor differs by host and load, and on a busy host the guest may have no processor
/// for longer. So a lead of any order of magnitude is tried, and half of them near one that has met the guest at its act.
struct Aim {
    random: Rng,
    /// The leads that have.
    good: VecDeque<f64>,
}

/// The longest lead in microseconds, as a power of 2: 8 ms.
const FURTHEST: f64 = 13.0;
/// How many good leads count.
const KEPT: usize = 16;

impl Aim {
    fn new(seed: u32, id: &str) -> Self {
        let of_id = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(id.as_bytes());
        Self { random: Rng::with_seed(u64::from(seed) << 32 | u64::from(of_id)), good: VecDeque::new() }
    }

    fn lead(&mut self) -> f64 {
        if self.random.bool() && !self.good.is_empty() {
            let near = self.good[self.random.usize(..self.good.len())];
            return near * (0.5 + self.random.f64());
        }
        let lead = (self.random.f64() * FURTHEST).exp2();
        if self.random.bool() { lead } else { -lead }
    }

    /// This lead has met the guest at its act.
    fn is_good(&mut self, lead: f64) {
        self.good.push_back(lead);
        if self.good.len() > KEPT {
            self.good.pop_front();
        }
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

/// A storm of stops.
struct Stops {
    aim: Aim,
    runs: u32,
    /// How many have found the guest at its act, or just after it.
    at_act: u32,
    /// How many have found it before that.
    before: u32,
}

impl Attempt<'_, '_> {
    /// The case runs again and again, and is stopped at random times, until enough stops have met its event in flight.
    pub(super) fn storm(&mut self, seed: u32, action: Action) -> Result<(), Trouble> {
        let StormBounds { cuts: wanted, time } = self.options.storm;
        let aim = Aim::new(seed, &self.scenario.to_string());
        let mut stops = Stops { aim, runs: 0, at_act: 0, before: 0 };
        let end = Deadline::after(time);
        let mut vm = self.guests.take(&self.deadline)?;
        loop {
            let Some(ran) = self.run_in_storm(vm, &mut stops, action)? else { return Ok(()) };
            vm = ran;
            if self.probing {
                (self.report.outcome, self.report.why) = (Outcome::Pass, None);
            }
            if self.report.outcome != Outcome::Pass {
                self.report.why.get_or_insert(Finding::InStorm { run: stops.runs });
                return Ok(());
            }
            if self.report.cuts >= wanted {
                self.keep_source(vm, action);
                return Ok(());
            }
            if vm.has_passed(&end) {
                self.keep_source(vm, action);
                return Err(self.too_few(&stops));
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
    fn run_in_storm(
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
        if let Found::Event(saved) = self.found(&mut vm, lead, stops)? {
            self.record(Proof::Queue, &saved)?;
            if action.migrate.is_some() {
                vm = self.guests.load(Side::Destination, &saved, &self.deadline)?;
            }
        }
        vm.run(&self.deadline)?;
        self.wait_for_done(vm)
    }

    /// Where the stop has found the guest.
    fn found(&self, vm: &mut QemuVm, lead: f64, stops: &mut Stops) -> Result<Found, Trouble> {
        let mailbox = vm.read_mailbox()?;
        if mailbox.entries > 0 || mailbox.waiting != 0 {
            return Ok(Found::Handler);
        }
        let registers = vm.registers(&self.deadline);
        if !registers.is_some_and(|registers| (self.case.act..=self.case.after).contains(&registers.rip)) {
            stops.before += 1;
            return Ok(Found::OnTheWay);
        }
        stops.at_act += 1;
        stops.aim.is_good(lead);
        let saved = vm.save(&self.deadline)?;
        Ok(if InFlight::of(&saved)? == InFlight::default() { Found::OnTheWay } else { Found::Event(saved) })
    }

    /// A storm that is over before it had its cuts.
    fn too_few(&mut self, stops: &Stops) -> Trouble {
        let Stops { runs, at_act, before, .. } = stops;
        let StormBounds { cuts: wanted, .. } = self.options.storm;
        let cuts = self.report.cuts;
        self.report.cut = None;
        let why = format!(
            "{cuts} of {runs} runs were cut in time, {wanted} were required; {before} stops found the guest before its \
             act, {at_act} at the act or just after it"
        );
        Trouble::Found(Outcome::Error, Finding::NotCut { why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_lead_is_found_of_any_order_of_magnitude() {
        for takes in [-3000.0, -40.0, 3.0, 80.0, 400.0, 5000.0_f64] {
            let mut aim = Aim::new(1, "pf/read-unmapped:idt:storm:resume");
            let mut met = 0;
            for _ in 0..1000 {
                let lead = aim.lead();
                if (lead - takes).abs() < takes.abs() / 20.0 {
                    met += 1;
                    aim.is_good(lead);
                }
            }
            assert!(met > 20, "{takes}: {met}");
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
