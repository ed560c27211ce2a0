//! What a delivery must look like.

/// One event as the manual describes its frame, in literals. The values are FRED's; under the IDT
/// the judge leaves out what the IDT does not have.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The vector.
    pub vector: u64,
    /// Error code; 0 for events without one.
    pub error_code: u64,
    /// Saved RIP.
    pub rip: Rip,
    /// Frame, offset 0x10: CS selector and stack level.
    pub cs: u64,
    /// Saved RFLAGS.
    pub rflags: u64,
    /// Saved RSP.
    pub rsp: Stack,
    /// Frame, offset 0x28: SS selector, vector, type, flags.
    pub ss: u64,
    /// Frame, offset 0x30.
    pub event_data: u64,
    /// Current stack level at entry.
    pub csl: u64,
    /// Offset of the entry point in the entry page: 0x100 from ring 0, 0 from ring 3.
    pub entry: u64,
    /// What the IDT pushes: 48 bytes with an error code, 40 without.
    pub idt_frame_bytes: u64,
}

/// RIP at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rip {
    /// The act itself: a fault.
    Act,
    /// The instruction behind it: a trap.
    After,
}

/// The stack that an act runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Ring 0.
    Act,
    /// Ring 3.
    User,
}
