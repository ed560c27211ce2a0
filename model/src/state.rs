//! The architectural state of a processor.

use crate::cpuid::CpuidTable;
use crate::msr::Plain;
use crate::segment::{DescriptorTable, Segment, Segments, seg};
use crate::xstate::XState;
use fred::control::{CR0_PE, CR4_FRED, EFER_LMA, rflags};

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
/// [`CpuState::efer`].
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
    /// MSRs that the processor does not use.
    pub plain: Plain,
}

/// The architectural state of a processor: what a migration carries. Every field may be changed between two
/// entries.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuState {
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
    /// HLT was executed: the next entry that injects nothing exits with [`Halt`](crate::exit::ExitReason::Halt) at once.
    pub halted: bool,
    /// Debug traps of completed instructions that were not delivered yet, in #DB's event-data
    /// format: VMX's pending debug exceptions.
    pub pending_debug: u64,
    /// CPUID.
    pub cpuid: CpuidTable,
}

impl CpuState {
    /// The state after reset (SDM vol. 3, table 10-1), with a CPUID.
    pub fn new(cpuid: CpuidTable) -> Self {
        let data = Segment { limit: 0xFFFF, segment_type: 3, present: true, s: true, ..Segment::default() };
        let mut gpr = [0; 16];
        gpr[2] = u64::from(cpuid.get(1, 0)[0]);
        let mut state = Self {
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
        };
        state.reset_msrs();
        state
    }

    /// The current privilege level: SS.DPL.
    pub fn cpl(&self) -> u8 {
        self.segments.ss.dpl
    }

    /// IOPL.
    pub(crate) fn iopl(&self) -> u8 {
        (self.rflags >> 12) as u8 & 3
    }

    /// A bit of RFLAGS.
    #[inline]
    pub(crate) fn flag(&self, bit: u64) -> bool {
        self.rflags & bit != 0
    }

    /// Whether CR4.FRED is set.
    pub(crate) fn fred(&self) -> bool {
        self.cr4 & CR4_FRED != 0
    }

    /// EFER.LMA.
    #[inline]
    pub(crate) fn is_long_mode_active(&self) -> bool {
        self.efer & EFER_LMA != 0
    }

    /// 64-bit mode: LMA and CS.L.
    #[inline]
    pub(crate) fn is_64_bit(&self) -> bool {
        self.efer & EFER_LMA != 0 && self.segments.cs.l
    }

    /// Real-address mode.
    pub(crate) fn is_real_mode(&self) -> bool {
        self.cr0 & CR0_PE == 0 || self.rflags & rflags::VM != 0
    }

    /// A segment register by its encoding.
    #[inline]
    pub(crate) fn segment(&self, index: u8) -> &Segment {
        match index {
            seg::ES => &self.segments.es,
            seg::CS => &self.segments.cs,
            seg::SS => &self.segments.ss,
            seg::FS => &self.segments.fs,
            seg::GS => &self.segments.gs,
            _ => &self.segments.ds,
        }
    }

    pub(crate) fn segment_mut(&mut self, index: u8) -> &mut Segment {
        match index {
            seg::ES => &mut self.segments.es,
            seg::CS => &mut self.segments.cs,
            seg::SS => &mut self.segments.ss,
            seg::FS => &mut self.segments.fs,
            seg::GS => &mut self.segments.gs,
            _ => &mut self.segments.ds,
        }
    }

    /// Advances RIP over an instruction that the hypervisor emulated; ends blocking by STI and
    /// MOV SS and clears RF. Does not raise the single-step trap.
    pub fn skip_instruction(&mut self, length: u8) {
        self.rip = self.rip.wrapping_add(length.into());
        if !self.is_64_bit() {
            self.rip &= 0xFFFF_FFFF;
        }
        self.rflags &= !rflags::RF;
        self.sti_blocking = false;
        self.mov_ss_blocking = false;
    }
}
