//! What an act must have left when its last handler has returned.

use super::comparisons::{Comparisons, Told};
use super::disturbed::Registers;
use super::event::{Event, Stack};
use super::general::{self, General};
use super::{CR0_FPU, Machine, Places, has_xmm, judge_registers};
use crate::options::DeliveryMode;
use protocol::delivery::Delivery;
use protocol::disturbance::Register;
use protocol::field::Field;

/// What an act leaves when the last handler has returned.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// RFLAGS.
    pub rflags: u64,
    /// RSP.
    pub rsp: Stack,
    /// The current stack level, under FRED.
    pub csl: u64,
    /// General registers that the act has changed since the last entry, or since `Armed` if there was none.
    pub general: &'static [(General, u64)],
    /// What the registers must read, where it is not what they read at the last entry: a return changes none.
    pub registers: Option<&'static Registers>,
    /// As [`Event::written`].
    pub written: &'static [Register],
}

impl Left {
    /// What a handler leaves that returns to the act's end.
    pub const NEW: Self =
        Self { rflags: 0x2, rsp: Stack::Act, csl: 0, general: &[], registers: None, written: &[] };
}

/// What came before the last return.
pub(super) struct Before<'a> {
    /// The last event.
    pub(super) event: Option<&'a Event>,
    /// What was captured of it.
    pub(super) captured: Option<&'a Delivery>,
    /// What the case says of the registers then, and what they must have read.
    pub(super) registers: (Registers, Registers),
    /// The general registers at `Armed`.
    pub(super) armed: &'a [u64; 15],
}

/// Compares what an act has left. What it and the return leave alone must read as it did at the last entry,
/// where it was compared already, so that a wrong value is reported once.
pub(super) fn judge(
    left: &Left,
    before: &Before<'_>,
    places: &Places,
    machine: Machine,
    got: &Delivery,
    compare: &mut Comparisons<impl Told>,
) {
    let registers = match (left.registers, before.captured) {
        (Some(registers), _) => registers.following(before.registers, None, left.written),
        (None, Some(captured)) => read(captured),
        (None, None) => before.registers.1,
    };
    let mut general = *before.captured.map_or(before.armed, |captured| &captured.general);
    general::change(&mut general, left.general);
    compare.field(Field::Rflags, left.rflags, got.frame[3]);
    compare.field(Field::Rsp, places.stack(left.rsp, machine.delivery), got.frame[4]);
    if machine.delivery == DeliveryMode::Fred {
        compare.field(Field::Csl, left.csl, got.fred_config & 3);
    }
    judge_registers(&registers, before.event, machine, got, compare);
    general::compare(&general, (&got.general, &got.xmm), has_xmm(&registers), compare);
}

/// What was read at an entry.
const fn read(captured: &Delivery) -> Registers {
    Registers {
        cr0: captured.cr0 & CR0_FPU,
        cr2: captured.cr2,
        cr2_span: 0,
        dr6: captured.dr6,
        dr6_open: 0,
        dr7: captured.dr7,
        debugctl: captured.debugctl,
        xfd: captured.xfd,
        xfd_err: captured.xfd_err,
        fs_base: captured.fs_base,
        gs_base: captured.gs_base,
        kernel_gs_base: captured.kernel_gs_base,
    }
}
