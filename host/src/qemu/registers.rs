//! What QEMU's monitor says of the processor: `info registers`, x86_cpu_dump_state in target/i386/cpu-dump.c of QEMU.

use fred::control::rflags;

/// A part of what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) rip: u64,
    rflags: u64,
    /// Whether the processor is in HLT.
    pub(crate) halted: bool,
}

impl Registers {
    /// Of the answer; `None` when it does not say.
    pub(super) fn of(answer: &str) -> Option<Self> {
        let halted = answer.split_once("HLT=")?.1.starts_with('1');
        Some(Self { rip: rip_in(answer)?, rflags: hexadecimal_after(answer, "RFL=")?, halted })
    }

    /// Whether the processor is in HLT, and no interrupt ends that.
    pub(super) fn is_halted_for_good(self) -> bool {
        self.halted && self.rflags & rflags::IF == 0
    }
}

/// The value after `RIP=`, once it is followed by something.
pub(crate) fn rip_in(answer: &str) -> Option<u64> {
    hexadecimal_after(answer, "RIP=")
}

fn hexadecimal_after(answer: &str, name: &str) -> Option<u64> {
    let (_, after) = answer.split_once(name)?;
    let (digits, _) = after.split_once(' ')?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "R15=0000000000000000\r\nRIP=00000000001002f3 RFL=00000002 [-------] CPL=0 II=0 A20=1 \
                          SMM=0 HLT=1\r\nES =0010";

    #[test]
    fn the_answer_is_read_when_it_is_whole() {
        assert_eq!(rip_in(ANSWER), Some(0x10_02F3));
        assert_eq!(rip_in(&ANSWER[..30]), None);
        assert_eq!(rip_in("EIP=1 "), None);
        assert_eq!(Registers::of(&ANSWER[..60]), None);
    }

    #[test]
    fn a_processor_that_nothing_wakes_is_known() {
        let for_good = |answer: &str| Registers::of(answer).map(Registers::is_halted_for_good);
        assert_eq!(for_good(ANSWER), Some(true));
        assert_eq!(for_good(&ANSWER.replace("HLT=1", "HLT=0")), Some(false));
        assert_eq!(
            for_good(&ANSWER.replace("RFL=00000002", "RFL=00000202")),
            Some(false),
            "an interrupt may"
        );
    }
}
