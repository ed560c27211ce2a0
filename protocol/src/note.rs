//! The ELF note by which an image describes itself: the only list of its cases.
//!
//! Section `.note.midflight`, one note with name `midflight`, type [`TYPE`] and as descriptor an
//! [`ImageNote`] followed by its [`CaseNote`]s. Addresses are filled in by the linker, so the guest
//! writes these structures with pointers in their place: that is what the parameter `A` is for.

use zerocopy::{FromBytes, Immutable, KnownLayout};

/// The note's name, with its NUL and its padding to four bytes.
pub const NAME: [u8; 12] = *b"midflight\0\0\0";
/// Length of the name with its NUL, as the note's header holds it.
pub const NAME_SIZE: u32 = 10;
/// The note's type.
pub const TYPE: u32 = 1;

/// The image as a whole.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ImageNote<A = u64> {
    /// [`crate::VERSION`].
    pub version: u32,
    /// How many [`CaseNote`]s follow.
    pub case_count: u32,
    /// Size of this structure in bytes.
    pub header_size: u32,
    /// Size of a [`CaseNote`] in bytes.
    pub case_size: u32,
    /// The image's name, NUL-padded: see [`crate::name`].
    pub name: [u8; 16],
    /// The rule of the architecture that the image is about, NUL-padded.
    pub rule: [u8; 128],
    /// Where the rule is written, NUL-padded.
    pub spec: [u8; 64],
    /// The mailbox.
    pub mailbox: A,
    /// The page that only the delivery under test touches: the event's frame lands on it.
    pub frame_page: A,
    /// The PDPT by which the frame page is reached. This table and the two below it serve that page
    /// alone: from `Armed` to the handler nothing but the delivery under test looks into them. The
    /// PML4 page above them serves every address.
    pub frame_pdpt: A,
    /// The page directory by which the frame page is reached.
    pub frame_pd: A,
    /// The page table by which the frame page is reached.
    pub frame_pt: A,
    /// Lowest byte of the act stack.
    pub act_stack: A,
    /// The other page tables' first page, the PML4.
    pub page_tables: A,
    /// Just past their last page.
    pub page_tables_end: A,
    /// The FRED entry page.
    pub entry_page: A,
    /// The IDT.
    pub idt: A,
    /// The GDT.
    pub gdt: A,
    /// The TSS.
    pub tss: A,
}

/// One case.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CaseNote<A = u64> {
    /// The case's name, NUL-padded: see [`crate::name`]. No two of an image are the same.
    pub name: [u8; 32],
    /// The rule it proves, one sentence, NUL-padded.
    pub rule: [u8; 160],
    /// [`crate::need::Needs`] as bits.
    pub needs: u32,
    /// How many deliveries a pass has under FRED; 0 for a case that must raise nothing.
    pub entries: u32,
    /// The act's first instruction: RIP of a fault.
    pub act: A,
    /// The instruction after the act: RIP of a trap.
    pub after: A,
    /// How the host can synthesise the event.
    pub cancel: CancelNote<A>,
    /// [`CaseFlags`] as bits.
    pub flags: u32,
    /// The first event's type, as FRED's SS slot has it; 0 where there is no event.
    pub event_type: u8,
    /// The first event's vector; 0 where there is no event.
    pub vector: u8,
    /// How many deliveries a pass has under the IDT.
    pub idt_entries: u16,
}

bitflags::bitflags! {
    /// What the host should know about a case.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct CaseFlags: u32 {
        /// The act reads [`crate::port::INPUT`], and its event is raised when that read completes:
        /// the stop `io` applies.
        const IO = 1 << 0;
        /// The act runs in ring 3.
        const USER = 1 << 1;
        /// The host injects an NMI at `Armed`: it is the act's event.
        const NMI_AT_ARMED = 1 << 2;
        /// The host injects an NMI while the delivery is stopped.
        const NMI_AT_CUT = 1 << 3;
        /// The host blocks NMIs at `Armed`.
        const BLOCK_NMI = 1 << 4;
        /// The host raises an external interrupt at `Armed`: the case's first event, if it is one, or else
        /// [`INTERRUPT`].
        const INTERRUPT_AT_ARMED = 1 << 5;
        /// The host raises external interrupt [`INTERRUPT`] while the delivery is stopped.
        const INTERRUPT_AT_CUT = 1 << 6;
        /// The uAPI does not show the case's first event while it is in flight: event types 4, 5, 6
        /// and 7, which an instruction asks for.
        const SOFT = 1 << 7;
        /// Between `Armed` and the delivery the guest itself reads a descriptor of the GDT: an access
        /// to that page need not be the delivery's. No case touches IDT or TSS there.
        const TOUCHES_GDT = 1 << 9;
        /// The case's first event is an exception met while another event is delivered. Only the second
        /// delivery reaches the frame page, but both may read IDT, GDT and TSS: a stop there meets the
        /// first one, whose effects on CR2 and the queue are not those of the case's event.
        const NESTED = 1 << 10;
        /// A conformance check: no known way of treating events in flight wrongly fails it.
        const CONFORMANCE = 1 << 8;
        /// The act waits in HLT, and the host injects an NMI there.
        const NMI_AT_HALT = 1 << 11;
        /// The act waits in HLT, and the host raises an external interrupt there, of the same vector as at `Armed`.
        const INTERRUPT_AT_HALT = 1 << 12;
        /// The act ends in a shutdown: there is no verdict, and the host passes the case when no handler was
        /// entered since `Armed`.
        const SHUTDOWN = 1 << 13;
        /// Between `Armed` and its first event the act itself accesses the page that frames are pushed to: the stop
        /// `act` applies, and none that needs that page to be the delivery's alone. With `NMI_AT_CUT` or
        /// `INTERRUPT_AT_CUT` the host injects while that access is refused, and no other stop applies.
        const TOUCHES_FRAME = 1 << 14;
        /// The host injects two NMIs at `Armed` instead of one, and then saves the vCPU's events and restores them.
        const SECOND_NMI = 1 << 15;
        /// With `NMI_AT_CUT`: the host injects two NMIs there instead of one.
        const SECOND_NMI_AT_CUT = 1 << 16;
        /// All that the host injects: without a host, or a cut, the case has no event.
        const INJECTED = 0x1_987C;
    }
}

/// The vector of an external interrupt that the host raises where it is not the case's first event.
pub const INTERRUPT: u8 = 31;

/// What the host needs in order to put the case's event into the queue itself, at `Armed`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CancelNote<A = u64> {
    /// RIP at the event: `act` for a fault, `after` for a trap.
    pub rip: A,
    /// The event's payload: #PF's address, #DB's and #NM's event data.
    pub payload: A,
    /// RFLAGS bits that the act would have set before the event (TF).
    pub rflags: u64,
    /// Error code, if the vector has one.
    pub error_code: u32,
    /// The vector.
    pub vector: u8,
    /// 1 if the event can be synthesised, 0 if the rest of this structure means nothing.
    pub present: u8,
    /// 0.
    pub reserved: [u8; 2],
}

/// The note as it lies in the ELF file: header, name, descriptor.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Note<A, const CASES: usize> {
    /// [`NAME_SIZE`].
    pub name_size: u32,
    /// Size of `image` and `cases` in bytes.
    pub descriptor_size: u32,
    /// [`TYPE`].
    pub note_type: u32,
    /// [`NAME`].
    pub name: [u8; 12],
    /// The image.
    pub image: ImageNote<A>,
    /// Its cases, in the order of their indices.
    pub cases: [CaseNote<A>; CASES],
}
