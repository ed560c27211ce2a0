//! "FRED return instructions": ERETS and ERETU (SDM vol. 2, their "Operation").

use super::*;
use guest::{ENTRY, STACK};

const ERETS: &[u8] = &[0xF2, 0x0F, 0x01, 0xCA];
const ERETU: &[u8] = &[0xF3, 0x0F, 0x01, 0xCA];
const TARGET: u64 = CODE + 0x1000;
const GP: u64 = 0x0203_000D_0000_0010;

/// The instruction, with RIP, CS, RFLAGS, RSP and SS above an error code on the stack.
fn returning(instruction: &[u8], cs: u64, rflags: u64, ss: u64) -> Guest {
    let mut g = ring_0(instruction);
    g.memory.write(TARGET, &[0x90, 0xF4]).unwrap();
    for (n, word) in (0u64..).zip([0xEE, TARGET, cs, rflags, STACK + 0x100, ss]) {
        g.put(STACK + 8 * n, word);
    }
    g
}

/// ERETS: pops the frame after the error code.
#[test]
fn erets_skips_the_error_code() {
    let mut g = returning(ERETS, 0x08, 0x2, 0x10);
    g.run();
    assert_eq!((g.cpu.rip, g.cpu.gpr[4]), (0x10_1002, 0x18_0100));
}

/// ERETS: CSL becomes that of the frame when it is lower.
#[test]
fn erets_lowers_the_level() {
    let mut g = returning(ERETS, 0x1_0008, 0x2, 0x10);
    g.cpu.msrs.fred.config = ENTRY | 3;
    g.run();
    assert_eq!(g.cpu.msrs.fred.config, 0xA001);
}

/// ERETS: CSL never rises.
#[test]
fn erets_does_not_raise_the_level() {
    let mut g = returning(ERETS, 0x2_0008, 0x2, 0x10);
    g.run();
    assert_eq!(g.cpu.msrs.fred.config, 0xA000);
}

/// ERETS: #GP(0) for another code segment, and nothing has changed.
#[test]
fn erets_stays_in_its_code_segment() {
    let frame = returning(ERETS, 0x2B, 0x2, 0x10).frame();
    assert_eq!((frame[0], frame[1], frame[4], frame[5]), (0, 0x10_0000, 0x18_0000, GP));
}

/// ERETS: #GP(0) for another stack segment.
#[test]
fn erets_stays_in_its_stack_segment() {
    assert_eq!(returning(ERETS, 0x08, 0x2, 0x23).frame()[5], GP);
}

/// ERETS: #GP(0) for VM in RFLAGS.
#[test]
fn erets_refuses_virtual_8086_mode() {
    assert_eq!(returning(ERETS, 0x08, 0x2_0002, 0x10).frame()[5], GP);
}

/// ERETS: #GP(0) for a RIP that is not canonical.
#[test]
fn erets_refuses_a_bad_rip() {
    let mut g = returning(ERETS, 0x08, 0x2, 0x10);
    g.put(STACK + 8, 0x8000_0000_0000);
    assert_eq!(g.frame()[5], GP);
}

/// ERETS: event type, vector and length of the frame are not looked at.
#[test]
fn erets_ignores_the_event_information() {
    let mut g = returning(ERETS, 0x08, 0x2, 0xF6FF_00FF_0000_0010);
    g.run();
    assert_eq!(g.cpu.rip, 0x10_1002);
}

/// ERETS: RF of the frame lets one instruction pass an execution breakpoint.
#[test]
fn erets_loads_rf() {
    let mut g = returning(ERETS, 0x08, 0x1_0002, 0x10);
    g.cpu.dr[0] = TARGET;
    g.cpu.dr7 = 0x402;
    g.run();
    assert_eq!((g.cpu.rip, g.cpu.dr6), (0x10_1002, 0xFFFF_0FF0));
}

/// ERETS: bit 17 of the SS slot with TF makes a single step pending at once.
#[test]
fn erets_can_step_at_once() {
    let frame = returning(ERETS, 0x08, 0x102, 0x2_0010).frame();
    assert_eq!((frame[1], frame[6]), (0x10_1000, 0x4000));
}

/// ERETS: without bit 17 the step comes after the next instruction.
#[test]
fn erets_steps_one_instruction() {
    let frame = returning(ERETS, 0x08, 0x102, 0x10).frame();
    assert_eq!((frame[1], frame[6]), (0x10_1001, 0x4000));
}

/// ERETS: bit 18 of the SS slot, and it alone, unblocks NMIs.
#[test]
fn erets_unblocks_nmis() {
    for (ss, blocked) in [(0x10, true), (0x4_0010, false)] {
        let mut g = returning(ERETS, 0x08, 0x2, ss);
        g.cpu.nmi_blocking = true;
        g.run();
        assert_eq!(g.cpu.nmi_blocking, blocked);
    }
}

/// ERETU: loads ring 3's flat segments and swaps GS.base.
#[test]
fn eretu_goes_to_ring_3() {
    let mut g = returning(ERETU, 0x2B, 0x202, 0x23);
    (g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base) = (3, 7);
    g.enter(Entry { instructions: 1, ..Entry::default() });
    assert_eq!((g.cpu.rip, g.cpu.rflags, g.cpu.gpr[4], g.cpu.cpl()), (0x10_1000, 0x202, 0x18_0100, 3));
    assert_eq!((g.cpu.segments.gs.base, g.cpu.msrs.kernel_gs_base), (7, 3));
}

/// ERETU: IA32_STAR's 32-bit code segment is compatibility mode.
#[test]
fn eretu_goes_to_compatibility_mode() {
    let mut g = returning(ERETU, 0x1B, 0x2, 0x23);
    g.put(STACK + 8, 0xFFFF_FFFF_0010_1000);
    g.enter(Entry { instructions: 1, ..Entry::default() });
    assert_eq!((g.cpu.rip, g.cpu.segments.cs.l, g.cpu.cpl()), (0x10_1000, false, 3));
}

/// ERETU: #GP(0) above stack level 0.
#[test]
fn eretu_needs_level_0() {
    let mut g = returning(ERETU, 0x2B, 0x2, 0x23);
    g.cpu.msrs.fred.config = ENTRY | 1;
    assert_eq!(g.frame()[5], GP);
}

/// ERETU: #GP(0) for an IOPL that is not 0.
#[test]
fn eretu_refuses_iopl() {
    assert_eq!(returning(ERETU, 0x2B, 0x3002, 0x23).frame()[5], GP);
}

/// ERETU: #GP(0) for selectors of ring 0.
#[test]
fn eretu_refuses_ring_0() {
    assert_eq!(returning(ERETU, 0x08, 0x2, 0x23).frame()[5], GP);
    assert_eq!(returning(ERETU, 0x2B, 0x2, 0x10).frame()[5], GP);
}
