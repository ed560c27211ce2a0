//! Which exceptions are intercepted makes no difference to the guest: the same frame and the same
//! registers for every exception bitmap, undisturbed and stopped at each access of the delivery.

use super::{Guest, run_to_halt, top, vm};
use crate::guest::{CODE, DATA, NEXT, STACK};
use model::event::Event;
use model::hypervisor::behaviour::flaws::INT1_RETYPED;
use model::hypervisor::behaviour::proposals::UAPI_EVENT_DATA;
use model::hypervisor::behaviour::usual;
use model::hypervisor::behaviour::{Behaviour, CORRECT, by_name};
use vm::{Exit, RunMode, Vcpu};

/// The bitmap that this behaviour has.
macro_rules! intercepting {
    ($behaviour:expr, $bitmap:expr) => {{
        const BEHAVIOUR: Behaviour = Behaviour { intercepts: |_| $bitmap, ..$behaviour };
        &BEHAVIOUR
    }};
}

/// Correct behaviours: nothing, everything, each of the usual ones alone and left out, #PF and what
/// meets it, the contributory ones.
const BITMAPS: [&Behaviour; 12] = [
    &CORRECT,
    intercepting!(CORRECT, 0),
    intercepting!(CORRECT, u32::MAX),
    intercepting!(UAPI_EVENT_DATA, u32::MAX),
    intercepting!(CORRECT, 1 << 1),
    intercepting!(CORRECT, !(1 << 1)),
    intercepting!(CORRECT, 1 << 6),
    intercepting!(CORRECT, 1 << 7),
    intercepting!(CORRECT, 1 << 8),
    intercepting!(CORRECT, 1 << 13),
    intercepting!(CORRECT, 1 << 14),
    intercepting!(CORRECT, 1 << 3 | 1 << 4 | 1 << 11 | 1 << 14),
];

/// What a guest must come to: its frame, CR2, DR6, and the stack level.
struct Expected {
    frame: [u64; 8],
    cr2: u64,
    dr6: u64,
    level: u64,
}

const QUIET_DR6: u64 = 0xFFFF_0FF0;

fn check(name: &str, make: impl Fn() -> Guest, expected: &Expected) {
    for behaviour in BITMAPS {
        for refused in std::iter::once(None).chain((0..).map(Some)) {
            let mut vm = vm(make(), behaviour);
            vm.memory.refuse_access(refused);
            let mut why = vm.run(RunMode::Normal);
            let stopped = matches!(why, Ok(Exit::Fault { .. }));
            if stopped {
                why = vm.run(RunMode::Normal);
            }
            let at = format!("{name}: {} {:#x}, {refused:?}", behaviour.name, (behaviour.intercepts)(0));
            assert_eq!(why, Ok(Exit::Halt), "{at}");
            assert_eq!(top(&vm), expected.frame, "{at}");
            let cpu = &vm.processor;
            let got = (cpu.cr2, cpu.dr6, cpu.msrs.fred.config & 3);
            assert_eq!(got, (expected.cr2, expected.dr6, expected.level), "{at}");
            if refused.is_some() && !stopped {
                break;
            }
        }
    }
}

#[test]
fn ud() {
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0006_0000_0010, 0, 0];
    let expected = Expected { frame, cr2: 0, dr6: QUIET_DR6, level: 0 };
    check("UD2", || Guest::fred().with_bytes(&[0x0F, 0x0B]), &expected);
}

#[test]
fn pf() {
    let make = || {
        let mut g = Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
        g.map(NEXT, 6);
        g
    };
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_000E_0000_0010, 0x19_1000, 0];
    check("#PF", make, &Expected { frame, cr2: 0x19_1000, dr6: QUIET_DR6, level: 0 });
}

#[test]
fn gp_of_ring_3() {
    // HLT.
    let make = || Guest::fred().in_ring_3().with_bytes(&[0xF4]);
    let frame = [0, CODE, 0x2B, 0x1_0002, STACK, 0x0203_000D_0000_0023, 0, 0];
    check("#GP", make, &Expected { frame, cr2: 0, dr6: QUIET_DR6, level: 0 });
}

#[test]
fn db_beside_what_is_sticky() {
    let make = || {
        let mut g = Guest::fred().with_bytes(&[0x90]);
        g.cpu.rflags |= 0x100;
        g.cpu.dr6 = 0xFFFF_AFF0;
        g
    };
    let frame = [0, CODE + 1, 0x08, 0x102, STACK, 0x0203_0001_0000_0010, 0x4000, 0];
    check("#DB", make, &Expected { frame, cr2: 0, dr6: 0xFFFF_EFF0, level: 0 });
}

#[test]
fn nm_of_xfd() {
    let make = || {
        // TILEZERO tmm0.
        let mut g = Guest::fred().with_bytes(&[0xC4, 0xE2, 0x7B, 0x49, 0xC0]);
        g.cpu.xstate.tile_config[0] = 1;
        g.cpu.xstate.tile_config[16] = 64;
        g.cpu.xstate.tile_config[48] = 16;
        g.cpu.msrs.xfd = 1 << 18;
        g
    };
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0007_0000_0010, 0x4_0000, 0];
    check("#NM", make, &Expected { frame, cr2: 0, dr6: QUIET_DR6, level: 0 });
}

#[test]
fn nm_of_ts_beside_a_stale_xfd_err() {
    let make = || {
        // FNINIT.
        let mut g = Guest::fred().with_bytes(&[0xDB, 0xE3]);
        g.cpu.cr0 |= 8;
        (g.cpu.msrs.xfd, g.cpu.msrs.xfd_err) = (1 << 18, 1 << 18);
        g
    };
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0007_0000_0010, 0, 0];
    check("#NM of CR0.TS", make, &Expected { frame, cr2: 0, dr6: QUIET_DR6, level: 0 });
}

#[test]
fn int1_int3_and_int_n() {
    for (name, bytes, ss) in [
        ("INT1", [0xF1, 0x90], 0x1205_0001_0000_0010),
        ("INT3", [0xCC, 0x90], 0x1206_0003_0000_0010),
        ("INT 14", [0xCD, 14], 0x2204_000E_0002_0010),
    ] {
        let length = ss >> 60;
        let frame = [0, CODE + length, 0x08, 2, STACK, ss, 0, 0];
        let expected = Expected { frame, cr2: 0, dr6: QUIET_DR6, level: 0 };
        check(name, || Guest::fred().with_bytes(&bytes), &expected);
    }
}

#[test]
fn a_nested_pf_takes_the_place_of_ud() {
    let make = || {
        let mut g = Guest::fred().in_ring_3().with_bytes(&[0x0F, 0x0B]);
        // The page under IA32_FRED_RSP0; #PF is on level 2.
        g.map(0xB000, 6);
        g.cpu.msrs.fred.stklvls = 2 << 28;
        g
    };
    let frame = [2, CODE, 0x2B, 0x1_0002, STACK, 0x0603_000E_0000_0023, 0xBFF8, 0];
    check("#PF at #UD's push", make, &Expected { frame, cr2: 0xBFF8, dr6: QUIET_DR6, level: 2 });
}

#[test]
fn a_pf_that_meets_a_pf_is_a_double_fault() {
    let make = || {
        let mut g = Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
        g.map(NEXT, 6);
        g.map(STACK - 0x1000, 6);
        g.cpu.msrs.fred.stklvls = 1 << 16;
        g
    };
    // CR2 is the second one's.
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0008_0000_0010, 0, 0];
    check("#DF", make, &Expected { frame, cr2: STACK - 8, dr6: QUIET_DR6, level: 1 });
}

#[test]
fn a_fault_that_meets_a_double_fault_shuts_down() {
    for behaviour in BITMAPS {
        let mut g = Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
        g.map(NEXT, 6);
        g.map(STACK - 0x1000, 6);
        assert_eq!(
            vm(g, behaviour).run(RunMode::Normal),
            Ok(Exit::Shutdown),
            "{:#x}",
            (behaviour.intercepts)(0)
        );
    }
}

#[test]
fn through_the_idt_a_missing_gate_is_np() {
    let make = || {
        let mut g = Guest::idt().with_bytes(&[0x0F, 0x0B]);
        // #UD's gate is not present.
        g.put(crate::guest::IDT + 6 * 16, 0x0000_0E00_0008_8060);
        g
    };
    for behaviour in BITMAPS {
        let mut vm = vm(make(), behaviour);
        run_to_halt(&mut vm);
        let frame = top(&vm);
        // #NP's handler; its error code names gate 6, external.
        assert_eq!(
            (vm.processor.rip, frame[0], frame[1]),
            (0x80B1, 0x33, CODE),
            "{:#x}",
            (behaviour.intercepts)(0)
        );
    }
}

#[test]
fn an_interrupt_whose_delivery_meets_a_pf_has_been_taken() {
    for behaviour in BITMAPS {
        let mut g = Guest::fred().in_ring_3().with_bytes(&[0x90]);
        g.map(0xB000, 6);
        g.cpu.msrs.fred.stklvls = 1 << 28;
        let mut vm = vm(g, behaviour);
        vm.interrupt(0x40).unwrap();
        run_to_halt(&mut vm);
        let at = (behaviour.intercepts)(0);
        assert_eq!(top(&vm)[5], 0x0603_000E_0000_0023, "{at:#x}");
        assert_eq!((vm.queue.interrupt, vm.queue.exception), (None, None), "{at:#x}");
    }
}

#[test]
fn the_usual_ones() {
    // #DB, #UD, #AC, #MC, and #NM while IA32_XFD is not 0.
    assert_eq!((usual(0), usual(1 << 18)), (0x6_0042, 0x6_00C2));
}

#[test]
fn int1_is_retyped_where_db_is_intercepted() {
    let run = |behaviour| {
        let mut vm = vm(Guest::fred().with_bytes(&[0xF1]), behaviour);
        run_to_halt(&mut vm);
        top(&vm)[5]
    };
    assert_eq!(run(&INT1_RETYPED), 0x0203_0001_0000_0010, "type 3, no length");
    assert_eq!(run(intercepting!(INT1_RETYPED, usual(0) & !(1 << 1))), 0x1205_0001_0000_0010);
    assert_eq!(run(by_name("intercept-nothing").unwrap()), 0x1205_0001_0000_0010);
}

/// Whether the processor or the hypervisor delivers a #DB: IA32_DEBUGCTL.BTF and DR7.GD are clear in its
/// handler, and re-injection keeps what was written meanwhile.
#[test]
fn a_debug_handler_finds_btf_and_gd_clear() {
    for behaviour in BITMAPS {
        let at = format!("{} {:#x}", behaviour.name, (behaviour.intercepts)(0));
        for refused in [None, Some(0)] {
            // NOP; JMP +0; NOP. GD stays set: nothing touches a debug register.
            let mut g = Guest::fred().with_bytes(&[0x90, 0xEB, 0, 0x90]);
            (g.cpu.rflags, g.cpu.dr7, g.cpu.msrs.debugctl) = (0x102, 0x2400, 2);
            let mut vm = vm(g, behaviour);
            vm.memory.refuse_access(refused);
            let mut left = (0, 0x400);
            if refused.is_some() {
                assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })), "{at}");
                left = (2, 0x2400);
                assert_eq!((vm.processor.msrs.debugctl, vm.processor.dr7), (0, 0x400), "at the stop, {at}");
                (vm.processor.msrs.debugctl, vm.processor.dr7) = left;
            }
            run_to_halt(&mut vm);
            assert_eq!((top(&vm)[1], top(&vm)[6]), (CODE + 3, 0x4000), "{at}");
            assert_eq!((vm.processor.msrs.debugctl, vm.processor.dr7), left, "{at}");
        }
    }
}

#[test]
fn an_intercepted_event_keeps_its_data_when_it_is_injected() {
    // The queue itself, before the entry: the payload is the event data.
    let mut g = Guest::fred().with_bytes(&[0xA1, 0, 0x10, 0x19, 0, 0, 0, 0, 0]);
    g.map(NEXT, 6);
    let mut vm = vm(g, by_name("intercept-everything").unwrap());
    vm.memory.block(STACK - 64);
    assert!(matches!(vm.run(RunMode::Normal), Ok(Exit::Fault { .. })));
    let held = vm.queue.exception.unwrap();
    assert_eq!((held.event(), held.data), (Event::exception(14), Some(DATA + 0x1000)));
    vm.memory.unblock(STACK - 64);
    run_to_halt(&mut vm);
    assert_eq!(top(&vm)[6], 0x19_1000);
}
