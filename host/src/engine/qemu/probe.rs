//! Whether a `stop` of this QEMU can meet an event in flight: found out once, before scenarios with storms run.

use super::attempt;
use super::guests::Guests;
use crate::engine::RunOptions;
use crate::image::Image;
use crate::machines::qemu::TriedQemu;
use crate::report::Finding;
use crate::scenario::{Plan, Scenario};
use crate::stops::Stop;
use crate::stops::storm::StormBounds;
use std::cell::OnceCell;

/// The storm that is tried. An accelerator that leaves the guest for no event of this one has none to meet.
const REFERENCE: &str = "pf/read-unmapped:idt:storm:resume";

/// How many stops must meet it in the time of a storm: so many that a storm, which needs one, does not end without one
/// by chance (of independent stops that meet eight on average, one time in 3,000).
const CUTS: u32 = 8;

/// The answer for a QEMU.
pub(crate) struct StormProbe<'a> {
    qemu: &'a TriedQemu,
    images: &'a [Image],
    options: RunOptions,
    found: OnceCell<Option<String>>,
}

impl<'a> StormProbe<'a> {
    /// Nothing is tried yet.
    pub(crate) fn new(qemu: &'a TriedQemu, images: &'a [Image], options: &RunOptions) -> Self {
        let storm = StormBounds { cuts: CUTS, ..StormBounds::DEFAULT };
        let options = RunOptions { storm, ..options.clone() };
        Self { qemu, images, options, found: OnceCell::new() }
    }

    /// Why a scenario with a storm cannot run; `None` for one that can, and for others. Where the images have no
    /// [`REFERENCE`], the first scenario that is asked for is tried.
    pub(crate) fn lacks(&self, image: &Image, scenario: &Scenario) -> Option<String> {
        match scenario.plan {
            Plan::Cut(Stop::Storm(_), _) => {
                self.found.get_or_init(|| self.tried(image, scenario.clone())).clone()
            }
            Plan::Cold | Plan::None | Plan::Cut(..) => None,
        }
    }

    fn tried(&self, image: &Image, scenario: Scenario) -> Option<String> {
        let reference: Option<Scenario> = REFERENCE.parse().ok();
        let with_image = reference.and_then(|reference| {
            let image = self.images.iter().find(|image| image.name == reference.image)?;
            image.case(&reference.case).map(|_| (image, reference))
        });
        let (image, scenario) = with_image.unwrap_or((image, scenario));
        let mut guests = Guests::new(self.qemu, image, scenario.delivery);
        let report = attempt::probe(&mut guests, &scenario, &self.options);
        // What else is wrong, the scenarios show.
        let Some(Finding::NotCut { why }) = report.why else { return None };
        Some(format!("storm is not offered: too few stops meet the event of {scenario} in flight: {why}"))
    }
}
