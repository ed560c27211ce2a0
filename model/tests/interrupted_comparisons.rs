//! The status flags where an event comes between two iterations of a repeated comparison: what Intel's
//! manual says, and what AMD's processors do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, NEXT};
use model::cpuid::Vendor;

const STATUS: u64 = 0x8D5;
/// ZF, SF and OF: what no comparison below leaves.
const BEFORE: u64 = 0x8C0;
/// CF, AF and PF: 0 compared with 0x8E.
const COMPARED: u64 = 0x15;

/// Compares 0 with bytes that are 0x8E, RCX bytes from RDI on, by SCAS and by CMPS, whose zeros are in the code
/// page, on processors of both vendors. Each guest goes to `check` with its vendor.
fn each(at: u64, check: impl Fn(Guest, Vendor)) {
    for vendor in [Vendor::Intel, Vendor::Amd] {
        for program in [&[0xF2, 0xAE], &[0xF2, 0xA6]] {
            let mut g = Guest::fred().with_bytes(program).of(vendor);
            assert_eq!(g.cpu.cpuid.vendor(), vendor);
            g.memory.write(DATA, &[0x8E; 0x1000]).unwrap();
            g.memory.write(CODE + 0x100, &[0; 8]).unwrap();
            g.cpu.rflags |= BEFORE;
            (g.cpu.gpr[0], g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]) = (0, 5, CODE + 0x100, at);
            check(g, vendor);
        }
    }
}

/// The status flags between two iterations.
fn between(vendor: Vendor) -> u64 {
    if vendor == Vendor::Intel { BEFORE } else { COMPARED }
}

#[test]
fn a_single_step_between_two_iterations() {
    each(DATA, |g, vendor| {
        let mut g = g.stepping();
        let frame = g.frame();
        assert_eq!((frame[1], g.cpu.gpr[1], g.cpu.gpr[7]), (CODE, 4, DATA + 1), "{vendor:?}");
        assert_eq!(frame[3] & STATUS, between(vendor), "{vendor:?}");
    });
}

#[test]
fn a_page_fault_after_some_iterations() {
    each(NEXT - 3, |mut g, vendor| {
        g.map(NEXT, 0);
        let frame = g.frame();
        assert_eq!((frame[1], frame[6], g.cpu.gpr[1]), (CODE, NEXT, 2), "{vendor:?}");
        assert_eq!(frame[3] & STATUS, between(vendor), "{vendor:?}");
    });
}

#[test]
fn the_last_iteration_sets_them() {
    each(DATA, |g, vendor| {
        for mut g in [g.clone(), g.stepping()] {
            g.cpu.gpr[1] = 1;
            g.step();
            assert_eq!(g.cpu.rflags & STATUS, COMPARED, "{vendor:?}");
        }
    });
}

#[test]
fn a_vendor_is_what_cpuid_says() {
    let mut cpu = model::processor::Processor::new(model::cpuid::default_table());
    assert_eq!(cpu.cpuid.vendor(), Vendor::Intel, "the default");
    cpu.cpuid.entries.clear();
    assert_eq!(cpu.cpuid.vendor(), Vendor::Intel, "a vendor that nobody knows");
    assert_eq!(Vendor::of(b"HygonGenuine"), Vendor::Amd);
}
