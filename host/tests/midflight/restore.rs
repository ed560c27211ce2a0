//! Every register is dirtied, saved, restored into a fresh VM, read back and compared: on the model
//! and on this host's KVM, which is skipped with a printed reason where there is none.

use crate::dirty_guest::{DIRTY_MSRS, RFLAGS, config, dirty, with_pending_page_fault};
use crate::this_host;
use model::ModelMachine;
use model::hypervisor::behaviour::{CORRECT, by_name};
use vm::Machine;
use vm::state::field::Register;
use vm::state::{self, Loss, ORDER, Step, VmState, restore_and_check, restore_in};
use vm::{Value, Vcpu};

/// The model, and KVM where there is one.
fn machines() -> Vec<Box<dyn Machine>> {
    let mut machines: Vec<Box<dyn Machine>> = vec![Box::new(ModelMachine::new(&CORRECT))];
    if let Some(kvm) = this_host::kvm() {
        machines.push(Box::new(kvm));
    }
    machines
}

/// A VM of `machine`, with everything in it dirty and `change` made to that, and what is saved of it.
fn saved(machine: &dyn Machine, payload: bool, change: impl FnOnce(&mut dyn Vcpu)) -> VmState {
    let config = config(machine, payload);
    let mut source = machine.create(&config).unwrap();
    dirty(source.as_mut(), machine);
    change(source.as_mut());
    state::save(source.as_mut(), machine, &config).unwrap()
}

fn no_findings(name: &str, findings: &[vm::Difference]) {
    assert!(findings.is_empty(), "{name}: {findings:#?}");
}

#[test]
fn every_register_survives_a_save_and_a_restore() {
    for machine in machines() {
        for payload in [true, false] {
            let config = config(machine.as_ref(), payload);
            let mut fresh = machine.create(&config).unwrap();
            let clean = state::save(fresh.as_mut(), machine.as_ref(), &config).unwrap();
            let saved = saved(machine.as_ref(), payload, |_| ());
            assert_dirty(machine.as_ref(), &clean, &saved);
            let mut restored = restore_and_check(machine.as_ref(), &saved).unwrap();
            no_findings(machine.name(), &restored.findings);
            assert_eq!(restored.losses, []);
            // Saved again, it is the same guest: by another comparison than the one under test.
            let again = state::save(restored.vcpu.as_mut(), machine.as_ref(), &config).unwrap();
            assert_eq!(again.regs, saved.regs, "{}", machine.name());
            assert_eq!(again.sregs, saved.sregs, "{}", machine.name());
            assert_eq!(again.debug_regs, saved.debug_regs, "{}", machine.name());
            assert_eq!(again.memory.pages, saved.memory.pages, "{}", machine.name());
        }
    }
}

/// Whether there was anything to lose: what the dirtying did must have arrived.
fn assert_dirty(machine: &dyn Machine, clean: &VmState, saved: &VmState) {
    let name = machine.name();
    assert!(saved.regs.rax != clean.regs.rax && saved.regs.r15 != clean.regs.r15, "{name}");
    assert_eq!(saved.regs.rflags, RFLAGS, "{name}");
    assert_eq!((saved.sregs.cr2, saved.sregs.cr8), (0xFFFF_8000_1234_5678, 5), "{name}");
    assert_eq!(saved.debug_regs.db, [0x1111, 0x2222, 0x3333, 0x4444], "{name}");
    assert_eq!(saved.debug_regs.dr6 & 0xF, 0b0101, "{name}: {:#x}", saved.debug_regs.dr6);
    assert_ne!(saved.xsave.0[..512], clean.xsave.0[..512], "{name}");
    let value =
        |state: &VmState, index: u32| state.msrs.iter().find(|msr| msr.index == index).map(|msr| msr.value);
    for (index, dirty) in DIRTY_MSRS {
        if machine.msr_indices().contains(&index) {
            assert_eq!(value(saved, index), Some(dirty), "{name}: MSR {index:#x}");
        }
    }
}

#[test]
fn a_pending_exception_survives_with_the_capability() {
    for machine in machines() {
        let saved = saved(machine.as_ref(), true, with_pending_page_fault);
        assert_eq!((saved.events.exception.pending, saved.events.exception_payload), (1, 0x1234_5000));
        no_findings(machine.name(), &restore_and_check(machine.as_ref(), &saved).unwrap().findings);
    }
}

#[test]
fn events_before_registers_are_noticed_by_name() {
    for machine in machines() {
        let saved = saved(machine.as_ref(), true, with_pending_page_fault);
        let mut order = ORDER;
        let registers = order.iter().position(|step| *step == Step::Regs).unwrap();
        order.swap(registers, ORDER.len() - 1);
        assert_eq!(order[ORDER.len() - 1], Step::Regs);
        let mut restored = restore_in(machine.as_ref(), &saved, &order).unwrap();
        restored.check(&saved).unwrap();
        let first = restored.findings.first().unwrap();
        assert_eq!(
            (first.field, &first.expected, &first.got),
            (Register::ExceptionPending.into(), &Value::Number(1), &Value::Number(0))
        );
    }
}

#[test]
fn every_step_left_out_is_noticed_by_name() {
    let named = [
        (Step::Memory, "memory page 0x3000"),
        (Step::Sregs, "CR3"),
        (Step::Xcrs, "XCR0"),
        (Step::Xsave, "XMM registers"),
        (Step::DebugRegs, "DR1"),
        (Step::Msrs, "IA32_LSTAR"),
        (Step::MpState, "MP state"),
        (Step::Regs, "RFLAGS"),
        (Step::Events, "interrupt shadow"),
    ];
    for machine in machines() {
        let (name, config) = (machine.name(), config(machine.as_ref(), true));
        let mut source = machine.create(&config).unwrap();
        dirty(source.as_mut(), machine.as_ref());
        let halted = kvm_bindings::kvm_mp_state { mp_state: kvm_bindings::KVM_MP_STATE_HALTED };
        let can_halt = source.set_mp_state(halted).is_ok();
        if !can_halt {
            eprintln!("skipped on {name}: without a LAPIC in the kernel no MP state but runnable");
        }
        // Not through `save`: KVM_RUN is not for a guest like this.
        let saved = state::read(source.as_mut(), machine.msr_indices(), &config).unwrap();
        no_findings(name, &restore_and_check(machine.as_ref(), &saved).unwrap().findings);
        for (left_out, field) in named {
            let absent = left_out == Step::Xcrs && saved.xcrs.is_none();
            if absent || left_out == Step::MpState && !can_halt {
                continue;
            }
            let order: Vec<Step> = ORDER.into_iter().filter(|step| *step != left_out).collect();
            // A refusal of a later step is noticed as well.
            let Ok(mut restored) = restore_in(machine.as_ref(), &saved, &order) else { continue };
            restored.check(&saved).unwrap();
            let fields: Vec<_> = restored.findings.iter().map(|found| found.field.to_string()).collect();
            let noticed = fields.iter().any(|found| found == field);
            assert!(noticed, "{name} without {left_out:?}: {fields:?}");
        }
    }
}

#[test]
fn a_machine_without_the_nested_bit_names_the_loss() {
    let with = ModelMachine::new(&CORRECT);
    let saved = saved(&with, true, |source| {
        let mut events = source.events().unwrap();
        (events.exception.injected, events.exception.nr) = (1, 14);
        vm::overlay::set_nested(&mut events, true);
        source.set_events(&events).unwrap();
    });
    no_findings("model", &restore_and_check(&with, &saved).unwrap().findings);
    let Some(without) = this_host::kvm() else { return };
    let config = config(&without, true);
    let mut fresh = without.create(&config).unwrap();
    if fresh.set_events(&saved.events).is_ok() {
        eprintln!("skipped: this KVM has the nested bit");
        return;
    }
    let mut state = state::read(fresh.as_mut(), without.msr_indices(), &config).unwrap();
    state.events = saved.events;
    let restored = restore_and_check(&without, &state).unwrap();
    assert_eq!(restored.losses, [Loss::NestedBitInNew]);
}

#[test]
fn a_behaviour_that_drops_the_payload_is_found_by_name() {
    let machine = ModelMachine::new(by_name("payload-reuse-literal").unwrap());
    let mut saved = saved(&machine, true, |source| {
        let mut events = source.events().unwrap();
        (events.exception.injected, events.exception.nr) = (1, 14);
        source.set_events(&events).unwrap();
    });
    (saved.events.exception_has_payload, saved.events.exception_payload) = (1, 0x1234_5000);
    let findings = restore_and_check(&machine, &saved).unwrap().findings;
    let fields: Vec<_> = findings.iter().map(|found| found.field.to_string()).collect();
    assert!(fields.iter().any(|field| field.starts_with("exception")), "{fields:?}");
}

#[test]
fn a_changed_register_is_found_whatever_it_is() {
    let machine = ModelMachine::new(&CORRECT);
    let saved = saved(&machine, true, |_| ());
    let mut restored = restore_and_check(&machine, &saved).unwrap();
    let vcpu: &mut dyn Vcpu = restored.vcpu.as_mut();
    let mut debug = vcpu.debug_regs().unwrap();
    debug.dr6 ^= 1;
    vcpu.set_debug_regs(&debug).unwrap();
    restored.check(&saved).unwrap();
    let [only] = restored.findings.as_slice() else { panic!("{:?}", restored.findings) };
    assert_eq!(
        format!("{}: {} was saved, {} read back", only.field, only.expected, only.got),
        "DR6: 0xffff2ff5 was saved, 0xffff2ff4 read back"
    );
}
