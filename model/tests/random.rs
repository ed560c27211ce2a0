//! Random bytes as code: every entry ends, and never in a panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, STACK};
use model::processor::{Entry, Segments};
use proptest::prelude::*;

/// Prefixes and opcodes that reach the interesting code more often than random bytes do.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(&[0x0F, 0x66, 0xF2, 0xF3, 0x48, 0xC4, 0x01, 0x00, 0xCF, 0xCA, 0xF0, 0xAA][..])
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_end(
        bytes in prop::collection::vec(byte(), 64),
        gpr in prop::array::uniform16(prop_oneof![any::<u64>(), 0..0x20_0000u64]),
        mode in 0..6u8,
        rflags in any::<u64>(),
        dr7 in any::<u64>(),
    ) {
        let mut g = if mode & 1 == 0 { Guest::fred() } else { Guest::idt() };
        if mode & 2 != 0 {
            g = g.in_ring_3();
        }
        g.cpu.gpr = gpr;
        g.cpu.gpr[4] = STACK;
        g.cpu.rflags = rflags & 0x24_0FD7 | 2;
        g.cpu.dr7 = dr7 & 0xFFFF_23FF | 0x400;
        g.cpu.dr = [CODE, DATA, CODE + 7, STACK - 8];
        g.cpu.segments.cs.l = mode < 4;
        g.cpu.segments.cs.db = mode >= 4;
        g.memory.write(CODE, &bytes).unwrap();
        for _ in 0..4 {
            let exit = g.enter(Entry { instructions: 100, ..Entry::default() });
            prop_assert!(exit.instructions <= 100);
            g.cpu.skip_instruction(1);
            g.cpu.halted = false;
        }
    }

    #[test]
    fn random_state_ends(words in prop::collection::vec(any::<u64>(), 48), bytes in prop::collection::vec(byte(), 32)) {
        let mut g = Guest::idt();
        let mut next = words.into_iter();
        let mut word = || next.next().unwrap_or(0);
        g.cpu.rip = word();
        g.cpu.cr0 = word();
        g.cpu.cr4 = word();
        g.cpu.efer = word();
        g.cpu.cr3 = word() & 0x1F_FFFF;
        let Segments { cs, ss, tr, .. } = &mut g.cpu.segments;
        for segment in [cs, ss, tr] {
            let raw = word();
            segment.limit = raw as u32;
            segment.base = word();
            segment.segment_type = (raw >> 32) as u8 & 15;
            segment.dpl = (raw >> 40) as u8 & 3;
            segment.db = raw >> 48 & 1 != 0;
        }
        g.cpu.gdtr.base = word();
        g.cpu.idtr.base = word();
        g.cpu.msrs.fred.config = word();
        g.memory.write(CODE, &bytes).unwrap();
        let exit = g.enter(Entry { instructions: 50, ..Entry::default() });
        prop_assert!(exit.instructions <= 50);
    }
}
