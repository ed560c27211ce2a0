//! The processor's caches of instructions and translations are never stale.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, Guest, NEXT, PF, PT};
use iced_x86::code_asm::*;
use model::processor::{Entry, ExitReason};

/// Some rounds over a body that begins at CODE + 5, and a HLT. EAX is 0 before.
fn rounds(count: u32, body: impl FnOnce(&mut CodeAssembler)) -> Guest {
    let mut g = Guest::fred().with(|a| {
        let mut round = a.create_label();
        a.mov(ecx, count).unwrap();
        a.set_label(&mut round).unwrap();
        body(a);
        a.dec(ecx).unwrap();
        a.jnz(round).unwrap();
        a.hlt().unwrap();
    });
    g.cpu.gpr[0] = 0;
    g
}

/// Two rounds over INC EAX at CODE + 5 and an instruction after it.
fn two_rounds(after: fn(&mut CodeAssembler)) -> Guest {
    rounds(2, |a| {
        a.inc(eax).unwrap();
        after(a);
    })
}

#[test]
fn code_that_changes_itself() {
    // INC EAX (FF C0) becomes DEC EAX (FF C8) after the first round.
    let mut g = two_rounds(|a| a.mov(byte_ptr(CODE + 6), 0xC8).unwrap());
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.gpr[0], 0, "one up, one down");
}

#[test]
fn code_that_changes_the_instruction_after_it() {
    // The store changes the very next instruction, which was executed in an earlier round.
    let mut g = rounds(3, |a| {
        a.mov(byte_ptr(CODE + 13), dl).unwrap();
        a.inc(eax).unwrap();
        a.xor(dl, 8).unwrap();
    });
    g.cpu.gpr[2] = 0xC0;
    assert_eq!(g.get(CODE + 12) & 0xFFFF, 0xC0FF);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.gpr[0], 1, "up, down, up");
}

#[test]
fn code_that_changes_the_instruction_after_it_when_all_of_it_was_executed() {
    // Each round stores DEC's second byte (FF C8) somewhere; the last one where INC's (FF C0) is.
    let mut g = rounds(3, |a| {
        a.mov(rsi, qword_ptr(rbx + rcx * 8)).unwrap();
        a.mov(byte_ptr(rsi), dl).unwrap();
        a.inc(eax).unwrap();
    });
    (g.cpu.gpr[3], g.cpu.gpr[2]) = (NEXT, 0xC8);
    assert_eq!(g.get(CODE + 11) & 0xFFFF, 0xC0FF);
    for (round, target) in [(3, DATA), (2, DATA), (1, CODE + 12)] {
        g.put(NEXT + 8 * round, target);
    }
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.gpr[0], 1, "up, up, down");
}

#[test]
fn code_that_a_page_walk_changes() {
    // The code is in the page table: the entry of the page at 0x1F1000 is the immediate of its MOV RDX. The store of the
    // last round sets that entry's dirty bit, after all of it was executed.
    const TARGET: u64 = 0x1F_1000;
    const ENTRY: u64 = NEXT | 0x27;
    const DIRTY: u64 = 0x40;
    let mut g = Guest::fred();
    g.put(PT + (CODE >> 12) * 8, PT | 7);
    let at = PT + (TARGET >> 12) * 8 - 8;
    // mov rsi, [rbx+rcx*8]; mov [rsi], al; mov rdx, ENTRY; dec ecx; jnz -20; hlt
    g.memory.write(at, &[0x48, 0x8B, 0x34, 0xCB, 0x88, 0x06, 0x48, 0xBA]).unwrap();
    g.put(at + 8, ENTRY);
    g.memory.write(at + 16, &[0xFF, 0xC9, 0x75, 0xEC, 0xF4]).unwrap();
    for (round, target) in [(3, DATA), (2, DATA), (1, TARGET)] {
        g.put(NEXT + 8 * round, target);
    }
    (g.cpu.gpr[1], g.cpu.gpr[3], g.cpu.rip) = (3, NEXT, CODE + at % 0x1000);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.get(at + 8), ENTRY | DIRTY);
    assert_eq!(g.cpu.gpr[2], ENTRY | DIRTY);
}

#[test]
fn a_page_table_that_changes_under_running_code() {
    // Each round stores to the code page's entry; the second one maps another page there, with DEC
    // instead of INC. Everything was executed in the round before.
    let mut g = rounds(3, |a| {
        a.inc(eax).unwrap();
        a.mov(rdi, qword_ptr(rbx + rcx * 8)).unwrap();
        a.mov(qword_ptr(rsi), rdi).unwrap();
    });
    let mut page = [0; 64];
    g.memory.read(CODE, &mut page).unwrap();
    assert_eq!(page[5..7], [0xFF, 0xC0]);
    page[6] = 0xC8;
    g.memory.write(DATA, &page).unwrap();
    for (round, entry) in [(3, CODE | 7), (2, DATA | 7), (1, DATA | 7)] {
        g.put(NEXT + 8 * round, entry);
    }
    (g.cpu.gpr[3], g.cpu.gpr[6]) = (NEXT, PT + (CODE >> 12) * 8);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.gpr[0], 1, "up, up, down");
}

#[test]
fn a_data_page_that_is_taken_away() {
    let mut g = Guest::fred().with(|a| {
        a.mov(rax, qword_ptr(DATA)).unwrap();
        a.mov(qword_ptr(rsi), 6).unwrap();
        a.mov(rax, qword_ptr(DATA)).unwrap();
    });
    g.cpu.gpr[6] = PT + (DATA >> 12) * 8;
    assert_eq!(g.frame()[6], DATA);
}

#[test]
fn a_right_that_is_taken_away() {
    // SMEP comes on in the second round while a user page is executed from: the next fetch faults.
    let mut g = rounds(2, |a| {
        a.mov(rdi, qword_ptr(rbx + rcx * 8)).unwrap();
        a.mov(cr4, rdi).unwrap();
    });
    g.cpu.gpr[3] = NEXT;
    g.put(NEXT + 16, g.cpu.cr4);
    g.put(NEXT + 8, g.cpu.cr4 | 1 << 20);
    // Stacks, handlers and tables belong to the supervisor.
    for page in (0..0x20_0000).step_by(0x1000).filter(|page| *page != CODE) {
        g.map(page, 3);
    }
    let frame = g.frame();
    assert_eq!((frame[0], frame[1], frame[5], frame[6]), (0x11, CODE + 12, PF, CODE + 12));
}

#[test]
fn a_restored_memory_and_processor() {
    let g = two_rounds(|a| a.nop().unwrap());
    let (cpu, memory) = (g.cpu.clone(), g.memory.clone());
    let mut g = g;
    g.run();
    assert_eq!(g.cpu.gpr[0], 2);
    // The same processor over memory that was saved before and differs in one byte.
    let mut other = memory.clone();
    other.write(CODE + 6, &[0xC8]).unwrap();
    g.memory = other;
    (g.cpu.rip, g.cpu.gpr[0], g.cpu.halted) = (CODE, 5, false);
    g.run();
    assert_eq!(g.cpu.gpr[0], 3);
    // And back, with the saved registers in the running processor.
    g.memory = memory;
    (g.cpu.rip, g.cpu.gpr, g.cpu.rflags, g.cpu.halted) = (cpu.rip, cpu.gpr, cpu.rflags, false);
    g.run();
    assert_eq!(g.cpu.gpr[0], 2);
}

#[test]
fn memory_that_the_host_writes_between_two_entries() {
    let mut g = two_rounds(|a| a.nop().unwrap());
    let exit = g.enter(Entry { instructions: 4, ..Entry::default() });
    assert_eq!((exit.reason, exit.instructions), (ExitReason::Budget, 4));
    g.memory.write(CODE + 6, &[0xC8]).unwrap();
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.gpr[0], 0);
}

#[test]
fn a_budget_ends_between_any_two_instructions() {
    let whole = {
        let mut g = two_rounds(|a| a.nop().unwrap());
        g.run();
        (g.cpu.gpr, g.cpu.rip, g.cpu.msrs.tsc)
    };
    for step in 1..6 {
        let mut g = two_rounds(|a| a.nop().unwrap());
        let mut entries = 0;
        while g.enter(Entry { instructions: step, ..Entry::default() }).reason == ExitReason::Budget {
            entries += 1;
        }
        assert_eq!((g.cpu.gpr, g.cpu.rip, g.cpu.msrs.tsc), whole);
        assert_eq!(entries, 10 / step, "10 instructions, {step} at a time");
    }
}
