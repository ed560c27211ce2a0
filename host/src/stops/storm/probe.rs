//! Whether a signal ends KVM_RUN near an event.

use super::aim::Aim;
use crate::image::Place;
use crate::stops::probe::guest::{EVENT, ProbeAct, ProbeGuest, Progress};
use crate::stops::probe::{Prober, Support, sentence};
use fastrand::Rng;
use std::time::Instant;
use vm::{Exit, RunMode, VcpuError, VmKind};

/// How many guests a signal may miss.
const GUESTS: u32 = 100;

/// Signals come while guests run an instruction and then raise an exception, until one of them ends
/// KVM_RUN between the two, or while the exception is in flight. The pages that its delivery touches
/// are evicted, as in a storm.
///
/// The queue is not checked then: the scenarios find an event that is lost there.
pub(super) fn probe(prober: &Prober<'_>) -> Result<Support, VcpuError> {
    let mut guest = prober.start(VmKind::Plain, ProbeAct::Led)?;
    if let Err(error) = evict(&mut guest) {
        return Ok(Support::NotOffered(error.to_string()));
    }
    match guest.run(RunMode::Normal)? {
        Progress::Delivered => {}
        other => return Ok(Support::Wrong(sentence("#UD", &other))),
    }
    let mut aim = Aim::new(Rng::with_seed(0), prober.together());
    let end = Instant::now() + prober.together();
    let (mut guests, mut signals) = (0, 0);
    while guests < GUESTS && Instant::now() < end {
        let mut guest = prober.start(VmKind::Plain, ProbeAct::Led)?;
        evict(&mut guest)?;
        guests += 1;
        match until_near(&mut guest, &mut aim, &mut signals, end)? {
            None => {}
            Some(Progress::Exit(Exit::Interrupted)) => return Ok(Support::Works),
            Some(other) => return Ok(Support::Wrong(sentence("#UD", &other))),
        }
    }
    Ok(Support::Wrong(format!(
        "of {signals} signals in {guests} guests none ended KVM_RUN between an instruction before the #UD and its handler"
    )))
}

fn evict(guest: &mut ProbeGuest) -> Result<(), VcpuError> {
    Place::ALL.into_iter().try_for_each(|place| guest.vcpu.evict(ProbeGuest::page(place)))
}

/// Signals one guest until it is interrupted near its event; `None` when that or the time is over, or signals keep
/// the guest from it.
fn until_near(
    guest: &mut ProbeGuest,
    aim: &mut Aim,
    signals: &mut u32,
    end: Instant,
) -> Result<Option<Progress>, VcpuError> {
    while Instant::now() < end {
        let begun = guest.vcpu.clock();
        match guest.run(RunMode::SignalAfter(aim.time()))? {
            Progress::Exit(Exit::Interrupted) => *signals += 1,
            Progress::Delivered => {
                aim.sooner(guest.vcpu.clock() - begun);
                return Ok(None);
            }
            other => return Ok(Some(other)),
        }
        match guest.vcpu.regs()?.rip {
            EVENT => return Ok(Some(Progress::Exit(Exit::Interrupted))),
            _ if guest.is_at_act()? => {
                if !aim.later() {
                    return Ok(None);
                }
            }
            // In the handler.
            _ => {
                aim.sooner(guest.vcpu.clock() - begun);
                return Ok(None);
            }
        }
    }
    Ok(None)
}
