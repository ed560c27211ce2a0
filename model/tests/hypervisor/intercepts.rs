//! Which exceptions are intercepted makes no difference to the guest: the same frame and the same
//! registers for every exception bitmap, undisturbed and stopped at each access of the delivery.

use super::{Guest, go_on_at_push, named, page_fault, run_to_halt, single_step, stop_at_push, top, vm};
use crate::guest::{CODE, DATA, DB, NM, PF, STACK, UD};
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

const QUIET_DR6: u64 = 0xFFFF_0FF0;

/// A guest in ring 3, where #PF is on stack level `level` and the page under IA32_FRED_RSP0 is not present.
fn in_ring_3_without_stack(bytes: &[u8], level: u64) -> Guest {
    let g = Guest::fred().in_ring_3().with_bytes(bytes).without(0xB000);
    g.but(|g| g.cpu.msrs.fred.stklvls = level << 28)
}

/// TILEZERO TMM0, which IA32_XFD disables.
fn disabled_tile() -> Guest {
    Guest::fred().with_bytes(&[0xC4, 0xE2, 0x7B, 0x49, 0xC0]).but(|g| {
        g.cpu.xstate.tile_config[0] = 1;
        g.cpu.xstate.tile_config[16] = 64;
        g.cpu.xstate.tile_config[48] = 16;
        g.cpu.msrs.xfd = 1 << 18;
    })
}

/// FNINIT with CR0.TS, beside a stale IA32_XFD_ERR.
fn task_switched() -> Guest {
    Guest::fred().with_bytes(&[0xDB, 0xE3]).but(|g| {
        g.cpu.cr0 |= 8;
        (g.cpu.msrs.xfd, g.cpu.msrs.xfd_err) = (1 << 18, 1 << 18);
    })
}

/// The guest comes to this frame, CR2, DR6 and stack level with every exception bitmap, undisturbed and stopped
/// at each access.
fn check(name: &str, guest: &Guest, frame: [u64; 8], (cr2, dr6, level): (u64, u64, u64)) {
    for behaviour in BITMAPS {
        for refused in std::iter::once(None).chain((0..).map(Some)) {
            let mut vm = vm(guest.clone(), behaviour);
            vm.memory.refuse_access(refused);
            let mut why = vm.run(RunMode::Normal);
            let stopped = matches!(why, Ok(Exit::Fault { .. }));
            if stopped {
                why = vm.run(RunMode::Normal);
            }
            let at = format!("{name}: {} {:#x}, {refused:?}", behaviour.name, (behaviour.intercepts)(0));
            assert_eq!(why, Ok(Exit::Halt), "{at}");
            assert_eq!(top(&vm), frame, "{at}");
            let cpu = &vm.processor;
            assert_eq!((cpu.cr2, cpu.dr6, cpu.msrs.fred.config & 3), (cr2, dr6, level), "{at}");
            if refused.is_some() && !stopped {
                break;
            }
        }
    }
}

#[test]
fn every_exception_is_the_same_with_every_bitmap() {
    let quiet = (0, QUIET_DR6, 0);
    let with = |bytes: &[u8]| Guest::fred().with_bytes(bytes);
    let ud = with(&[0x0F, 0x0B]);
    check("#UD", &ud, [0, CODE, 0x08, 0x1_0002, STACK, UD, 0, 0], quiet);
    let pf = [0, CODE, 0x08, 0x1_0002, STACK, PF, 0x19_1000, 0];
    check("#PF", &page_fault(), pf, (0x19_1000, QUIET_DR6, 0));
    // HLT.
    let gp = [0, CODE, 0x2B, 0x1_0002, STACK, 0x0203_000D_0000_0023, 0, 0];
    check("#GP of ring 3", &with(&[0xF4]).in_ring_3(), gp, quiet);
    let sticky = single_step().but(|g| g.cpu.dr6 = 0xFFFF_AFF0);
    let db = [0, CODE + 1, 0x08, 0x102, STACK, DB, 0x4000, 0];
    check("#DB beside what is sticky", &sticky, db, (0, 0xFFFF_EFF0, 0));
    check("#NM", &disabled_tile(), [0, CODE, 0x08, 0x1_0002, STACK, NM, 0x4_0000, 0], quiet);
    check("#NM of CR0.TS", &task_switched(), [0, CODE, 0x08, 0x1_0002, STACK, NM, 0, 0], quiet);
    for (name, bytes, ss) in [
        ("INT1", [0xF1, 0x90], 0x1205_0001_0000_0010),
        ("INT3", [0xCC, 0x90], 0x1206_0003_0000_0010),
        ("INT 14", [0xCD, 14], 0x2204_000E_0002_0010),
    ] {
        check(name, &with(&bytes), [0, CODE + (ss >> 60), 0x08, 2, STACK, ss, 0, 0], quiet);
    }
}

#[test]
fn an_exception_in_a_delivery_is_the_same_with_every_bitmap() {
    let nested = in_ring_3_without_stack(&[0x0F, 0x0B], 2);
    let frame = [2, CODE, 0x2B, 0x1_0002, STACK, 0x0603_000E_0000_0023, 0xBFF8, 0];
    check("#PF at #UD's push", &nested, frame, (0xBFF8, QUIET_DR6, 2));
    // CR2 is the second one's.
    let twice = page_fault().without(STACK - 0x1000).but(|g| g.cpu.msrs.fred.stklvls = 1 << 16);
    let frame = [0, CODE, 0x08, 0x1_0002, STACK, 0x0203_0008_0000_0010, 0, 0];
    check("#DF", &twice, frame, (STACK - 8, QUIET_DR6, 1));
}

#[test]
fn a_fault_that_meets_a_double_fault_shuts_down() {
    for behaviour in BITMAPS {
        let mut vm = vm(page_fault().without(STACK - 0x1000), behaviour);
        assert_eq!(vm.run(RunMode::Normal), Ok(Exit::Shutdown), "{:#x}", (behaviour.intercepts)(0));
    }
}

#[test]
fn through_the_idt_a_missing_gate_is_np() {
    for behaviour in BITMAPS {
        let mut g = Guest::idt().with_bytes(&[0x0F, 0x0B]);
        // #UD's gate is not present.
        g.put(crate::guest::IDT + 6 * 16, 0x0000_0E00_0008_8060);
        let mut vm = vm(g, behaviour);
        run_to_halt(&mut vm);
        let got = (vm.processor.rip, top(&vm)[0], top(&vm)[1]);
        // #NP's handler; its error code names gate 6, external.
        assert_eq!(got, (0x80B1, 0x33, CODE), "{:#x}", (behaviour.intercepts)(0));
    }
}

#[test]
fn an_interrupt_whose_delivery_meets_a_pf_has_been_taken() {
    for behaviour in BITMAPS {
        let mut vm = vm(in_ring_3_without_stack(&[0x90], 1), behaviour);
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
    let mut vm = named(page_fault(), "intercept-everything");
    stop_at_push(&mut vm, STACK);
    let held = vm.queue.exception.unwrap();
    assert_eq!((held.event(), held.data), (Event::exception(14), Some(DATA + 0x1000)));
    go_on_at_push(&mut vm, STACK);
    assert_eq!(top(&vm)[6], 0x19_1000);
}
