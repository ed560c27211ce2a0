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
    /// Bits of the saved RFLAGS that no manual defines: as in `rflags`, or all clear.
    pub rflags_open: u64,
    /// Saved RSP.
    pub rsp: Stack,
    /// Frame, offset 0x28: SS selector, vector, type, flags.
    pub ss: u64,
    /// Frame, offset 0x30.
    pub event_data: u64,
    /// How far above `event_data` the value may lie: the manual does not say which address of a
    /// frame is reported when its push faults.
    pub event_data_span: u64,
    /// Current stack level at entry.
    pub csl: u64,
    /// Offset of the entry point in the entry page: 0x100 from ring 0, 0 from ring 3.
    pub entry: u64,
    /// Where FRED pushes the frame.
    pub fred_top: Top,
    /// Where the IDT pushes it.
    pub idt_top: Top,
    /// What the IDT pushes: 48 bytes with an error code, 40 without.
    pub idt_frame_bytes: u64,
}

impl Event {
    /// A fault without error code and event data in ring 0, onto the frame page. What its vector decides
    /// (`vector`, `ss`) must be overridden.
    pub const NEW: Self = Self {
        vector: u64::MAX,
        error_code: 0,
        rip: Rip::Act,
        cs: 0x0000_0000_0000_0008,
        rflags: 0x0001_0002,
        rflags_open: 0,
        rsp: Stack::Act,
        ss: u64::MAX,
        event_data: 0,
        event_data_span: 0,
        csl: 1,
        entry: 0x100,
        fred_top: Top::Frame(0),
        idt_top: Top::Frame(0),
        idt_frame_bytes: 40,
    };
}

/// RIP at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rip {
    /// The act itself: a fault.
    Act,
    /// The instruction after it: a trap, or a fault of the second act.
    After,
    /// The instruction after the second act.
    Last,
    /// The first instruction of this vector's handler, from ring 0: the event came before it ran.
    Entry(u64),
}

/// RSP at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Where acts start in ring 0.
    Act,
    /// Where they start in ring 3.
    User,
    /// So many bytes below the end of the frame stack.
    Frame(u64),
    /// Where the handler of an event on the frame stack starts, whose frame under the IDT has so many
    /// bytes.
    Handler(u64),
    /// This address.
    At(u64),
}

/// The end of a frame: so many bytes below the end of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// The frame stack, which is the frame page: nothing else uses it.
    Frame(u64),
    /// The stack of events that are not under test.
    Other(u64),
    /// The act's own stack.
    Act(u64),
}
