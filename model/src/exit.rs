//! How the processor is entered, and why it leaves the guest.

use crate::event::Event;

/// How the processor is entered.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The event to deliver first, exactly as given: no register effect (CR2, DR6, DR7, XFD_ERR),
    /// event data verbatim, RFLAGS pushed as it is (RF included). For types 4, 5 and 6 the saved
    /// RIP is RIP plus the length.
    pub injected: Option<Event>,
    /// Exception bitmap: bit v set means that exception v exits instead of being delivered.
    /// Applies to hardware exceptions, INT1 (bit 1), INT3 (bit 3) and INTO (bit 4).
    pub intercepts: u32,
    /// Exit as soon as an external interrupt could be delivered.
    pub interrupt_window: bool,
    /// Exit as soon as an NMI could be delivered.
    pub nmi_window: bool,
    /// How many instructions may be executed; each iteration of a REP instruction counts.
    pub instructions: u64,
}

impl Default for Entry {
    /// Nothing injected, nothing intercepted, no window, no end of instructions.
    fn default() -> Self {
        Self {
            injected: None,
            intercepts: 0,
            interrupt_window: false,
            nmi_window: false,
            instructions: u64::MAX,
        }
    }
}

/// An exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// The event whose delivery the exit interrupted: VMX's original-event (IDT-vectoring) fields.
    /// Its data is what would have been pushed.
    pub original: Option<Event>,
    /// Instructions executed in this entry.
    pub instructions: u64,
}

/// Why the processor left the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// An intercepted exception. CR2, DR6 and DR7 are not updated; IA32_XFD_ERR is. RIP is at the
    /// instruction for faults, INT1 and INT3 and INTO (`length` says how long those are) and after
    /// it for traps; RFLAGS.RF is what the frame would hold.
    Exception(Event),
    /// IN, OUT, INS or OUTS, not executed yet; RIP is at the instruction, permission checks passed.
    Io {
        /// Port.
        port: u16,
        /// Bytes of one item: 1, 2 or 4.
        size: u8,
        /// IN or INS.
        input: bool,
        /// INS or OUTS.
        string: bool,
        /// With a REP prefix; the count register is not 0.
        rep: bool,
        /// Bytes of the address registers of INS and OUTS: 2, 4 or 8.
        address_size: u8,
        /// Segment of OUTS by its encoding: ES 0, CS 1, SS 2, DS 3, FS 4, GS 5.
        segment: u8,
        /// Length of the instruction in bytes, for [`skip_instruction`](crate::state::CpuState::skip_instruction).
        length: u8,
    },
    /// An EPT violation: the second-stage page tables refused an access.
    EptViolation {
        /// Guest-physical address of the access.
        gpa: u64,
        /// Whether it is a write.
        write: bool,
        /// Whether it was IRET's, which has ended blocking by NMI: it must be blocked again before the entry.
        unblocked_nmis: bool,
    },
    /// HLT; RIP is already after it.
    Halt,
    /// An exception while delivering #DF.
    TripleFault,
    /// [`Entry::interrupt_window`].
    InterruptWindow,
    /// [`Entry::nmi_window`].
    NmiWindow,
    /// An instruction, or a delivery, that the model does not know.
    UnknownInstruction {
        /// The instruction's text.
        text: String,
        /// Its address.
        rip: u64,
    },
    /// [`Entry::instructions`] is used up. The state is at an instruction boundary, or, where
    /// [`Exit::original`] holds its event, in a delivery that has met one exception after the other.
    Budget,
}
