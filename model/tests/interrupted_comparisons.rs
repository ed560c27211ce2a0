//! The status flags where an event comes between two iterations of a repeated comparison: what Intel's
//! manual says, and what AMD's processors do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, NEXT};
use iced_x86::code_asm::*;
use model::cpuid::Vendor;
use model::processor::Entry;

const TF: u64 = 0x100;
const STATUS: u64 = 0x8D5;
/// ZF, SF and OF: what no comparison below leaves.
const BEFORE: u64 = 0x8C0;
/// CF, AF and PF: 0 compared with 0x8E.
const COMPARED: u64 = 0x15;
const VENDORS: [Vendor; 2] = [Vendor::Intel, Vendor::Amd];

/// A guest on a processor of `vendor` that compares 0 with bytes that are 0x8E, RCX bytes from RDI on.
fn guest(vendor: Vendor, at: u64, program: impl FnOnce(&mut CodeAssembler)) -> Guest {
    let mut g = Guest::fred().with(program);
    let leaf = g.cpu.cpuid.entries.iter_mut().find(|entry| entry.function == 0).unwrap();
    let word = |n: usize| u32::from_le_bytes(vendor.signature()[4 * n..4 * n + 4].try_into().unwrap());
    (leaf.ebx, leaf.edx, leaf.ecx) = (word(0), word(1), word(2));
    assert_eq!(g.cpu.cpuid.vendor(), vendor);
    g.memory.write(DATA, &[0x8E; 0x1000]).unwrap();
    g.cpu.rflags |= BEFORE;
    (g.cpu.gpr[0], g.cpu.gpr[1], g.cpu.gpr[6], g.cpu.gpr[7]) = (0, 5, CODE + 0x100, at);
    g
}

fn by(vendor: Vendor, intel: u64, amd: u64) -> u64 {
    if vendor == Vendor::Intel { intel } else { amd }
}

/// SCAS, and CMPS of zeros in the code page with the same bytes.
fn programs() -> [fn(&mut CodeAssembler); 2] {
    [|a| a.repne().scasb().unwrap(), |a| a.repne().cmpsb().unwrap()]
}

#[test]
fn a_single_step_between_two_iterations() {
    for vendor in VENDORS {
        for program in programs() {
            let mut g = guest(vendor, DATA, program);
            g.memory.write(CODE + 0x100, &[0; 8]).unwrap();
            g.cpu.rflags |= TF;
            let frame = g.frame();
            assert_eq!((frame[1], g.cpu.gpr[1], g.cpu.gpr[7]), (CODE, 4, DATA + 1), "{vendor:?}");
            assert_eq!(frame[3] & STATUS, by(vendor, BEFORE, COMPARED), "{vendor:?}");
        }
    }
}

#[test]
fn a_page_fault_after_some_iterations() {
    for vendor in VENDORS {
        for program in programs() {
            let mut g = guest(vendor, NEXT - 3, program);
            g.memory.write(CODE + 0x100, &[0; 8]).unwrap();
            g.map(NEXT, 0);
            let frame = g.frame();
            assert_eq!((frame[1], frame[6], g.cpu.gpr[1]), (CODE, NEXT, 2), "{vendor:?}");
            assert_eq!(frame[3] & STATUS, by(vendor, BEFORE, COMPARED), "{vendor:?}");
        }
    }
}

#[test]
fn the_last_iteration_sets_them() {
    for vendor in VENDORS {
        for program in programs() {
            for step in [0, TF] {
                let mut g = guest(vendor, DATA, program);
                g.memory.write(CODE + 0x100, &[0; 8]).unwrap();
                g.cpu.gpr[1] = 1;
                g.cpu.rflags |= step;
                g.enter(Entry { instructions: 1, ..Entry::default() });
                assert_eq!(g.cpu.rflags & STATUS, COMPARED, "{vendor:?}");
            }
        }
    }
}

#[test]
fn a_vendor_is_what_cpuid_says() {
    let mut cpu = model::processor::Processor::new(model::cpuid::default_table());
    assert_eq!(cpu.cpuid.vendor(), Vendor::Intel, "the default");
    cpu.cpuid.entries.clear();
    assert_eq!(cpu.cpuid.vendor(), Vendor::Intel, "a vendor that nobody knows");
    assert_eq!(Vendor::of(b"HygonGenuine"), Vendor::Amd);
}
