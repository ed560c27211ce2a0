//! The same save and restore above uAPIs of different shapes: what one machine's `kvm_vcpu_events`
//! carries, another's refuses, and never takes half of.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use midflight::machine::Machine;
use midflight::machine::model::ModelMachine;
use midflight::state::{self, VmState};
use midflight::vcpu::{VcpuError, VmConfig, VmKind};
use model::hypervisor::behaviour::by_name;

fn machine(behaviour: &str) -> ModelMachine {
    ModelMachine::new(by_name(behaviour).unwrap())
}

/// A VM of `behaviour` whose queue holds a #PF in mid-delivery, nested, with event data, as far as
/// its uAPI can say so.
fn saved(behaviour: &str, nested: bool) -> VmState {
    let machine = machine(behaviour);
    let config = VmConfig {
        memory_size: 0x10_0000,
        cpuid: machine.cpuid().to_vec(),
        exception_payload: true,
        kind: VmKind::Plain,
    };
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

fn restored(state: &VmState, behaviour: &str) -> Result<VmState, VcpuError> {
    let machine = machine(behaviour);
    let mut vcpu = state::restore(&machine, state)?;
    state::save(vcpu.as_mut(), &machine, &state.config)
}

#[test]
fn event_data_of_its_own_goes_to_nobody_without_the_field() {
    let state = saved("uapi-event-data", false);
    assert_eq!((state.events.flags & 0xC0, state.events.reserved[3]), (0x80, 0x77));
    assert_eq!(restored(&state, "uapi-event-data").unwrap().events, state.events);
    for other in ["stock", "v9", "payload-reuse"] {
        let error = restored(&state, other).unwrap_err();
        assert!(matches!(error, VcpuError::Call { call: "KVM_SET_VCPU_EVENTS", errno: 22, .. }), "{error:?}");
    }
}

#[test]
fn the_nested_bit_goes_to_every_kernel_with_the_series() {
    let state = saved("v9", true);
    for other in ["v9", "payload-reuse", "kernel-only-event-data"] {
        assert_eq!(restored(&state, other).unwrap().events.reserved[25], 1, "{other}");
    }
    let error = restored(&state, "stock").unwrap_err();
    assert!(matches!(error, VcpuError::Call { errno: 22, .. }), "{error:?}");
}

#[test]
fn what_a_released_kernel_saves_goes_everywhere() {
    let state = saved("stock", false);
    for other in ["stock", "v9", "payload-reuse", "uapi-event-data"] {
        let events = restored(&state, other).unwrap().events;
        assert_eq!(
            (events.exception.injected, events.exception.nr, events.flags & 0xC0),
            (1, 14, if other == "uapi-event-data" { 0x80 } else { 0 }),
            "{other}"
        );
    }
}
