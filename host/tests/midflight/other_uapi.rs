//! The same save and restore above uAPIs of different shapes: what one machine's `kvm_vcpu_events`
//! carries and another's refuses is a loss with a name, and nothing else is lost with it.

use model::ModelMachine;
use model::hypervisor::behaviour::by_name;
use vm::state::{self, Loss, VmState};
use vm::{Machine, VmConfig};

fn machine(behaviour: &str) -> ModelMachine {
    ModelMachine::new(by_name(behaviour).unwrap())
}

/// A VM of `behaviour` whose queue holds a #PF in mid-delivery, nested, with event data, as far as
/// its uAPI can say so.
fn saved(behaviour: &str, nested: bool) -> VmState {
    let machine = machine(behaviour);
    let config = VmConfig::plain(&machine, 0x10_0000, true);
    let mut vcpu = machine.create(&config).unwrap();
    let mut events = vcpu.events().unwrap();
    (events.exception.injected, events.exception.nr, events.exception.has_error_code) = (1, 14, 1);
    if nested {
        // Flag 0x40 and the byte at offset 54 of the structure, 25 of its reserved bytes.
        events.flags |= 0x40;
        events.reserved[25] = 1;
    }
    if behaviour == "uapi-event-data" {
        events.flags |= 0x80;
        events.reserved[3] = 0x77;
    }
    vcpu.set_events(&events).unwrap();
    state::save(vcpu.as_mut(), &machine, &config).unwrap()
}

/// What the machine of `behaviour` has of a state that was restored there, and what it cannot hold.
fn restored(state: &VmState, behaviour: &str) -> (VmState, Vec<Loss>) {
    let machine = machine(behaviour);
    let mut restored = state::restore_and_check(&machine, state).unwrap();
    let again = state::save(restored.vcpu.as_mut(), &machine, &state.config).unwrap();
    (again, restored.losses)
}

/// Of flags 0x40, the nested bit, and 0x80, event data, those that are set.
fn extensions(state: &VmState) -> u32 {
    state.events.flags & 0xC0
}

#[test]
fn event_data_of_its_own_goes_to_nobody_without_the_field() {
    let state = saved("uapi-event-data", false);
    assert_eq!((extensions(&state), state.events.reserved[3]), (0xC0, 0x77));
    let (same, losses) = restored(&state, "uapi-event-data");
    assert_eq!((same.events, losses), (state.events, Vec::<Loss>::new()));
    for (other, flags) in [("stock", 0), ("v9", 0x40), ("payload-reuse", 0x40)] {
        let (without, losses) = restored(&state, other);
        assert_eq!((extensions(&without), without.events.reserved[3]), (flags, 0), "{other}");
        assert_eq!(losses, [Loss::EventDataInNew], "{other}");
    }
}

#[test]
fn the_nested_bit_goes_to_every_kernel_with_the_series() {
    let state = saved("v9", true);
    for other in ["v9", "payload-reuse", "kernel-only-event-data"] {
        let (with, losses) = restored(&state, other);
        assert_eq!((with.events.reserved[25], losses), (1, Vec::new()), "{other}");
    }
    // It is kept where another field is refused.
    let (with, losses) = restored(&saved("uapi-event-data", true), "v9");
    assert_eq!((extensions(&with), with.events.reserved[25]), (0x40, 1));
    assert_eq!(losses, [Loss::EventDataInNew]);
    for other in ["stock", "v9-nested-off"] {
        let (without, losses) = restored(&state, other);
        assert_eq!((extensions(&without), without.events.reserved[25]), (0, 0), "{other}");
        assert_eq!(losses, [Loss::NestedBitInNew], "{other}");
    }
}

/// What decides which capability is enabled on KVM, on machines of which it is known.
#[test]
fn whether_the_nested_bit_is_carried_is_found_by_trying() {
    let carrying = ["payload-reuse", "v9", "uapi-event-data"].map(|behaviour| (behaviour, true));
    let others = ["v9-nested-off", "stock"].map(|behaviour| (behaviour, false));
    for (behaviour, carried) in carrying.into_iter().chain(others) {
        for exception_payload in [true, false] {
            let machine = machine(behaviour);
            let mut vcpu = machine.create(&VmConfig::plain(&machine, 0x1000, exception_payload)).unwrap();
            assert_eq!(state::carries_nested_bit(vcpu.as_mut()), Ok(carried), "{behaviour}");
        }
    }
}

/// The source cannot say that an exception is nested: a loss, pending or injected, under FRED.
#[test]
fn a_source_without_the_nested_bit_loses_it() {
    for (behaviour, lost) in [("v9", false), ("v9-nested-off", true)] {
        let mut state = saved(behaviour, false);
        let names = |state: &VmState| state::losses(state, true).contains(&Loss::NestedBit);
        assert!(!names(&state), "{behaviour}: not under the IDT");
        state.sregs.cr4 |= 1 << 32;
        assert_eq!(names(&state), lost, "{behaviour}");
        (state.events.exception.injected, state.events.exception.pending) = (0, 1);
        assert_eq!(names(&state), lost, "{behaviour}");
        state.events.exception.pending = 0;
        assert!(!names(&state), "{behaviour}");
    }
}

#[test]
fn what_a_released_kernel_saves_goes_everywhere() {
    let state = saved("stock", false);
    for (other, flags) in [("stock", 0), ("v9", 0x40), ("payload-reuse", 0x40), ("uapi-event-data", 0xC0)] {
        let (with, losses) = restored(&state, other);
        let exception = with.events.exception;
        assert_eq!((exception.injected, exception.nr, extensions(&with)), (1, 14, flags), "{other}");
        assert_eq!((with.events.reserved[25], losses), (0, Vec::new()), "{other}");
    }
}
