//! The second-stage page tables of a fresh VM are empty, and are filled without an exit to user space; and
//! what user space does to them.

use super::event_data::{ADDRESS, SECOND_STACK, event_data, go_on};
use super::{Guest, named, page_fault, run_to_halt, top};
use crate::guest::{CODE, HANDLERS, IDT, NEXT, PD, PDPT, PML4, STACK};
use model::hypervisor::Vm;
use vm::{DirtyRing, Exit, GuestMemory, PageAccess, RunMode, Vcpu};

/// A guest that raises a #PF, with nothing mapped yet.
fn fresh(behaviour: &str) -> Vm {
    let mut g = page_fault();
    // Accessed and dirty bits are set already: no walk writes to the tables.
    for table in [PML4, PDPT, PD] {
        g.put(table, g.get(table) | 0x60);
    }
    for page in (0..0x20_0000).step_by(0x1000).filter(|page| *page != NEXT) {
        g.map(page, 0x67);
    }
    let mut vm = named(g, behaviour);
    vm.memory.zap_all();
    vm
}

fn map_all(vm: &mut Vm) {
    for page in (0..0x20_0000).step_by(0x1000) {
        vm.memory.map(page);
    }
}

/// Whether the frame's page and the code's are mapped.
fn resident(vm: &Vm) -> (bool, bool) {
    (vm.is_resident(STACK - 64).unwrap(), vm.is_resident(CODE).unwrap())
}

#[test]
fn a_delivery_that_meets_an_empty_second_stage_is_injected_again() {
    for (behaviour, data) in [("payload-reuse", ADDRESS), ("v9", ADDRESS), ("lost-on-requeue", 0)] {
        let mut vm = fresh(behaviour);
        assert_eq!(resident(&vm), (false, false));
        // One KVM_RUN, one frame.
        run_to_halt(&mut vm);
        assert_eq!((vm.processor.gpr[4], event_data(&vm)), (STACK - 64, data), "{behaviour}");
        assert_eq!(resident(&vm), (true, true));
    }
}

/// v9's stale event data shows without any stop, but only in a fresh VM.
#[test]
fn stale_event_data_shows_in_a_fresh_vm() {
    for (is_fresh, left) in [(true, ADDRESS), (false, 0)] {
        let mut vm = fresh("v9");
        if !is_fresh {
            map_all(&mut vm);
        }
        run_to_halt(&mut vm);
        go_on(&mut vm, &[0x0F, 0x0B]);
        run_to_halt(&mut vm);
        assert_eq!((top(&vm)[5], event_data(&vm)), (0x0203_0006_0000_0010, left), "#UD, fresh: {is_fresh}");
    }
}

/// PROT_NONE unmaps a page, and a change of memory slots every page. A page is mapped again by the guest's next
/// access, not when access is allowed again.
#[test]
fn what_refuses_a_page_unmaps_it_and_a_slot_unmaps_all() {
    for (access, others_stay) in [
        (PageAccess::Blocked, true),
        (PageAccess::Userfault, true),
        (PageAccess::Hole, false),
        (PageAccess::ReadOnly, false),
    ] {
        let mut vm = fresh("payload-reuse");
        run_to_halt(&mut vm);
        vm.set_page_access(STACK - 64, access).unwrap();
        assert_eq!(resident(&vm), (false, others_stay), "{access:?}");
        vm.memory.map(CODE);
        vm.set_page_access(STACK - 64, PageAccess::Open).unwrap();
        assert_eq!(resident(&vm), (false, others_stay), "{access:?}");
    }
}

/// INT n on a stack that was in use before: under v9 its event data shows whether it was injected.
#[test]
fn only_a_slot_reaches_the_stack_of_another_event() {
    for (access, left) in [
        (PageAccess::Blocked, 0),
        (PageAccess::Userfault, 0),
        (PageAccess::Hole, ADDRESS),
        (PageAccess::ReadOnly, ADDRESS),
    ] {
        let mut vm = fresh("v9");
        vm.memory.map(SECOND_STACK - 64);
        vm.set_page_access(STACK - 64, access).unwrap();
        vm.memory.map(SECOND_STACK - 64);
        assert_ne!(vm.run(RunMode::Normal), Ok(Exit::Halt), "{access:?}");
        vm.set_page_access(STACK - 64, PageAccess::Open).unwrap();
        run_to_halt(&mut vm);
        // The instructions are on a page beside the stack's.
        go_on(&mut vm, &[0xCD, 0x1F, 0xF4]);
        run_to_halt(&mut vm);
        assert_eq!((top(&vm)[5], event_data(&vm)), (0x2204_001F_0002_0010, left), "{access:?}");
    }
}

/// A read of a page in a read-only slot is no exit to user space: here of the IDT, by a delivery.
#[test]
fn a_read_only_page_that_is_missing_can_be_read() {
    let mut vm = named(Guest::idt().with_bytes(&[0x0F, 0x0B]), "payload-reuse");
    vm.set_page_access(IDT, PageAccess::ReadOnly).unwrap();
    assert!(!vm.is_resident(IDT).unwrap());
    run_to_halt(&mut vm);
    assert_eq!((vm.processor.rip, vm.is_resident(IDT).unwrap()), (HANDLERS + 6 * 16 + 1, true));
}

/// The n-th access of a delivery is the same with and without misses on the way.
#[test]
fn misses_do_not_count_as_accesses() {
    let accesses = |mapped: bool| {
        (0..)
            .find(|n| {
                let mut vm = fresh("payload-reuse");
                if mapped {
                    map_all(&mut vm);
                }
                vm.memory.refuse_access(Some(*n));
                let why = vm.run(RunMode::Normal);
                if why != Ok(Exit::Halt) {
                    assert!(matches!(why, Ok(Exit::Fault { .. })), "{why:?}");
                    run_to_halt(&mut vm);
                }
                assert_eq!(event_data(&vm), ADDRESS);
                why == Ok(Exit::Halt)
            })
            .unwrap()
    };
    let all = accesses(true);
    assert!(all > 8, "{all}");
    assert_eq!(accesses(false), all);
}

/// Page-modification logging: a write that is logged is no exit, and a page that is mapped for a write
/// is logged by that.
#[test]
fn the_dirty_ring_is_filled_without_an_exit() {
    let mut vm = fresh("v9");
    vm.log_dirty_pages();
    run_to_halt(&mut vm);
    assert_eq!(vm.dirty_pages(), 1, "the frame's page");
    vm.harvest(u32::MAX).unwrap();
    assert_eq!(vm.dirty_pages(), 0);
    // The stack of INT n is mapped, and its next write is logged.
    vm.memory.map(SECOND_STACK - 64);
    go_on(&mut vm, &[0xCD, 0x1F, 0xF4]);
    vm.restart_log().unwrap();
    run_to_halt(&mut vm);
    assert_eq!((top(&vm)[5], event_data(&vm)), (0x2204_001F_0002_0010, 0), "it was not injected");
    assert_eq!(vm.dirty_pages(), 1);
}
