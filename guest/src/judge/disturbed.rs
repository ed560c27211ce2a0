//! What control, debug and model-specific registers must read at an entry, also when the host rewrote CR2, DR6
//! or XFD_ERR while the first delivery was stopped.

use super::event::Event;
use protocol::disturbance::{Disturbance, Phase, Register};

/// Registers at entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// MP (1), EM (2) and TS (3) of CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// How far above `cr2` the value may lie: the address that is reported when the push of a frame
    /// faults is defined by no manual.
    pub cr2_span: u64,
    /// DR6.
    pub dr6: u64,
    /// Bits of DR6 of which no text says whether a #DB keeps or clears them: as in `dr6` or all clear.
    pub dr6_open: u64,
    /// DR7.
    pub dr7: u64,
    /// IA32_DEBUGCTL, where a case has written it.
    pub debugctl: u64,
    /// IA32_XFD, where it exists.
    pub xfd: u64,
    /// IA32_XFD_ERR, where it exists.
    pub xfd_err: u64,
    /// IA32_FS_BASE.
    pub fs_base: u64,
    /// IA32_GS_BASE.
    pub gs_base: u64,
    /// IA32_KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
}

/// What every case starts with, and what an event that touches none of these registers leaves. Nothing lies at
/// the bases.
pub const RESTING: Registers = Registers {
    cr0: 0x2,
    cr2: 0x0000_5EED_0000_0C42,
    cr2_span: 0,
    dr6: 0xFFFF_0FF0,
    dr6_open: 0,
    dr7: 0x400,
    debugctl: 0,
    xfd: 0,
    xfd_err: 0,
    fs_base: 0xFFFF_CCCC_3333_5000,
    gs_base: 0x0000_1111_2222_3000,
    kernel_gs_base: 0xFFFF_FFFF_8888_9000,
};

impl Registers {
    /// These registers, literals for an undisturbed delivery of `event`, as the host's
    /// `disturbances` (oldest first) change them.
    ///
    /// What was written after the event's own side effects stays. What was written before them
    /// goes through them: #PF overwrites CR2, #DB merges into DR6, an #NM of XFD overwrites
    /// XFD_ERR, and every other register keeps it.
    #[must_use]
    pub fn disturbed(mut self, event: Option<&Event>, disturbances: &[Disturbance]) -> Self {
        let undisturbed = self;
        for disturbance in disturbances {
            let (Some(register), Some(phase)) = (disturbance.register(), disturbance.phase()) else {
                continue;
            };
            let value = disturbance.value;
            let before = phase == Phase::Before;
            match (register, event) {
                (Register::Cr2, Some(event)) if before && event.is_exception(14) => {
                    (self.cr2, self.cr2_span) = (undisturbed.cr2, undisturbed.cr2_span);
                }
                (Register::Cr2, _) => (self.cr2, self.cr2_span) = (value, 0),
                (Register::Dr6, Some(event)) if before && event.vector == 1 => {
                    self.dr6 = dr6_after(value, event.event_data) | value & self.dr6_open;
                }
                (Register::Dr6, _) => self.dr6 = value,
                (Register::XfdErr, Some(event)) if before && event.is_of_xfd() => {
                    self.xfd_err = undisturbed.xfd_err;
                }
                (Register::XfdErr, _) => self.xfd_err = value,
            }
        }
        self
    }

    /// These registers, literals for a later entry by `event`, or for the time after the last return, when the
    /// entry before had the literals `before` and must have read `expected`: what the host wrote stays until
    /// the event or the guest itself (`written`) overwrites it.
    #[must_use]
    pub(super) fn following(
        mut self,
        (before, expected): (Self, Self),
        event: Option<&Event>,
        written: &[Register],
    ) -> Self {
        let is_event = |is: fn(&Event) -> bool| event.is_some_and(is);
        if !written.contains(&Register::Cr2)
            && !is_event(|event| event.is_exception(14))
            && (before.cr2, before.cr2_span) != (expected.cr2, expected.cr2_span)
        {
            (self.cr2, self.cr2_span) = (expected.cr2, expected.cr2_span);
        }
        if !written.contains(&Register::Dr6) && before.dr6 != expected.dr6 {
            self.dr6 = match event {
                Some(event) if event.is_exception(1) => dr6_after(expected.dr6, event.event_data),
                _ => expected.dr6,
            };
        }
        if !written.contains(&Register::XfdErr)
            && !is_event(Event::is_of_xfd)
            && before.xfd_err != expected.xfd_err
        {
            self.xfd_err = expected.xfd_err;
        }
        self
    }
}

impl Event {
    /// Whether it is the hardware exception of this vector.
    fn is_exception(&self, vector: u64) -> bool {
        self.vector == vector && self.ss >> 48 & 0xF == 3
    }

    /// Whether it is an #NM that IA32_XFD causes.
    fn is_of_xfd(&self) -> bool {
        self.is_exception(7) && self.event_data != 0
    }
}

/// DR6 after a #DB whose conditions are `conditions` (a literal of the case, B0-B3, BD and BS
/// only), given DR6 before it (SDM vol. 3, "Debug Status Register (DR6)"): B0-B3 are rewritten,
/// BD, BS and BT (15:13) are sticky, and RTM (16) and BLD (11) read 1 since neither was a condition.
///
/// The manual's texts differ about BLD: by another one every #DB but a bus lock's leaves it alone. Only a
/// `before` with BLD = 0 would show the difference, so the host must not write one.
const fn dr6_after(before: u64, conditions: u64) -> u64 {
    0xFFFF_0FF0 | before & 0xE000 | conditions
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NM_XFD, PF, STEP};
    use super::*;

    fn disturb(register: Register, phase: Phase, value: u64) -> [Disturbance; 1] {
        [Disturbance::new(register, phase, value)]
    }

    #[test]
    fn what_is_written_after_the_side_effects_stays() {
        for (register, event) in [(Register::Cr2, PF), (Register::Dr6, STEP), (Register::XfdErr, NM_XFD)] {
            let got = RESTING.disturbed(Some(&event), &disturb(register, Phase::After, 0x1234));
            let read = [got.cr2, got.dr6, got.xfd_err][register as usize - 1];
            assert_eq!(read, 0x1234, "{register:?}");
        }
    }

    #[test]
    fn what_is_written_before_them_goes_through_them() {
        let page_fault = Registers { cr2: 0x7000, ..RESTING };
        assert_eq!(page_fault.disturbed(Some(&PF), &disturb(Register::Cr2, Phase::Before, 5)), page_fault);
        let step = Registers { dr6: 0xFFFF_4FF0, ..RESTING };
        let got = step.disturbed(Some(&STEP), &disturb(Register::Dr6, Phase::Before, 0xFFFF_AFF2));
        assert_eq!(got.dr6, 0xFFFF_EFF0, "BT and BD stay, B1 goes, BS comes");
        let xfd = Registers { xfd_err: 1 << 18, ..RESTING };
        assert_eq!(xfd.disturbed(Some(&NM_XFD), &disturb(Register::XfdErr, Phase::Before, 0)), xfd);
    }

    #[test]
    fn registers_that_the_event_leaves_alone_keep_what_was_written() {
        let got = RESTING.disturbed(Some(&STEP), &disturb(Register::Cr2, Phase::Before, 0x66));
        assert_eq!(got.cr2, 0x66);
        let got = RESTING.disturbed(Some(&PF), &disturb(Register::Dr6, Phase::Before, 0xFFFF_0FF8));
        assert_eq!(got.dr6, 0xFFFF_0FF8);
        let got = RESTING.disturbed(None, &disturb(Register::XfdErr, Phase::Before, 1 << 17));
        assert_eq!(got.xfd_err, 1 << 17);
    }

    #[test]
    fn the_latest_disturbance_wins() {
        let twice = [
            Disturbance::new(Register::Cr2, Phase::Before, 1),
            Disturbance::new(Register::Cr2, Phase::After, 2),
            Disturbance::new(Register::Cr2, Phase::After, 3),
        ];
        assert_eq!(RESTING.disturbed(Some(&PF), &twice).cr2, 3);
    }
}
