//! Breakpoints, and what a #DB does to DR6 and DR7.

use crate::cpuid::Vendor;
use crate::event::Event;
use crate::mmu::Kind;
use crate::state::CpuState;
use crate::stop::{Step, Stop};
use fred::control::{CR4_DE, rflags};
use fred::debug::{BreakOn, Dr6, Dr7};

impl CpuState {
    /// Raises the fault of an execution breakpoint at RIP, unless RF is set.
    ///
    /// One on the instruction after MOV SS or POP SS is suppressed as if RF were set (SDM vol. 3,
    /// "Instruction-breakpoint exception condition"). AMD's processors do not suppress it, and KVM checks
    /// the guest's vendor too (`kvm_is_code_breakpoint_inhibited`).
    pub(crate) fn check_execution_breakpoints(&self) -> Step {
        if self.flag(rflags::RF) || self.mov_ss_blocking && self.cpuid.vendor() == Vendor::Intel {
            return Ok(());
        }
        let base = if self.is_64_bit() { 0 } else { self.segments.cs.base };
        let linear = base.wrapping_add(self.rip);
        let hits = self.hits(|index, dr7| {
            dr7.break_on(index) == BreakOn::Execute && self.dr[usize::from(index)] == linear
        });
        if hits == 0 { Ok(()) } else { Err(Stop::Fault(Event::debug(hits)).into()) }
    }

    /// Whether any breakpoint is enabled.
    #[inline]
    pub(crate) fn has_breakpoints(&self) -> bool {
        self.dr7 & Dr7::ENABLES != 0
    }

    /// B0..B3 of the data breakpoints that an access of `size` bytes at `linear` hits.
    pub(crate) fn hit_by_data(&self, linear: u64, size: u64, kind: Kind) -> u64 {
        self.hits_on(linear, size, |watched| match watched {
            BreakOn::Write => kind == Kind::Write,
            BreakOn::ReadWrite => true,
            BreakOn::Execute | BreakOn::Io => false,
        })
    }

    /// B0..B3 of the I/O breakpoints (CR4.DE) that an IN, OUT, INS or OUTS of `size` bytes at `port`
    /// hits: the conditions of the #DB trap after the instruction.
    ///
    /// Every such instruction is an exit, so the hypervisor decides whether the guest gets the trap. The
    /// hypervisor layer here raises it; KVM ignores I/O breakpoints.
    pub fn io_breakpoints(&self, port: u16, size: u8) -> u64 {
        if self.cr4 & CR4_DE == 0 {
            return 0;
        }
        self.hits_on(port.into(), size.into(), |watched| watched == BreakOn::Io)
    }

    /// B0..B3 of the enabled breakpoints that watch such accesses and cover one of `size` bytes at `at`.
    fn hits_on(&self, at: u64, size: u64, watches: impl Fn(BreakOn) -> bool) -> u64 {
        self.hits(|index, dr7| {
            let length = dr7.length(index);
            let start = self.dr[usize::from(index)] & !(length - 1);
            let overlaps = at.wrapping_sub(start) < length || start.wrapping_sub(at) < size;
            overlaps && watches(dr7.break_on(index))
        })
    }

    /// B0..B3 of the enabled breakpoints that `hit` says are met.
    fn hits(&self, hit: impl Fn(u8, Dr7) -> bool) -> u64 {
        let dr7 = Dr7(self.dr7);
        (0..4u8).filter(|index| dr7.enabled(*index) && hit(*index, dr7)).map(|index| 1 << index).sum()
    }

    /// What a #DB with these conditions does to registers before it is delivered (SDM vol. 3, "Debug
    /// status register"): in DR6 B0..B3 are rewritten, BD and BS (and BT) only ever set, RTM and BLD
    /// are active low; and see [`enter_debug_handler`](Self::enter_debug_handler).
    pub(crate) fn record_debug_conditions(&mut self, data: u64) {
        let mut dr6 = self.dr6 & !Dr6::B | Dr6::RTM;
        dr6 &= !(data & Dr6::ACTIVE_LOW);
        dr6 |= data & (Dr6::B | Dr6::BD | Dr6::BS);
        self.dr6 = dr6;
        self.enter_debug_handler();
    }

    /// What entering a debug handler clears (SDM vol. 3, "Debug control register" and "Single-stepping
    /// on branches"): DR7.GD and IA32_DEBUGCTL.BTF. A #DB that causes a VM exit has not entered one, and
    /// event injection clears nothing: the hypervisor that injects it must (vol. 3, "Architectural state
    /// before a VM exit").
    pub(crate) fn enter_debug_handler(&mut self) {
        self.dr7 &= !Dr7::GD;
        self.msrs.debugctl &= !crate::msr::BTF;
    }
}
