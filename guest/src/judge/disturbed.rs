//! What CR2, DR6 and XFD_ERR must read when the host rewrote them while the delivery was stopped.

use super::event::Event;
use protocol::disturbance::{Disturbance, Phase, Register};

/// Registers at entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
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
    /// IA32_XFD_ERR, where it exists.
    pub xfd_err: u64,
}

/// What every case starts with, and what an event that touches none of these registers leaves.
pub const RESTING: Registers = Registers {
    cr2: 0x0000_5EED_0000_0C42,
    cr2_span: 0,
    dr6: 0xFFFF_0FF0,
    dr6_open: 0,
    dr7: 0x400,
    xfd_err: 0,
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
                (Register::Cr2, Some(Event { vector: 14, .. })) if before => {
                    (self.cr2, self.cr2_span) = (undisturbed.cr2, undisturbed.cr2_span);
                }
                (Register::Cr2, _) => (self.cr2, self.cr2_span) = (value, 0),
                (Register::Dr6, Some(Event { vector: 1, event_data, .. })) if before => {
                    self.dr6 = dr6_after(value, *event_data) | value & self.dr6_open;
                }
                (Register::Dr6, _) => self.dr6 = value,
                (Register::XfdErr, Some(Event { vector: 7, event_data: 1.., .. })) if before => {
                    self.xfd_err = undisturbed.xfd_err;
                }
                (Register::XfdErr, _) => self.xfd_err = value,
            }
        }
        self
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
