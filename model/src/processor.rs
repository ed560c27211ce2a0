//! The processor: its architectural state, and one VM entry to one VM exit.

use crate::cpu::cache::DecodeCache;
use crate::cpuid::CpuidTable;
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::tlb::Tlb;
use crate::msr::Plain;
pub use crate::segment::{DescriptorTable, Segment, Segments};
use crate::xstate::XState;

/// The FRED MSRs that the processor uses: it has no shadow stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FredMsrs {
    /// IA32_FRED_RSP0..3.
    pub rsp: [u64; 4],
    /// IA32_FRED_STKLVLS.
    pub stklvls: u64,
    /// IA32_FRED_CONFIG: its low two bits are the live current stack level.
    pub config: u64,
}

/// The MSRs that are not part of other registers. FS and GS bases are in [`Segments`], EFER is
/// [`Processor::efer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the manual's")]
pub struct Msrs {
    pub star: u64,
    pub lstar: u64,
    pub fmask: u64,
    pub kernel_gs_base: u64,
    /// Counts one for each instruction.
    pub tsc: u64,
    pub tsc_aux: u64,
    pub apic_base: u64,
    pub xfd: u64,
    /// IA32_DEBUGCTL: BTF alone.
    pub debugctl: u64,
    pub xfd_err: u64,
    pub fred: FredMsrs,
    /// Those that the processor has no use for.
    pub plain: Plain,
}

/// A processor. Every field is architectural state and may be changed between two entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Processor {
    /// General-purpose registers in encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15.
    pub gpr: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// RFLAGS; bit 1 is always 1.
    pub rflags: u64,
    /// Segment registers.
    pub segments: Segments,
    /// GDTR.
    pub gdtr: DescriptorTable,
    /// IDTR.
    pub idtr: DescriptorTable,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8: the task priority.
    pub cr8: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// DR0..DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// MSRs.
    pub msrs: Msrs,
    /// XCR0.
    pub xcr0: u64,
    /// Extended state.
    pub xstate: XState,
    /// Blocking by STI.
    pub sti_blocking: bool,
    /// Blocking by MOV SS and POP SS.
    pub mov_ss_blocking: bool,
    /// Blocking by NMI.
    pub nmi_blocking: bool,
    /// HLT was executed: the next entry that injects nothing exits with [`ExitReason::Halt`] at once.
    pub halted: bool,
    /// Debug traps of completed instructions that were not delivered yet, in #DB's event-data
    /// format: VMX's pending debug exceptions.
    pub pending_debug: u64,
    /// CPUID.
    pub cpuid: CpuidTable,
    pub(crate) cache: DecodeCache,
    pub(crate) tlb: Tlb,
    pub(crate) run: crate::cpu::Run,
}

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
    /// instruction for faults, INT1 and INT3 and INTO (`length` says how long those are) and behind
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
        /// Length of the instruction in bytes, for [`Processor::skip_instruction`].
        length: u8,
    },
    /// The second stage refused an access.
    StageTwo {
        /// Guest-physical address of the access.
        gpa: u64,
        /// Whether it is a write.
        write: bool,
    },
    /// HLT; RIP is already behind it.
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

impl Processor {
    /// The state after reset (SDM vol. 3, table 10-1), with a CPUID.
    pub fn new(cpuid: CpuidTable) -> Self {
        let data = Segment { limit: 0xFFFF, segment_type: 3, present: true, s: true, ..Segment::default() };
        let mut gpr = [0; 16];
        gpr[2] = u64::from(cpuid.get(1, 0)[0]);
        let mut cpu = Self {
            gpr,
            rip: 0xFFF0,
            rflags: 2,
            segments: Segments {
                es: data,
                cs: Segment { selector: 0xF000, base: 0xFFFF_0000, segment_type: 0xB, ..data },
                ss: data,
                ds: data,
                fs: data,
                gs: data,
                ldtr: Segment { limit: 0xFFFF, segment_type: 2, present: true, ..Segment::default() },
                tr: Segment { limit: 0xFFFF, segment_type: 0xB, present: true, ..Segment::default() },
            },
            gdtr: DescriptorTable { base: 0, limit: 0xFFFF },
            idtr: DescriptorTable { base: 0, limit: 0xFFFF },
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            dr: [0; 4],
            dr6: 0xFFFF_0FF0,
            dr7: 0x400,
            msrs: Msrs::default(),
            xcr0: 1,
            xstate: XState::default(),
            sti_blocking: false,
            mov_ss_blocking: false,
            nmi_blocking: false,
            halted: false,
            pending_debug: 0,
            cpuid,
            cache: DecodeCache::default(),
            tlb: Tlb::default(),
            run: crate::cpu::Run::default(),
        };
        cpu.reset_msrs();
        cpu
    }

    /// The current privilege level: SS.DPL.
    pub fn cpl(&self) -> u8 {
        self.segments.ss.dpl
    }

    /// Advances RIP behind an instruction that the hypervisor emulated; ends blocking by STI and
    /// MOV SS and clears RF. Does not raise the single-step trap.
    pub fn skip_instruction(&mut self, length: u8) {
        self.advance(length);
    }

    /// B0..B3 of the I/O breakpoints (CR4.DE) that an IN, OUT, INS or OUTS of `size` bytes at `port`
    /// hits: the conditions of the #DB trap behind the instruction.
    ///
    /// Every such instruction is an exit, so whoever emulates it decides whether the guest gets the
    /// trap. The hypervisor layer here raises it; KVM does not look at I/O breakpoints.
    pub fn io_breakpoints(&self, port: u16, size: u8) -> u64 {
        self.hit_by_port(port, size)
    }

    /// One VM entry to one VM exit.
    pub fn enter(&mut self, memory: &mut Memory, entry: &Entry) -> Exit {
        self.enter_guest(memory, entry)
    }

    /// Stores one item of the INS at which this processor last exited: at ES:(E)DI through the MMU
    /// with the current CPL, RDI moved by DF, RCX counted under REP. RIP stays. `data` holds `size`
    /// bytes (1, 2 or 4).
    ///
    /// This is the hypervisor's access, so the second stage is not asked.
    ///
    /// # Errors
    /// The guest's fault, usually #PF. Registers, memory and CR2 are unchanged then.
    pub fn finish_ins(&mut self, memory: &mut Memory, data: &[u8], size: u8) -> Result<(), Event> {
        self.finish_ins_item(memory, data, size)
    }

    /// Reads into `data` (`size` bytes: 1, 2 or 4) the item that the OUTS at which this processor
    /// last exited writes to its port, and moves RSI and, under REP, RCX.
    ///
    /// # Errors
    /// As [`finish_ins`](Self::finish_ins).
    pub fn outs_data(&mut self, memory: &mut Memory, data: &mut [u8], size: u8) -> Result<(), Event> {
        self.outs_item(memory, data, size)
    }
}
