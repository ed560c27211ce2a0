//! What one instruction keeps beside the architectural state.

use crate::mmu::known::Known;

/// What a string instruction works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Bytes of one item.
    pub(crate) size: u8,
    /// Bytes of the address and count registers.
    pub(crate) address_size: u8,
    /// Segment of the source.
    pub(crate) segment: u8,
    /// With a REP prefix, of either kind.
    pub(crate) rep: bool,
    /// With a REP or REPE prefix.
    pub(crate) while_equal: bool,
}

/// What an instruction asks for besides its effects. Nothing of it outlives the instruction but `io` and
/// `unblocked_nmis`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scratch {
    /// Which accesses need no more than a known translation: none, but in a run of plain instructions.
    pub(crate) known: Known,
    /// Where RIP goes when the instruction completes.
    pub(crate) next_rip: u64,
    /// Data breakpoints that the instruction has hit, B0..B3.
    pub(crate) breakpoints: u64,
    /// The instruction establishes blocking by STI.
    pub(crate) sti: bool,
    /// The instruction establishes blocking by MOV SS.
    pub(crate) mov_ss: bool,
    /// The instruction loaded RF, so it stays.
    pub(crate) keep_rf: bool,
    /// An iteration of a REP instruction that is not the last: RIP stays, RF is set.
    pub(crate) repeat: bool,
    /// Iterations of a REP instruction that this step has made beyond the first.
    pub(crate) iterations: u64,
    /// The instruction is a branch that was taken.
    pub(crate) branched: bool,
    /// The instruction is not followed by its single-step trap.
    pub(crate) no_single_step: bool,
    /// A single-step trap follows at once, whatever TF was before.
    pub(crate) single_step: bool,
    /// The INS or OUTS of the last exit, which the hypervisor completes item by item.
    pub(crate) io: Option<Item>,
    /// IRET, whose frame was refused, has ended blocking by NMI. The exit takes it.
    pub(crate) unblocked_nmis: bool,
    /// For tests, a defect: no exception met in a delivery becomes #DF.
    #[cfg(test)]
    pub(crate) no_double_fault: bool,
}

impl Scratch {
    /// Before an instruction: it has asked for nothing yet.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.breakpoints = 0;
        self.sti = false;
        self.mov_ss = false;
        self.keep_rf = false;
        self.repeat = false;
        self.no_single_step = false;
        self.iterations = 0;
        self.branched = false;
        self.single_step = false;
    }
}
