//! "FRED event delivery: event data".

use super::*;
use guest::NEXT;
use model::event::Event;

/// #PF: the linear address, which CR2 gets as well.
#[test]
fn of_a_page_fault() {
    let mut g = ring_0(&[0x48, 0x8B, 0x04, 0x25, 0x10, 0x10, 0x19, 0]);
    g.map(NEXT, 6);
    assert_eq!((g.frame()[6], g.cpu.cr2), (0x19_1010, 0x19_1010));
}

/// #PF: the first byte that cannot be reached.
#[test]
fn of_a_page_fault_on_the_second_page() {
    let mut g = ring_0(&[0x48, 0x8B, 0x04, 0x25, 0xFE, 0x0F, 0x19, 0]);
    g.map(NEXT, 6);
    assert_eq!(g.frame()[6], 0x19_1000);
}

/// #DB: BS alone for a single step, whatever DR6 still holds.
#[test]
fn of_a_single_step() {
    let mut g = ring_0(NOP);
    g.cpu.rflags |= 0x100;
    g.cpu.dr6 = 0xFFFF_EFFF;
    assert_eq!((g.frame()[6], g.cpu.dr6), (0x4000, 0xFFFF_EFF0));
}

/// #DB: the number of an execution breakpoint.
#[test]
fn of_an_execution_breakpoint() {
    let mut g = ring_0(NOP);
    g.cpu.dr[3] = CODE;
    g.cpu.dr7 = 0x480;
    assert_eq!((g.frame()[6], g.cpu.dr6), (8, 0xFFFF_0FF8));
}

/// #DB: the number of a data breakpoint.
#[test]
fn of_a_data_breakpoint() {
    let mut g = ring_0(&[0xC6, 0x04, 0x25, 0, 0, 0x19, 0, 1]);
    g.cpu.dr[1] = DATA;
    // Breakpoint 1 on writes of one byte.
    g.cpu.dr7 = 0x10_0408;
    assert_eq!((g.frame()[6], g.cpu.dr6), (2, 0xFFFF_0FF2));
}

/// #DB: BD for general detect.
#[test]
fn of_general_detect() {
    let mut g = ring_0(&[0x0F, 0x21, 0xF8]);
    g.cpu.dr7 = 0x2400;
    assert_eq!((g.frame()[6], g.cpu.dr6, g.cpu.dr7), (0x2000, 0xFFFF_2FF0, 0x400));
}

/// #DB: all conditions of one instruction in one exception.
#[test]
fn of_a_step_with_a_breakpoint() {
    let mut g = ring_0(&[0xC6, 0x04, 0x25, 0, 0, 0x19, 0, 1]);
    g.cpu.rflags |= 0x100;
    g.cpu.dr[1] = DATA;
    g.cpu.dr7 = 0x10_0408;
    assert_eq!(g.frame()[6], 0x4002);
}

/// #NM: the component that IA32_XFD disables.
#[test]
fn of_a_disabled_component() {
    // TILEZERO TMM0.
    let mut g = ring_0(&[0xC4, 0xE2, 0x7B, 0x49, 0xC0]);
    g.cpu.xstate.tile_config[0] = 1;
    g.cpu.xstate.tile_config[16] = 64;
    g.cpu.xstate.tile_config[48] = 16;
    g.cpu.msrs.xfd = 0x4_0000;
    let frame = g.frame();
    assert_eq!((frame[5], frame[6], g.cpu.msrs.xfd_err), (0x0203_0007_0000_0010, 0x4_0000, 0x4_0000));
}

/// #NM: 0 for CR0.TS, whatever IA32_XFD_ERR still holds.
#[test]
fn of_a_task_switch() {
    let mut g = ring_0(&[0xD9, 0xD0]);
    g.cpu.cr0 |= 8;
    g.cpu.msrs.xfd_err = 0x4_0000;
    let frame = g.frame();
    assert_eq!((frame[5], frame[6], g.cpu.msrs.xfd_err), (0x0203_0007_0000_0010, 0, 0x4_0000));
}

/// NMI: 0.
#[test]
fn of_an_nmi() {
    let mut g = ring_0(NOP);
    g.put(guest::STACK - 16, 9);
    inject(&mut g, Event::nmi());
    assert_eq!(g.top()[6], 0);
}

/// INT1: 0, and DR6 as it was.
#[test]
fn of_int1() {
    let mut g = ring_0(INT1);
    g.put(guest::STACK - 16, 9);
    g.cpu.dr6 = 0xFFFF_4FF1;
    assert_eq!((g.frame()[6], g.cpu.dr6), (0, 0xFFFF_4FF1));
}

/// Everything else: 0.
#[test]
fn of_others() {
    for bytes in [UD2, INT3, INT_14, SYSCALL, BAD_SS] {
        let mut g = ring_0(bytes);
        g.put(guest::STACK - 16, 9);
        g.cpu.cr2 = 0x1234;
        assert_eq!(g.frame()[6], 0, "{bytes:x?}");
    }
}

/// Injected data (ch. "VM entries: event injection"): pushed as it is.
#[test]
fn of_an_injected_event() {
    let mut g = ring_0(NOP);
    inject(&mut g, Event { data: 0x1234_5678_9ABC_DEF0, ..Event::ud() });
    assert_eq!(g.top()[6], 0x1234_5678_9ABC_DEF0);
}
