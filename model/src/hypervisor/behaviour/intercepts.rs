//! Which exceptions are intercepted.
//!
//! KVM's exception bitmap depends on the host: on debugging, paging and XFD. An intercepted exception
//! reaches the guest through the queue, any other one directly. The guest must not see a difference.

use super::correct::{Behaviour, CORRECT};
use super::flaws::INT1_RETYPED;

/// One behaviour for each extreme.
pub const ALL: [&Behaviour; 2] = [&INTERCEPT_EVERYTHING, &INTERCEPT_NOTHING];

/// Every exception goes through the queue.
pub const INTERCEPT_EVERYTHING: Behaviour = Behaviour {
    name: "intercept-everything",
    summary: "payload reuse with every exception intercepted, as while the host debugs the guest and shadows its \
              page tables",
    origin: "vmx_update_exception_bitmap",
    intercepts: |_| u32::MAX,
    ..CORRECT
};

/// No exception goes through the queue, so none can be retyped.
pub const INTERCEPT_NOTHING: Behaviour = Behaviour {
    name: "intercept-nothing",
    summary: "payload reuse with no exception intercepted: INT1 keeps its type although `int1-retyped` would \
              queue it as a #DB",
    origin: "review of the FRED series: its INT1 test passes with #DB interception off",
    intercepts: |_| 0,
    intercept: INT1_RETYPED.intercept,
    ..CORRECT
};
