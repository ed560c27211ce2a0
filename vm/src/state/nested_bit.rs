//! Whether a machine's `kvm_vcpu_events` carries the nested bit.

use crate::{Vcpu, VcpuError, overlay};
use fred::event::vector;

/// Sets an injected #PF, nested and not, and reads it back. The exception stays in the queue, so the VM is
/// of no further use.
///
/// # Errors
/// When KVM_GET_VCPU_EVENTS fails. That KVM_SET_VCPU_EVENTS refuses the flag is an answer.
pub fn carries_nested_bit(vcpu: &mut dyn Vcpu) -> Result<bool, VcpuError> {
    let mut events = vcpu.events()?;
    (events.exception.injected, events.exception.pending) = (1, 0);
    (events.exception.nr, events.exception.has_error_code) = (vector::PF, 1);
    for nested in [true, false] {
        overlay::set_nested(&mut events, nested);
        if vcpu.set_events(&events).is_err() {
            return Ok(false);
        }
        let back = vcpu.events()?;
        let exception = &back.exception;
        let kept = back.flags & overlay::VALID_NESTED != 0 && overlay::nested(&back) == nested;
        if !kept || exception.injected == 0 || exception.nr != vector::PF {
            return Ok(false);
        }
    }
    Ok(true)
}
