//! Events as the processor delivers them and as VM entries and exits carry them.

use fred::event::{EventType, vector};

/// An event: what VMX keeps in interruption information, error code and event data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The vector.
    pub vector: u8,
    /// The event type.
    pub event_type: EventType,
    /// The error code, where the event has one.
    pub error_code: Option<u32>,
    /// Event data as the frame holds it: see [`fred::data`].
    pub data: u64,
    /// Whether the event is an exception met while another event was being delivered.
    pub nested: bool,
    /// Length in bytes of the instruction that asked for the event; 0 for types 0, 2 and 3.
    pub length: u8,
}

impl Event {
    /// A hardware exception without error code and event data.
    pub const fn exception(vector: u8) -> Self {
        Self {
            vector,
            event_type: EventType::HardwareException,
            error_code: None,
            data: 0,
            nested: false,
            length: 0,
        }
    }

    /// A hardware exception with an error code.
    pub const fn with_error_code(vector: u8, error_code: u32) -> Self {
        Self { error_code: Some(error_code), ..Self::exception(vector) }
    }

    /// #GP with an error code: 0 or a selector.
    pub const fn gp(error_code: u32) -> Self {
        Self::with_error_code(vector::GP, error_code)
    }

    /// #UD.
    pub const fn ud() -> Self {
        Self::exception(vector::UD)
    }

    /// #PF at a linear address.
    pub const fn page_fault(address: u64, error_code: u32) -> Self {
        Self { data: address, ..Self::with_error_code(vector::PF, error_code) }
    }

    /// #DB with its conditions in the event-data format.
    pub const fn debug(data: u64) -> Self {
        Self { data, ..Self::exception(vector::DB) }
    }

    /// An external interrupt.
    pub const fn interrupt(vector: u8) -> Self {
        Self { event_type: EventType::ExternalInterrupt, ..Self::exception(vector) }
    }

    /// An NMI.
    pub const fn nmi() -> Self {
        Self { event_type: EventType::Nmi, ..Self::exception(vector::NMI) }
    }

    /// An event of type 4 to 7, that an instruction of `length` bytes asks for.
    pub const fn software(vector: u8, event_type: EventType, length: u8) -> Self {
        Self { event_type, length, ..Self::exception(vector) }
    }
}
