//! Whether a `stop` of this QEMU can meet an event in flight: found out once, before scenarios with storms run.

use super::attempt::Attempt;
use super::guests::Guests;
use super::storm::Stops;
use super::trouble::Trouble;
use crate::deadline::Deadline;
use crate::engine::RunOptions;
use crate::image::Image;
use crate::machines::qemu::TriedQemu;
use crate::report::Report;
use crate::scenario::{Action, Plan, Scenario};
use crate::stops::Stop;
use protocol::note::CaseFlags;
use std::cell::OnceCell;

/// The storm that is tried. An accelerator that leaves the guest for no event of this one has none to meet.
const REFERENCE: &str = "pf/read-unmapped:idt:storm:resume";
/// The one for acts that read a port. QEMU's thread waits there for the lock that `stop` holds, and completes the read
/// with `immediate_exit` after that: the event is pending then.
const OF_INPUT: &str = "db/step-over-in:idt:storm:resume";

/// How many stops must meet it in the time of a storm: so many that a storm, which needs one, does not end without one
/// by chance (of independent stops that meet eight on average, one time in 3,000).
const CUTS: u32 = 8;

/// The answer for a QEMU.
pub(crate) struct StormProbe<'a> {
    qemu: &'a TriedQemu,
    /// What reports call the machine.
    name: &'a str,
    images: &'a [Image],
    options: RunOptions,
    found: OnceCell<Option<String>>,
    /// The same for acts that read a port.
    of_input: OnceCell<Option<String>>,
}

impl<'a> StormProbe<'a> {
    /// Nothing is tried yet.
    pub(crate) fn new(qemu: &'a TriedQemu, name: &'a str, images: &'a [Image], options: &RunOptions) -> Self {
        let options = options.clone();
        Self { qemu, name, images, options, found: OnceCell::new(), of_input: OnceCell::new() }
    }

    /// Why a scenario with a storm cannot run; `None` for one that can, and for others. Where the images have no
    /// [`REFERENCE`] or [`OF_INPUT`], the first scenario that is asked for is tried.
    pub(crate) fn lacks(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        match scenario.plan {
            Plan::Cut(Stop::Storm(_), _) => {
                let (_, case) = image.case(&scenario.case)?;
                let (found, reference) = match case.flags.contains(CaseFlags::IO) {
                    true => (&self.of_input, OF_INPUT),
                    false => (&self.found, REFERENCE),
                };
                found.get_or_init(|| self.tried(reference, image, scenario.clone())).clone()
            }
            Plan::Cold | Plan::None | Plan::Cut(..) => None,
        }
    }

    fn tried(&self, reference: &str, image: &Image, scenario: Scenario) -> Option<String> {
        let reference: Option<Scenario> = reference.parse().ok();
        let with_image = reference.and_then(|reference| {
            let image = self.images.iter().find(|image| image.name == reference.image)?;
            image.case(&reference.case).map(|_| (image, reference))
        });
        let (image, scenario) = with_image.unwrap_or((image, scenario));
        // What else is wrong, the scenarios show.
        let stops = self.stops(image, &scenario).ok().flatten()?;
        (stops.met < CUTS).then(|| {
            let why = stops.too_few(CUTS);
            format!("storm is not offered: too few stops meet the event of {scenario} in flight: {why}")
        })
    }

    /// The stops of a storm, whatever the verdicts of its guest are: each run has a report of its own, which nobody
    /// reads. `None` where the guest ends.
    fn stops(&self, image: &Image, scenario: &Scenario) -> Result<Option<Stops>, Trouble> {
        let mut guests = Guests::new(self.qemu, image, scenario.delivery);
        let mut stops = Stops::new(0, scenario);
        let bounds = self.options.storm;
        let (end, deadline) = (Deadline::after(bounds.time), Deadline::after(self.options.timeout));
        let mut vm = guests.take(&deadline)?;
        while stops.met < CUTS && !vm.has_passed(&end) {
            let mut report = Report::new(scenario, self.name, None);
            let Some(mut attempt) = Attempt::new(&mut guests, scenario, &self.options, &mut report) else {
                return Ok(None);
            };
            let Some(ran) = attempt.run_in_storm(vm, &mut stops, Action::RESUME)? else { return Ok(None) };
            vm = ran;
        }
        Ok(Some(stops))
    }
}
