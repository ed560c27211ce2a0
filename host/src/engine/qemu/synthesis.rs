//! The event that is put in flight in a saved guest, as `cancel` puts it into a queue; and registers that disagree
//! with it.

use crate::engine::disturb::{CR2, DR6};
use crate::image::Cancel;
use crate::qemu::in_flight::InFlight;
use crate::qemu::saved::{Saved, SavedError};
use crate::stops::cancel::dr6_with;
use fred::control::rflags;
use fred::data::DeviceNotAvailableData;
use fred::debug::Dr7;
use fred::event::vector;
use protocol::disturbance::{Disturbance, Phase, Register};

/// RSP in `env.regs`.
const RSP: usize = 4;
/// What `act_armed`, in which the guest waits, has on the stack: its return address.
const RETURN_ADDRESS: u64 = 8;
/// IA32_XFD_ERR, which QEMU saves where the guest uses XFD.
const XFD_ERR: &str = "env.msr_xfd_err";

/// Puts the event into a guest that was saved at `Armed`, as if its act had raised it: injected, its effects on
/// registers done. Fails where this QEMU has no field for it.
pub(super) fn queue(saved: &mut Saved, event: &Cancel) -> Result<(), SavedError> {
    let rf = if vector::sets_rf(event.vector) { rflags::RF } else { 0 };
    leave_doorbell(saved, event.rip, event.rflags | rf)?;
    InFlight::put_exception(saved, event.vector, event.error_code)?;
    match event.vector {
        vector::PF => saved.set("env.cr[2]", 0, event.payload),
        vector::DB => {
            let (dr6, dr7) = (get(saved, "env.dr", 6)?, get(saved, "env.dr", 7)?);
            saved.set("env.dr", 6, dr6_with(dr6, event.payload))?;
            saved.set("env.dr", 7, dr7 & !Dr7::GD)
        }
        vector::NM if event.payload != 0 => saved.set(XFD_ERR, 0, event.payload),
        _ => Ok(()),
    }
}

/// A guest that was saved at `Armed` is at `rip` instead, as after its doorbell, with these flags set.
pub(super) fn leave_doorbell(saved: &mut Saved, rip: u64, flags: u64) -> Result<(), SavedError> {
    let rsp = get(saved, "env.regs", RSP)?;
    saved.set("env.regs", RSP, rsp + RETURN_ADDRESS)?;
    saved.set("env.eip", 0, rip)?;
    saved.set("env.eflags", 0, rflags::FIXED | flags)
}

fn get(saved: &Saved, name: &'static str, index: usize) -> Result<u64, SavedError> {
    saved.get(name, index).ok_or(SavedError::NoField(name))
}

/// Rewrites the registers, and says what the judge must know of it. Fails where this QEMU has no such field.
pub(super) fn disturb(saved: &mut Saved) -> Result<Vec<Disturbance>, SavedError> {
    saved.set("env.cr[2]", 0, CR2)?;
    saved.set("env.dr", 6, DR6)?;
    let mut done = vec![
        Disturbance::new(Register::Cr2, Phase::After, CR2),
        Disturbance::new(Register::Dr6, Phase::After, DR6),
    ];
    if let Some(now) = saved.get(XFD_ERR, 0) {
        let other = if now == 0 { DeviceNotAvailableData::TILEDATA } else { 0 };
        saved.set(XFD_ERR, 0, other)?;
        done.push(Disturbance::new(Register::XfdErr, Phase::After, other));
    }
    Ok(done)
}
