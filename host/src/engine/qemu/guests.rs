//! The guest that was booted, which waits at a doorbell, and those that were loaded from what QEMU saved.

use super::trouble::Trouble;
use crate::deadline::Deadline;
use crate::image::{DeliveryMode, Image};
use crate::machines::qemu::{Side, TriedQemu};
use crate::qemu::error::VmError;
use crate::qemu::saved::Saved;
use crate::qemu::vm::QemuVm;
use protocol::doorbell::Doorbell;
use protocol::mailbox::Mailbox;
use std::mem::offset_of;

/// The guests of an image under one delivery.
pub(super) struct Guests<'a> {
    pub(super) qemu: &'a TriedQemu,
    pub(super) image: &'a Image,
    delivery: DeliveryMode,
    /// It waits at `Ready`, or at the `Done` of the case before.
    booted: Option<QemuVm>,
    /// Why none can be booted: it is tried once.
    not_booted: Option<VmError>,
    /// Saved at `Ready`.
    ready: Option<Saved>,
    /// Saved at the `Armed` of the case with this index.
    armed: Option<(u16, Saved)>,
    /// What is done to a guest between two QEMUs, by a test.
    #[cfg(test)]
    pub(super) filter: &'a dyn Fn(&mut Saved),
}

impl<'a> Guests<'a> {
    /// None is booted yet.
    pub(super) fn new(qemu: &'a TriedQemu, image: &'a Image, delivery: DeliveryMode) -> Self {
        Self {
            qemu,
            image,
            delivery,
            booted: None,
            not_booted: None,
            ready: None,
            armed: None,
            #[cfg(test)]
            filter: &|_| {},
        }
    }

    /// Takes the guest that was booted, which runs, or boots one. Whoever takes it gives it [`back`](Self::back) when
    /// it waits at a `Done`.
    pub(super) fn take(&mut self, deadline: &Deadline) -> Result<QemuVm, Trouble> {
        if let Some(mut booted) = self.booted.take() {
            booted.run(deadline)?;
            return Ok(booted);
        }
        if let Some(error) = &self.not_booted {
            return Err(error.clone().into());
        }
        let booted = self.boot(deadline);
        self.not_booted = booted.as_ref().err().cloned();
        let (vm, rang) = booted?;
        expect(rang, Doorbell::Ready)?;
        Ok(vm)
    }

    /// Boots a guest up to its first doorbell.
    fn boot(&self, deadline: &Deadline) -> Result<(QemuVm, Doorbell), VmError> {
        let mut vm = self.qemu.boot_held(self.image, self.delivery, deadline)?;
        vm.introduce_host()?;
        vm.run(deadline)?;
        let rang = vm.next_doorbell(deadline)?;
        Ok((vm, rang))
    }

    /// Gives back a guest that waits at a `Done`.
    pub(super) fn back(&mut self, vm: QemuVm) {
        self.booted = Some(vm);
    }

    /// What QEMU saves of a guest at `Ready`.
    pub(super) fn saved_at_ready(&mut self, deadline: &Deadline) -> Result<Saved, Trouble> {
        if let Some(saved) = &self.ready {
            return Ok(saved.clone());
        }
        // The one that was booted has run cases.
        self.booted = None;
        let mut vm = self.take(deadline)?;
        let saved = save_and_run(&mut vm, deadline)?;
        self.back(vm);
        Ok(self.ready.insert(saved).clone())
    }

    /// What QEMU saves of a guest at the `Armed` of a case. Fails with [`Trouble::NotArmed`] where the case has
    /// nothing to judge.
    pub(super) fn saved_at_armed(&mut self, index: u16, deadline: &Deadline) -> Result<Saved, Trouble> {
        if let Some((_, saved)) = self.armed.as_ref().filter(|(of, _)| *of == index) {
            return Ok(saved.clone());
        }
        let mut vm = self.take(deadline)?;
        match arm(&mut vm, index, deadline)? {
            Doorbell::Armed(armed) if armed == index => {}
            Doorbell::Done(done) if done == index => {
                let mailbox = vm.read_mailbox()?;
                self.back(vm);
                return Err(Trouble::NotArmed(mailbox));
            }
            other => return Err(Trouble::OutOfTurn(other)),
        }
        let saved = save_and_run(&mut vm, deadline)?;
        self.armed = Some((index, saved.clone()));
        // What its act raises by itself is no question of a scenario that begins with what was saved: the act may be an
        // instruction with which this machine ends.
        let ended = vm.release().and_then(|()| vm.next_doorbell(deadline));
        if ended == Ok(Doorbell::Done(index)) {
            self.back(vm);
        }
        Ok(saved)
    }

    /// A guest that was saved, paused in another QEMU. The one that was booted is paused too: it does not keep a
    /// processor of the host busy while others need it.
    pub(super) fn load(&mut self, side: Side, saved: &Saved, deadline: &Deadline) -> Result<QemuVm, VmError> {
        if self.booted.as_mut().is_some_and(|booted| booted.stop(deadline).is_err()) {
            self.booted = None;
        }
        let mut vm = self.qemu.incoming(side, self.image, self.delivery, deadline)?;
        #[cfg(test)]
        let saved = &{
            let mut saved = saved.clone();
            if side == Side::Destination {
                (self.filter)(&mut saved);
            }
            saved
        };
        vm.load(saved, deadline)?;
        Ok(vm)
    }

    /// The guest of `source` in a QEMU to which it has migrated, paused there.
    pub(super) fn send(&self, source: &mut QemuVm, deadline: &Deadline) -> Result<QemuVm, VmError> {
        let mut destination = self.qemu.incoming(Side::Destination, self.image, self.delivery, deadline)?;
        source.migrate_to(&mut destination, deadline)?;
        Ok(destination)
    }
}

/// Has a guest that waits at `Ready` or `Done` begin a case; the doorbell that comes next.
pub(super) fn arm(vm: &mut QemuVm, index: u16, deadline: &Deadline) -> Result<Doorbell, VmError> {
    vm.write(offset_of!(Mailbox, disturbance_count), &[0; 4])?;
    vm.write(offset_of!(Mailbox, case), &u32::from(index).to_le_bytes())?;
    vm.release()?;
    vm.next_doorbell(deadline)
}

/// Saves a guest that waits at a doorbell; it waits there still.
fn save_and_run(vm: &mut QemuVm, deadline: &Deadline) -> Result<Saved, VmError> {
    vm.stop(deadline)?;
    let saved = vm.save(deadline)?;
    vm.run(deadline)?;
    Ok(saved)
}

/// What a guest that was to ring `doorbell` has done instead, if it did not.
pub(super) fn expect(rang: Doorbell, doorbell: Doorbell) -> Result<(), Trouble> {
    if rang == doorbell { Ok(()) } else { Err(Trouble::OutOfTurn(rang)) }
}
