//! #NM: by CR0.TS, by CR0.EM, by IA32_XFD. Its event data (SDM vol. 3, ch. 8, "FRED event delivery: event
//! data") is the component that IA32_XFD disables, and 0 for CR0.TS, whatever IA32_XFD_ERR still holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, GP, Guest, NM, UD};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use model::event::Event;
use model::processor::{Entry, ExitReason};
use model::xstate::component;

const TS: u64 = 8;
const EM: u64 = 4;

/// LDTILECFG of palette 1, tile 0 with 16 rows of 64 bytes, and a program after it, with IA32_XFD.
fn with_tile_config(xfd: u64, program: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Guest {
    let mut g = Guest::fred().with(|a| {
        a.ldtilecfg(ptr(DATA)).unwrap();
        program(a).unwrap();
    });
    let mut config = [0u8; 64];
    config[0] = 1;
    config[16] = 64;
    config[48] = 16;
    g.memory.write(DATA, &config).unwrap();
    g.cpu.msrs.xfd = xfd;
    g
}

#[test]
fn task_switched_has_no_event_data_whatever_xfd_err_holds() {
    for program in [
        |a: &mut CodeAssembler| a.movups(xmm0, xmmword_ptr(DATA)),
        |a: &mut CodeAssembler| a.fninit(),
        |a: &mut CodeAssembler| a.fnop(),
        |a: &mut CodeAssembler| a.fxsave(ptr(DATA)),
        |a: &mut CodeAssembler| a.movdqu(xmmword_ptr(DATA), xmm1),
        |a: &mut CodeAssembler| a.fld1(),
        |a: &mut CodeAssembler| a.addps(xmm0, xmm1),
        |a: &mut CodeAssembler| a.tilerelease(),
    ] {
        let mut g = Guest::fred().with(|a| program(a).unwrap());
        g.cpu.cr0 |= TS;
        g.cpu.msrs.xfd_err = 1 << 18;
        let frame = g.frame();
        assert_eq!(frame, [0, CODE, 0x08, 0x1_0002, 0x18_0000, NM, 0, 0]);
        assert_eq!(g.cpu.msrs.xfd_err, 1 << 18);
    }
}

#[test]
fn emulation_means_nm_for_x87_and_ud_for_sse() {
    let mut g = Guest::fred().with(|a| a.fninit().unwrap());
    g.cpu.cr0 |= EM;
    assert_eq!(g.frame()[5], NM);
    let mut g = Guest::fred().with(|a| a.movups(xmm0, xmm1).unwrap());
    g.cpu.cr0 |= EM;
    assert_eq!(g.frame()[5], UD);
    let mut g = Guest::fred().with(|a| a.movups(xmm0, xmm1).unwrap());
    g.cpu.cr4 &= !0x200;
    g.cpu.cr0 |= TS;
    assert_eq!(g.frame()[5], UD, "no CR4.OSFXSR");
}

#[test]
fn tile_data_under_xfd() {
    for program in
        [|a: &mut CodeAssembler| a.tilezero(tmm0), |a: &mut CodeAssembler| a.tileloadd(tmm0, ptr(rax + rbx))]
    {
        let mut g = with_tile_config(1 << 18, program);
        let frame = g.frame();
        assert_eq!((frame[5], frame[6]), (NM, 0x40000));
        assert_eq!(g.cpu.msrs.xfd_err, 0x40000);
    }
}

#[test]
fn an_intercepted_nm_finds_xfd_err_in_place() {
    let mut g = with_tile_config(1 << 18, |a| a.tilezero(tmm0));
    let exit = g.enter(Entry { intercepts: 1 << 7, ..Entry::default() });
    assert_eq!(exit.reason, ExitReason::Exception(Event { data: 0x40000, ..Event::exception(7) }));
    assert_eq!(g.cpu.msrs.xfd_err, 0x40000);
    assert_eq!(g.cpu.rflags, 0x1_0002);
}

#[test]
fn configuration_instructions_do_not_look_at_xfd() {
    let mut g = with_tile_config(1 << 18, |a| {
        a.sttilecfg(ptr(DATA + 64))?;
        a.tilerelease()
    });
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.rip, CODE + 26, "after the HLT of the program");
    assert_eq!(g.cpu.msrs.xfd_err, 0);
    assert_eq!(g.get(DATA + 64), 1);
    assert_eq!(g.cpu.xstate.in_use, 0);
}

#[test]
fn tile_instructions_need_a_configuration() {
    let mut g = Guest::fred().with(|a| a.tilezero(tmm0).unwrap());
    g.cpu.msrs.xfd = 1 << 18;
    assert_eq!(g.frame()[5], UD);
    assert_eq!(g.cpu.msrs.xfd_err, 0);
    let mut g = with_tile_config(0, |a| a.tilezero(tmm0));
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!(g.cpu.xstate.in_use, component::TILECFG | component::TILEDATA);
}

#[test]
fn a_bad_tile_configuration_is_a_gp() {
    let mut g = with_tile_config(0, |_| Ok(()));
    g.memory.write(DATA + 48, &[17]).unwrap();
    assert_eq!(g.frame()[5], GP);
}

#[test]
fn an_instruction_after_its_checks_is_named() {
    let mut g = Guest::fred().with(|a| a.addps(xmm0, xmm1).unwrap());
    let exit = g.run();
    assert_eq!(exit.reason, ExitReason::UnknownInstruction { text: "addps xmm0,xmm1".into(), rip: CODE });
}
