//! I/O breakpoints: DR7.R/W = 10 under CR4.DE. The instruction is an exit, and its trap comes when
//! user space has served it (SDM vol. 3, "Debug registers", "I/O breakpoint").

use super::{Guest, run_to_halt, top, vm};
use crate::guest::{CODE, DATA, DB};
use model::hypervisor::Vm;
use model::hypervisor::behaviour::CORRECT;
use vm::{Exit, RunMode, Vcpu};

/// Serves the guest's exits for I/O until it stops for another reason; how many there were.
fn serve(vm: &mut Vm) -> u32 {
    let mut served = 0;
    loop {
        match vm.run(RunMode::Normal) {
            Ok(Exit::IoIn { size, .. }) => vm.set_io_data(&vec![0xA5; size.into()]).unwrap(),
            Ok(Exit::IoOut { .. }) => {}
            other => {
                assert_eq!(other, Ok(Exit::Halt));
                return served;
            }
        }
        served += 1;
    }
}

/// A guest with DX = 0x3F8 and breakpoint 1 at `port` as DR7 says.
fn guest(bytes: &[u8], port: u64, dr7: u64) -> Guest {
    let mut g = Guest::fred().with_bytes(bytes);
    g.cpu.gpr[2] = 0x3F8;
    g.cpu.dr[1] = port;
    g.cpu.dr7 = dr7;
    g
}

/// Breakpoint 1 on I/O: of one byte, of two, of four.
const ONE: u64 = 0x20_0408;
const TWO: u64 = 0x60_0408;
const FOUR: u64 = 0xE0_0408;

/// IN AL, DX; OUT DX, AL; IN EAX, DX.
const IN: &[u8] = &[0xEC];
const OUT: &[u8] = &[0xEE];
const IN_4: &[u8] = &[0xED];

#[test]
fn a_trap_after_in_and_out() {
    for instruction in [IN, OUT] {
        let mut vm = vm(guest(instruction, 0x3F8, ONE), &CORRECT);
        assert_eq!(serve(&mut vm), 1);
        assert_eq!(top(&vm), [0, CODE + 1, 0x08, 2, 0x18_0000, DB, 0b10, 0]);
        assert_eq!(vm.processor.dr6, 0xFFFF_0FF2);
    }
}

/// A breakpoint's length, and the size of the access.
#[test]
fn what_overlaps_is_hit() {
    for (instruction, port, dr7, hit) in [
        (IN, 0x3F9, ONE, false),
        (IN, 0x3F9, TWO, true),
        (IN, 0x3FA, TWO, false),
        (IN, 0x3FB, FOUR, true),
        (IN, 0x3F7, FOUR, false),
        (IN_4, 0x3FB, ONE, true),
        (IN_4, 0x3FC, ONE, false),
        (IN_4, 0x3F7, ONE, false),
        (IN_4, 0x3F8, ONE, true),
        // Not enabled; on writes of data.
        (IN, 0x3F8, 0x20_0400, false),
        (IN, 0x3F8, 0x10_0408, false),
    ] {
        let mut vm = vm(guest(instruction, port, dr7), &CORRECT);
        serve(&mut vm);
        assert_eq!(vm.processor.dr6 & 0xF, if hit { 2 } else { 0 }, "{instruction:x?}, {port:#x}, {dr7:#x}");
        assert_eq!(vm.processor.rip, if hit { 0xA101 } else { CODE + 2 });
    }
}

/// Without CR4.DE there are no I/O breakpoints.
#[test]
fn cr4_de_is_needed() {
    let mut g = guest(IN, 0x3F8, ONE);
    g.cpu.cr4 &= !8;
    let mut vm = vm(g, &CORRECT);
    serve(&mut vm);
    assert_eq!((vm.processor.rip, vm.processor.dr6), (CODE + 2, 0xFFFF_0FF0));
}

/// One #DB for every condition of the instruction, and nothing of what DR6 held.
#[test]
fn a_step_and_a_breakpoint_are_one_exception() {
    let mut g = guest(IN, 0x3F8, ONE).stepping();
    g.cpu.dr6 = 0xFFFF_AFF4;
    let mut vm = vm(g, &CORRECT);
    assert_eq!(serve(&mut vm), 1);
    assert_eq!((top(&vm)[1], top(&vm)[6]), (CODE + 1, 0x4002));
    assert_eq!(vm.processor.dr6, 0xFFFF_EFF2);
}

/// IN is no branch: under IA32_DEBUGCTL.BTF it is not stepped.
#[test]
fn btf_steps_over_in() {
    let mut g = guest(IN, 0, 0x400).stepping();
    g.cpu.msrs.debugctl = 2;
    let mut vm = vm(g, &CORRECT);
    serve(&mut vm);
    assert_eq!((vm.processor.rip, vm.processor.dr6), (CODE + 2, 0xFFFF_0FF0));
}

/// REP INSB: a trap after each iteration, RF set between two; and its data breakpoint with it.
#[test]
fn each_iteration_of_rep_ins_traps() {
    let mut g = guest(&[0xF3, 0x6C], 0x3F8, 0x1020_040A);
    // Breakpoint 0 on writes of one byte at the second item, 1 on the port.
    g.cpu.dr7 = 0x21_040A;
    (g.cpu.gpr[1], g.cpu.gpr[7], g.cpu.dr[0]) = (2, DATA, DATA + 1);
    let mut vm = vm(g, &CORRECT);
    assert_eq!(serve(&mut vm), 1);
    let frame = top(&vm);
    assert_eq!((frame[1], frame[3], frame[6]), (CODE, 0x1_0002, 0b10));
    assert_eq!((vm.processor.gpr[1], vm.processor.gpr[7]), (1, DATA + 1));
    // The handler returns.
    let cpu = &mut vm.processor;
    (cpu.rip, cpu.rflags, cpu.gpr[4], cpu.halted) = (CODE, 0x1_0002, 0x18_0000, false);
    assert_eq!(serve(&mut vm), 1);
    let frame = top(&vm);
    assert_eq!((frame[1], frame[3], frame[6]), (CODE + 2, 2, 0b11));
    assert_eq!(vm.processor.gpr[1], 0);
}

/// OUTSB from a watched item.
#[test]
fn outs_meets_data_breakpoints() {
    let mut g = guest(&[0x6E], DATA, 0x30_0408);
    g.cpu.gpr[6] = DATA;
    let mut vm = vm(g, &CORRECT);
    assert_eq!(serve(&mut vm), 1);
    assert_eq!((top(&vm)[1], top(&vm)[6]), (CODE + 1, 0b10));
}

/// MOV SS, [watched]; IN: the breakpoint that was held back comes with the I/O breakpoint.
#[test]
fn a_breakpoint_on_mov_ss_is_merged_into_the_io_breakpoint() {
    // MOV SS, [0x190000] by a 32-bit address.
    let mut g = guest(&[0x8E, 0x14, 0x25, 0, 0, 0x19, 0, 0xEC], 0x3F8, 0x23_040A);
    g.put(DATA, 0x10);
    g.cpu.dr[0] = DATA;
    let mut vm = vm(g, &CORRECT);
    assert_eq!(serve(&mut vm), 1);
    assert_eq!((top(&vm)[1], top(&vm)[6]), (CODE + 8, 0b11));
    assert_eq!(vm.processor.gpr[4], 0x18_0000 - 64, "one frame");
}

/// The instruction that faults has no trap: its port is not permitted.
#[test]
fn a_fault_comes_instead() {
    let mut vm = vm(guest(IN, 0x3F8, ONE).in_ring_3().stepping(), &CORRECT);
    run_to_halt(&mut vm);
    assert_eq!((top(&vm)[5], top(&vm)[6]), (0x0203_000D_0000_0023, 0));
    assert_eq!(vm.processor.dr6, 0xFFFF_0FF0);
}
