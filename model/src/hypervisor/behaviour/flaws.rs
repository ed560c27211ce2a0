//! One behaviour for each failure mode F1..F21 and F23; F24 is in [`injected`](super::injected). F22, nested
//! virtualization, is not modelled.

mod cancelled;
mod event_data;
mod state;

pub use cancelled::*;
pub use event_data::*;
pub use state::*;

use super::correct::Behaviour;

/// Every flaw, in the order of the failure modes.
pub const ALL: [&Behaviour; 36] = [
    &DATA_FROM_DR6,
    &INVERTED_POLARITY,
    &ENABLED_BREAKPOINT_BIT,
    &DATA_FROM_XFD_ERR,
    &NM_DATA_LOST,
    &DATA_FROM_CR2,
    &LOST_ON_REQUEUE,
    &LOST_ON_CANCEL,
    &LOST_ON_SAVE,
    &SIDE_EFFECTS_REPEATED,
    &STALE_EVENT_DATA,
    &STALE_INTERRUPT_DATA,
    &NESTED_LOST,
    &NESTED_INVENTED,
    &INT1_RETYPED,
    &LENGTH_LOST,
    &SOFT_EVENT_EXPORTED,
    &SOFT_EVENT_LOST,
    &DELIVERED_TWICE,
    &SYSCALL_LOST,
    &ERROR_CODE_LOST,
    &STI_BLOCKING_LOST,
    &SHADOW_LOST,
    &REQUEUED_NMI_BLOCKED,
    &PENDING_NMI_LOST,
    &NMI_BLOCKING_LOST,
    &INTERRUPT_LOST,
    &EARLY_PAYLOAD_LOST,
    &FRED_MSRS_LOST,
    &AMD_DR6_PAYLOAD,
    &AMD_CANCEL_FIELD,
    &RF_LOST,
    &CANCELLED_NESTED_LOST,
    &CANCELLED_LENGTH_LOST,
    &CANCELLED_NMI_LOST,
    &RETURN_UNBLOCKS_NMIS,
];
