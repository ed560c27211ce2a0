//! The shape of `kvm_vcpu_events` belongs to the behaviour.

use super::{Guest, named, vm};
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_vcpu_events};
use model::hypervisor::behaviour::all;
use model::hypervisor::events::InvalidEvents;
use vm::overlay::{VALID_EVENT_DATA, VALID_NESTED};
use vm::{Exit, Registers, RunMode, Vcpu};

/// Flags 0x40 and 0x80 of the extended structure: who accepts them, and who returns EINVAL.
#[test]
fn flags_that_the_structure_does_not_have_are_refused() {
    assert_eq!((VALID_NESTED, VALID_EVENT_DATA), (0x40, 0x80));
    for (name, nested, event_data) in [
        ("payload-reuse", true, false),
        ("uapi-event-data", true, true),
        ("v9", true, false),
        ("v9-nested-off", false, false),
        ("kernel-only-event-data", true, false),
        ("stock", false, false),
    ] {
        for (flag, taken) in [(0x40, nested), (0x80, event_data)] {
            let mut vm = named(Guest::fred(), name);
            let mut events = kvm_vcpu_events { flags: flag, ..Default::default() };
            (events.exception.injected, events.exception.nr) = (1, 14);
            let refused = Err(InvalidEvents::Flags(flag));
            assert_eq!(vm.check_events(&events), if taken { Ok(()) } else { refused }, "{name}, {flag:#x}");
            assert_eq!(vm.set_events(&events).is_ok(), taken, "{name}, {flag:#x}");
            assert_eq!(vm.queue.exception.is_some(), taken, "{name}: all or nothing");
        }
    }
}

/// The payload's fields are valid with their flag only, which needs the capability: without it an injected
/// exception's event data has no field, except in a uAPI with a separate one.
#[test]
fn without_the_payload_flag_no_event_data_is_taken() {
    for (name, flags, data) in [
        ("payload-reuse", KVM_VCPUEVENT_VALID_PAYLOAD, Some(0x77)),
        ("payload-reuse", 0, None),
        ("payload-reuse-literal", KVM_VCPUEVENT_VALID_PAYLOAD, None),
        ("v9", KVM_VCPUEVENT_VALID_PAYLOAD, None),
        ("uapi-event-data", VALID_EVENT_DATA, Some(0)),
        ("uapi-event-data", 0, Some(0)),
    ] {
        let mut vm = named(Guest::fred(), name);
        let mut events = kvm_vcpu_events { flags, exception_payload: 0x77, ..Default::default() };
        (events.exception.injected, events.exception.nr, events.exception_has_payload) = (1, 14, 1);
        assert_eq!(vm.set_events(&events), Ok(()));
        assert_eq!(vm.queue.exception.unwrap().data, data, "{name}, {flags:#x}");
    }
}

/// SET accepts what GET of the same behaviour returns.
#[test]
fn every_behaviour_takes_its_own_structure() {
    for behaviour in all() {
        let mut g = Guest::fred().with_bytes(&[0x0F, 0x0B]).without(crate::guest::STACK - 0x1000);
        g.cpu.msrs.fred.stklvls = 1 << 28;
        let mut source = vm(g, behaviour);
        // The nested #PF's push.
        source.memory.block(0xD000 - 64);
        assert!(matches!(source.run(RunMode::Normal), Ok(Exit::Fault { .. })));
        let events = source.events().unwrap();
        let mut target = vm(Guest::fred(), behaviour);
        assert_eq!(target.set_events(&events), Ok(()), "{}", behaviour.name);
    }
}
