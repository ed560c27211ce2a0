//! What a delivery must look like, and what its handler does.

use super::disturbed::Registers;
use super::general::General;
use protocol::disturbance::Register;

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
    /// RFLAGS at entry under the IDT, whose gates clear IF, TF, NT, RF and VM. FRED clears every flag.
    pub idt_entry_rflags: u64,
    /// General registers that the act has changed since `Armed`, or since the entry before.
    pub general: &'static [(General, u64)],
    /// Whether the act has read [`INPUT`](protocol::port::INPUT) into AL meanwhile.
    pub input: bool,
    /// What the registers must read at this entry, where it is not what the case says of all.
    pub registers: Option<&'static Registers>,
    /// Registers that the guest itself has written since the entry before: what the host wrote there
    /// earlier is gone.
    pub written: &'static [Register],
    /// What the handler does once everything is captured.
    pub handler: Option<fn(&mut Frame)>,
    /// How the handler ends.
    pub returns: Return,
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
        idt_entry_rflags: 0x2,
        general: &[],
        input: false,
        registers: None,
        written: &[],
        handler: None,
        returns: Return::Next,
    };
}

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// It returns to the act's next part (`then`, or the end) with RFLAGS 2, on the act stack, to stack level 0.
    /// From ring 3 it leaves the act. Nothing of the frame is used.
    Next,
    /// It returns by its frame, by ERETS, ERETU or IRETQ: to the interrupted instruction, or to the one after it.
    Frame,
    /// It does not return: the act's next part is part of the handler, on its stack and stack level.
    Stay,
}

/// What a handler finds on its stack: FRED's frame or the IDT's, without what only FRED has.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// Error code; under the IDT a 0 where the vector has none.
    pub error_code: u64,
    /// RIP.
    pub rip: u64,
    /// CS, and under FRED the stack level.
    pub cs: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RSP.
    pub rsp: u64,
    /// SS, and under FRED vector, type and flags.
    pub ss: u64,
}

/// RIP at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rip {
    /// The act itself: a fault.
    Act,
    /// So many bytes after the act's first instruction.
    Plus(u64),
    /// The instruction after it: a trap, or a fault of the second act.
    After,
    /// The instruction after the second act.
    Last,
    /// The first instruction of this vector's handler, from ring 0: the event came before it ran.
    Entry(u64),
    /// The first instruction of this vector's handler, from ring 3.
    UserEntry(u64),
    /// This offset in a code segment with a base of its own.
    At(u64),
}

/// RSP at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Where acts start in ring 0.
    Act,
    /// So many bytes below that.
    ActBelow(u64),
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
