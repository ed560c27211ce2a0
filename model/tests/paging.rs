//! #PF's error codes, and accessed and dirty bits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, Guest, NEXT, PD, PDPT, PT};
use iced_x86::code_asm::*;
use model::processor::ExitReason;

const ENTRY_OF_NEXT: u64 = PT + (NEXT >> 12) * 8;

/// The error code of the #PF that an access to NEXT raises, or `None`.
fn fault(flags: u64, user: bool, access: fn(&mut CodeAssembler), set: fn(&mut Guest)) -> Option<u64> {
    let mut g = Guest::fred().with(access);
    if user {
        g = g.in_ring_3();
    }
    g.memory.write(NEXT, &[0xCC]).unwrap();
    g.map(NEXT, flags);
    set(&mut g);
    assert_eq!(g.run().reason, ExitReason::Halt);
    let frame = g.top();
    (frame[5] >> 32 & 0xFF == 14).then(|| {
        assert_eq!(frame[6], NEXT);
        frame[0]
    })
}

fn read(a: &mut CodeAssembler) {
    a.mov(al, byte_ptr(NEXT)).unwrap();
    a.int3().unwrap();
}

fn write(a: &mut CodeAssembler) {
    a.mov(byte_ptr(NEXT), al).unwrap();
    a.int3().unwrap();
}

fn modify(a: &mut CodeAssembler) {
    a.add(byte_ptr(NEXT), 1).unwrap();
    a.int3().unwrap();
}

fn execute(a: &mut CodeAssembler) {
    a.mov(rax, NEXT).unwrap();
    a.jmp(rax).unwrap();
}

#[test]
fn error_codes() {
    let plain: fn(&mut Guest) = |_| ();
    let no_wp: fn(&mut Guest) = |g| g.cpu.cr0 &= !0x1_0000;
    let no_nx: fn(&mut Guest) = |g| g.cpu.efer &= !0x800;
    const NX: u64 = 1 << 63;
    assert_eq!(fault(2, false, read, plain), Some(0));
    assert_eq!(fault(2, true, read, plain), Some(4));
    assert_eq!(fault(2, false, write, plain), Some(2));
    assert_eq!(fault(2, false, modify, plain), Some(2));
    assert_eq!(fault(5, false, write, plain), Some(3));
    assert_eq!(fault(5, false, write, no_wp), None);
    assert_eq!(fault(5, true, write, no_wp), Some(7));
    assert_eq!(fault(3, true, read, plain), Some(5));
    assert_eq!(fault(3 | NX, false, execute, plain), Some(0x11));
    assert_eq!(fault(7 | NX, true, execute, plain), Some(0x15));
    assert_eq!(fault(2, true, execute, plain), Some(0x14));
    assert_eq!(fault(2, true, execute, no_nx), Some(4));
    assert_eq!(fault(3 | NX, false, read, no_nx), Some(9));
    assert_eq!(fault(3 | 1 << 50, false, write, plain), Some(0xB));
    assert_eq!(fault(3, false, read, plain), None);
    assert_eq!(fault(7, false, execute, |g| supervisor(g, SMEP, 0)), Some(0x11));
    assert_eq!(fault(7, false, execute, |g| supervisor(g, 0, 0)), None);
    assert_eq!(fault(7, false, read, |g| supervisor(g, SMAP, 0)), Some(1));
    assert_eq!(fault(7, false, write, |g| supervisor(g, SMAP, 0)), Some(3));
    assert_eq!(fault(7, false, read, |g| supervisor(g, SMAP, AC)), None);
}

const SMEP: u64 = 1 << 20;
const SMAP: u64 = 1 << 21;
const AC: u64 = 1 << 18;

/// The guest's other pages are user pages too: makes them supervisor ones, and sets bits of CR4 and RFLAGS.
fn supervisor(g: &mut Guest, controls: u64, flags: u64) {
    for page in (0..0x20_0000).step_by(0x1000).filter(|page| *page != NEXT) {
        g.map(page, 3);
    }
    g.cpu.cr4 |= controls;
    g.cpu.rflags |= flags;
}

#[test]
fn accessed_and_dirty_bits() {
    let mut g = Guest::fred().with(read);
    g.run();
    assert_eq!(g.get(ENTRY_OF_NEXT), NEXT | 0x27);
    assert_eq!(g.get(PD) & 0x60, 0x20);
    let mut g = Guest::fred().with(|a| {
        a.mov(al, byte_ptr(NEXT)).unwrap();
        a.mov(byte_ptr(NEXT), al).unwrap();
    });
    g.run();
    assert_eq!(g.get(ENTRY_OF_NEXT), NEXT | 0x67);
    let mut g = Guest::fred().with(write);
    g.map(NEXT, 5);
    g.run();
    assert_eq!(g.get(ENTRY_OF_NEXT), NEXT | 5, "a fault sets nothing");
}

#[test]
fn changed_page_tables_are_seen_at_once() {
    let mut g = Guest::fred().with(|a| {
        a.mov(al, byte_ptr(NEXT)).unwrap();
        a.mov(dword_ptr(ENTRY_OF_NEXT), 0).unwrap();
        a.mov(bl, byte_ptr(NEXT)).unwrap();
    });
    let frame = g.frame();
    assert_eq!((frame[1], frame[6]), (CODE + 20, NEXT));
}

#[test]
fn changed_code_is_seen_at_once() {
    let mut g = Guest::fred().with(|a| {
        // Twice through the loop: the second time the NOP is an INT3.
        let mut again = a.create_label();
        a.set_label(&mut again).unwrap();
        a.nop().unwrap();
        a.mov(byte_ptr(CODE), 0xCCu32 as i32).unwrap();
        a.jmp(again).unwrap();
    });
    assert_eq!(g.frame()[1], CODE + 1);
    assert_eq!(g.cpu.rip & 0xFFF, 0x101);
}

#[test]
fn code_changed_by_the_host_or_by_a_restore_is_seen_at_once() {
    let mut g = Guest::fred().with(|a| a.mov(eax, 1).unwrap());
    let before = g.memory.clone();
    let run = |g: &mut Guest| {
        (g.cpu.rip, g.cpu.halted) = (CODE, false);
        assert_eq!(g.run().reason, ExitReason::Halt);
        g.cpu.gpr[0]
    };
    assert_eq!(run(&mut g), 1);
    g.memory.write(CODE + 1, &[2]).unwrap();
    assert_eq!(run(&mut g), 2);
    g.memory = before.clone();
    assert_eq!(run(&mut g), 1);
    g.memory.write(CODE + 1, &[3]).unwrap();
    assert_eq!(run(&mut g), 3);
    // Another physical page at the same linear address.
    g.memory.write(NEXT, &[0xB8, 4, 0, 0, 0, 0xF4]).unwrap();
    g.put(PT + (CODE >> 12) * 8, NEXT | 7);
    assert_eq!(run(&mut g), 4);
    let mut untouched = [0; 1];
    before.read(CODE + 1, &mut untouched).unwrap();
    assert_eq!(untouched, [1]);
}

#[test]
fn large_pages() {
    let mut g = Guest::fred().with(|a| {
        a.mov(rax, 0x40_0123u64).unwrap();
        a.mov(rbx, 0x4000_0456u64).unwrap();
        a.mov(ecx, dword_ptr(rax)).unwrap();
        a.mov(edx, dword_ptr(rbx)).unwrap();
    });
    g.put(PD + 16, 0x83);
    g.put(PDPT + 8, 0x83);
    g.put(0x123, 0x1122_3344);
    g.put(0x456, 0x5566_7788);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.gpr[1], g.cpu.gpr[2]), (0x1122_3344, 0x5566_7788));
    // A reserved bit of a 2-MiB page.
    g = Guest::fred().with(|a| a.mov(ecx, dword_ptr(0x40_0123)).unwrap());
    g.put(PD + 16, 0x2083);
    let frame = g.frame();
    assert_eq!((frame[0], frame[6]), (9, 0x40_0123));
}

#[test]
fn addresses_that_are_not_canonical() {
    for (program, vector) in [
        ((|a: &mut CodeAssembler| a.mov(al, byte_ptr(rbx))) as fn(&mut CodeAssembler) -> _, 13),
        (|a: &mut CodeAssembler| a.mov(al, byte_ptr(rbp)), 12),
        (|a: &mut CodeAssembler| a.jmp(rbx), 13),
    ] {
        let mut g = Guest::fred().with(|a| program(a).unwrap());
        g.cpu.gpr[3] = 0x0000_8000_0000_0000;
        g.cpu.gpr[5] = 0x0000_8000_0000_0000;
        let frame = g.frame();
        assert_eq!((frame[5] >> 32 & 0xFF, frame[0], frame[1]), (vector, 0, CODE));
    }
}
