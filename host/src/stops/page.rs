//! What the stops share at which a page refuses the delivery: `block`, `private`, `uffd`, `hole`, `read-only`.

use super::action::Action;
use super::cut::{Changed, Cut, Look, NoCut, SecondRun};
use super::how::{Again, CutAgain, CutStop, How, StopFacts, Target, Way};
use super::probe::guest::{ProbeAct, ProbeGuest, Progress};
use super::probe::{Prober, Support, sentence};
use crate::image::{Case, Place};
use crate::session::{Session, Stopped};
use protocol::disturbance::Phase;
use protocol::doorbell::Doorbell;
use protocol::note::CaseFlags;
use vm::explain::ShownQueue;
use vm::{Exit, PageAccess, RunMode, VcpuError, VmKind};

/// A stop at which a page refuses the delivery.
pub(super) trait RefusesPage: Copy {
    /// The part of the id before `@`.
    const NAME: &'static str;
    /// As [`How::syntax`].
    const SYNTAX: &'static [&'static str];
    /// What the page allows.
    const ACCESS: PageAccess;
    /// The kind of VM that can refuse it so.
    const VM: VmKind;
    /// Whether a second KVM_RUN fails in the same way. A fault leaves the vCPU as it was, so that it can be
    /// asked again; the others end the wait, or the instruction, in some way of their own.
    const FAILS_TWICE: bool;
    /// As [`StopFacts::migrates_between_machines`].
    const MIGRATES_BETWEEN_MACHINES: bool;
    /// How the page refuses, for people, after "it refuses access: ".
    const BY: &'static str;
    /// What was done to the page, for people.
    const WHAT: &'static str;

    /// The stop at a place.
    fn at(place: Place) -> Self;

    /// Its place.
    fn page(self) -> Place;

    /// Whether KVM_RUN ends so where such a page refuses a delivery.
    fn is_refusal(exit: &Exit) -> bool;

    /// As [`How::actions`].
    fn actions_at(place: Place, payload: bool) -> &'static [Action];
}

/// How a stop that is its place has that.
macro_rules! at_place {
    () => {
        fn at(place: Place) -> Self {
            Self(place)
        }

        fn page(self) -> Place {
            self.0
        }
    };
}

pub(super) use at_place;

/// The syntax of `name` at a place.
pub(super) fn parse(name: &str, id: &str) -> Option<Result<Place, &'static str>> {
    let at = id.strip_prefix(name)?.strip_prefix('@')?;
    Some(at.parse().map_err(|_| "its place is none of `frame`, `pt`, `pd`, `pdpt`, `idt`, `gdt`, `tss`"))
}

/// Whether the delivery, and nothing else, touches the page at `place`.
pub(super) fn applies(place: Place, target: &Target<'_>) -> bool {
    // An act may read a descriptor of its own, or access the frame's page through that page's tables.
    let of_the_act = match place {
        Place::Gdt => CaseFlags::TOUCHES_GDT,
        Place::Frame | Place::Pt | Place::Pd | Place::Pdpt => CaseFlags::TOUCHES_FRAME,
        Place::Idt | Place::Tss => CaseFlags::empty(),
    };
    place.is_touched(target.delivery) && !target.case.flags.intersects(of_the_act)
}

impl<T: RefusesPage> How for T {
    fn syntax() -> &'static [&'static str] {
        T::SYNTAX
    }

    fn parse(id: &str) -> Option<Result<Self, &'static str>> {
        Some(parse(T::NAME, id)?.map(T::at))
    }

    fn all() -> Vec<Self> {
        Place::ALL.map(T::at).into()
    }

    fn id(&self) -> String {
        format!("{}@{}", T::NAME, self.page())
    }

    fn facts(&self) -> StopFacts {
        let migrates_between_machines = T::MIGRATES_BETWEEN_MACHINES;
        StopFacts { place: Some(self.page()), vm: T::VM, migrates_between_machines, ..StopFacts::ORDINARY }
    }

    fn words(&self) -> String {
        format!(
            "The delivery is stopped at {}, which refuses access: {}. Nothing but the delivery touches that page.",
            self.page().words(),
            T::BY
        )
    }

    fn applies(&self, target: &Target<'_>) -> bool {
        applies(self.page(), target)
    }

    fn actions(&self, payload: bool) -> &'static [Action] {
        T::actions_at(self.page(), payload)
    }

    /// A page that the delivery of UD2's exception touches, and nothing else, refuses it.
    ///
    /// So a run that ends because of the page, and not in a handler, was stopped in delivery. Neither the
    /// queue nor RIP nor a second run is checked: whether the exception survives is for the scenarios to judge.
    fn probe(&self, prober: &Prober<'_>) -> Result<Support, VcpuError> {
        prober.with_guest(T::VM, ProbeAct::Undefined, |mut guest| {
            if let Err(error) = guest.vcpu.set_page_access(ProbeGuest::page(self.page()), T::ACCESS) {
                return Ok(Support::NotOffered(error.to_string()));
            }
            Ok(match guest.run(RunMode::Normal)? {
                Progress::Delivered => Support::Silent,
                Progress::Exit(exit) if T::is_refusal(&exit) && !guest.is_in_handler()? => Support::Works,
                other => Support::Wrong(format!("{} {}", sentence("#UD", &other), T::WHAT)),
            })
        })
    }

    fn way(&self) -> Way<'_> {
        Way::Cut(self)
    }
}

impl<T: RefusesPage> CutStop for T {
    /// The page refuses the delivery, and where a second KVM_RUN is safe, a second time.
    fn cut(&self, session: &mut Session<'_>, target: &Target<'_>) -> Result<Cut, NoCut> {
        let (first, mut cut) = stop::<T>(session, target.case, self.page())?;
        if T::FAILS_TWICE {
            cut.second_run = run_again::<T>(session, self.page(), &first)?;
        }
        Ok(cut)
    }

    fn again(&self) -> Again<'_> {
        Again::AsOften(self)
    }

    fn release(&self, session: &mut Session<'_>) -> Result<(), VcpuError> {
        let page = session.image().pages.at(self.page());
        session.vcpu.set_page_access(page, PageAccess::Open)
    }
}

impl<T: RefusesPage> CutAgain for T {
    /// If the guest now runs on, its event is lost.
    fn cut_again(&self, session: &mut Session<'_>, case: &Case, before: &Cut) -> Result<Cut, NoCut> {
        let (_, cut) = stop::<T>(session, case, self.page())?;
        Ok(cut.again(before, session))
    }
}

/// The page refuses the delivery, once.
pub(super) fn stop<T: RefusesPage>(
    session: &mut Session<'_>,
    case: &Case,
    place: Place,
) -> Result<(Look, Cut), NoCut> {
    let page = session.image().pages.at(place);
    session.vcpu.set_page_access(page, T::ACCESS)?;
    expect::<T>(&session.advance_past_io()?, page)?;
    let look = Look::in_time(session, "the page refused access")?;
    let cut = look.cut(look.proof(session, case)?, Phase::After);
    Ok((look, cut))
}

/// KVM_RUN once more with the page still as it is, after it has shown the guest as in `first`.
fn run_again<T: RefusesPage>(
    session: &mut Session<'_>,
    place: Place,
    first: &Look,
) -> Result<SecondRun, NoCut> {
    let stopped = session.advance_past_io()?;
    if let Stopped::Doorbell(Doorbell::Done(_)) = stopped {
        return Ok(SecondRun::RanOn);
    }
    expect::<T>(&stopped, session.image().pages.at(place))?;
    let second = Look::at(session)?;
    if second == *first {
        return Ok(SecondRun::Kept);
    }
    let at = Some(session.image().describe_address(second.regs.rip));
    let (queue, changes) = (Some(ShownQueue::from(&second.events)), second.changes_since(first));
    Ok(SecondRun::Changed(Changed { queue, at, changes }))
}

/// Whether the guest stopped because of the page.
fn expect<T: RefusesPage>(stopped: &Stopped, page: u64) -> Result<(), NoCut> {
    match stopped {
        Stopped::Exit(Exit::Fault { gpa: Some(gpa) }) if gpa & !0xFFF != page => {}
        Stopped::Exit(exit) if T::is_refusal(exit) => return Ok(()),
        _ => {}
    }
    Err(NoCut::Unexpected(stopped.clone()))
}
