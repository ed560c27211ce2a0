//! What the model's speed is measured with: an ordinary image whose one case computes for a while.
//!
//! It is an example, not a test image: `make bench` builds it, nothing embeds it. Instruction by
//! instruction on KVM's emulator it would take minutes.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::prelude::*;

guest::image! {
    name: "speed",
    rule: "Integer instructions come to the same on every machine.",
    spec: "G. Marsaglia, Xorshift RNGs, 2003",
    cases: [mixed::CASE],
}

/// How often the kernel goes round.
const ROUNDS: u32 = 20_000_000;

static TABLE: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];
static STATE: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);
static ODD: AtomicU64 = AtomicU64::new(0);

/// Xorshift, updates of a table, branches that depend on the data.
fn kernel() {
    let mut x: u64 = 0x9E37_79B9_7F4A_7C15;
    let (mut largest, mut odd) = (0, 0u64);
    for _ in 0..ROUNDS {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let entry = &TABLE[x as usize % TABLE.len()];
        let old = entry.load(Relaxed);
        if x & 0x40 != 0 {
            entry.store(old.wrapping_add(x), Relaxed);
            // Or the compiler would choose between values instead of branching.
            black_box(());
        } else {
            entry.store(old.wrapping_mul(3).wrapping_add(1), Relaxed);
            odd = odd.wrapping_add(old & 1);
        }
        if x > largest {
            largest = x;
            black_box(());
        }
    }
    STATE.store(x, Relaxed);
    LARGEST.store(largest, Relaxed);
    ODD.store(odd, Relaxed);
}

fn table() -> u64 {
    TABLE.iter().fold(0, |sum: u64, entry| sum.rotate_left(1) ^ entry.load(Relaxed))
}

mod mixed {
    use super::*;
    act! { name: "speed.mixed", set: [], armed: [], act: ["nop"], }
    pub(super) const CASE: Case = Case {
        name: "mixed",
        rule: "20 million rounds of xorshift, table updates and data-dependent branches.",
        flags: CaseFlags::CONFORMANCE,
        // Before `Armed`: a host measures from `Ready` to there.
        prepare: kernel,
        act: ACT,
        // What the same loop comes to on a processor.
        results: &[
            Check { expected: 0x287D_B4FC_7CFC_2623, read: || STATE.load(Relaxed) },
            Check { expected: 0xFFFF_FFAB_19BF_8997, read: || LARGEST.load(Relaxed) },
            Check { expected: 0x0000_0000_004C_4761, read: || ODD.load(Relaxed) },
            Check { expected: 0xD68A_B97A_0666_693D, read: table },
        ],
        ..Case::NEW
    };
}
