//! XSAVE, XSAVEC, XRSTOR and what CPUID says of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{CODE, DATA, GP, Guest, NM, UD};
use iced_x86::code_asm::*;
use model::processor::ExitReason;
use std::sync::Arc;

const TILEDATA: u64 = 1 << 18;

/// One instruction with DATA as its area and every component asked for.
fn guest(program: fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Guest {
    let mut g = Guest::fred().with(|a| program(a).unwrap());
    (g.cpu.gpr[0], g.cpu.gpr[2]) = (u64::MAX, u64::MAX);
    g.cpu.xstate.fxsave[160] = 0x77;
    g.cpu.xstate.tile_config[0] = 1;
    Arc::make_mut(&mut g.cpu.xstate.tile_data)[8191] = 0x99;
    g.cpu.xstate.in_use = 0x6_0003;
    g
}

#[test]
fn xsave_writes_the_standard_format() {
    let mut g = guest(|a| a.xsave(ptr(DATA)));
    g.put(DATA + 512, 1 << 40);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.get(DATA + 512), g.get(DATA + 520)), (1 << 40 | 0x6_0003, 0));
    assert_eq!((g.get(DATA + 160), g.get(DATA + 0xAC0), g.get(DATA + 0x2AF8)), (0x77, 1, 0x99 << 56));
    assert_eq!(g.get(DATA + 24), 0xFFFF_0000_1F80);
}

#[test]
fn xsavec_leaves_out_what_is_not_in_use() {
    let mut g = guest(|a| a.xsavec(ptr(DATA)));
    g.cpu.xstate.in_use = 0x2_0002;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.get(DATA + 512), g.get(DATA + 520)), (0x2_0003, 0x8000_0000_0006_0003));
    assert_eq!((g.get(DATA + 576), g.get(DATA + 640 + 8184)), (1, 0));
}

#[test]
fn xsave_treats_what_xfd_disables_as_unused() {
    let mut g = guest(|a| a.xsave(ptr(DATA)));
    g.cpu.msrs.xfd = TILEDATA;
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.get(DATA + 512), g.get(DATA + 0x2AF8)), (0x2_0003, 0));
}

#[test]
fn xrstor_loads_and_initialises() {
    let mut g = guest(|a| a.xrstor(ptr(DATA)));
    g.put(DATA + 24, 0x1FA0);
    g.put(DATA + 160, 0x55);
    g.put(DATA + 512, 0b10);
    assert_eq!(g.run().reason, ExitReason::Halt);
    assert_eq!((g.cpu.xstate.fxsave[160], g.cpu.xstate.mxcsr()), (0x55, 0x1FA0));
    assert_eq!(g.cpu.xstate.fxsave[0..2], [0x7F, 3], "FCW as FNINIT leaves it");
    assert_eq!((g.cpu.xstate.tile_config[0], g.cpu.xstate.tile_data[8191], g.cpu.xstate.in_use), (0, 0, 2));
}

#[test]
fn xrstor_of_disabled_tiles_is_nm_with_its_component() {
    let mut g = guest(|a| a.xrstor(ptr(DATA)));
    g.put(DATA + 512, TILEDATA);
    g.cpu.msrs.xfd = TILEDATA;
    let frame = g.frame();
    assert_eq!((frame[1], frame[5], frame[6]), (CODE, NM, 0x4_0000));
    assert_eq!((g.cpu.msrs.xfd_err, g.cpu.xstate.tile_data[8191]), (0x4_0000, 0x99));
}

#[test]
fn xrstor_refuses_bad_headers() {
    for (at, value) in [(24, 1 << 16), (512, 4), (512, 1 << 62), (520, 1), (528, 1), (520, 1 << 63 | 4)] {
        let mut g = guest(|a| a.xrstor(ptr(DATA)));
        g.put(DATA + at, value);
        assert_eq!(g.frame()[5], GP, "{at}: {value:#x}");
    }
    assert_eq!(guest(|a| a.xrstor(ptr(DATA + 32))).frame()[5], GP, "not aligned to 64 bytes");
}

#[test]
fn they_are_ud_without_osxsave_and_nm_under_ts() {
    let mut g = guest(|a| a.xsave(ptr(DATA)));
    g.cpu.cr4 &= !(1 << 18);
    assert_eq!(g.frame()[5], UD);
    let mut g = guest(|a| a.xsave(ptr(DATA)));
    g.cpu.cr0 |= 8;
    assert_eq!(g.frame()[5..7], [NM, 0]);
}

#[test]
fn cpuid_gives_the_size_that_xcr0_needs() {
    let size = |xcr0: u64, subleaf: u64| {
        let mut g = Guest::fred().with(|a| a.cpuid().unwrap());
        g.cpu.xcr0 = xcr0;
        g.cpu.gpr[0] = 0xD;
        g.cpu.gpr[1] = subleaf;
        g.run();
        (g.cpu.gpr[3], if subleaf == 0 { g.cpu.gpr[1] } else { 0 })
    };
    assert_eq!(size(3, 0), (576, 0x2B00));
    assert_eq!(size(0x6_0003, 0), (0x2B00, 0x2B00));
    assert_eq!(size(3, 1), (576, 0));
    assert_eq!(size(0x6_0003, 1), (640 + 8192, 0));
}
