//! The model, set up as the child process is: ring 3, the same pages at the same addresses.

use crate::guest::Guest;
use crate::state::{CODE, Case, DATA, DATA_SIZE, FILLER, GS_BASE, PAGE, STACK, STACK_SIZE, State};
use model::cpuid::Vendor;
use model::processor::{Entry, ExitReason, Segment};

pub(crate) struct Machine(Guest);

/// Why the model has no result.
#[derive(Debug)]
#[allow(dead_code, reason = "the exit is for the report")]
pub(crate) enum Stopped {
    /// It does not know the instruction, or the result is undefined.
    Unknown,
    /// It left the guest for another reason than an exception.
    Other(ExitReason),
}

impl Machine {
    /// A processor of a vendor.
    pub(crate) fn new(vendor: Vendor) -> Self {
        let mut g = Guest::idt().in_ring_3().of(vendor);
        (0..0x20_0000).step_by(PAGE as usize).for_each(|page| g.map(page, 0));
        let pages = [CODE, STACK].into_iter().chain((DATA..DATA + DATA_SIZE as u64).step_by(PAGE as usize));
        for page in pages {
            g.map(page, 7 | if page == CODE { 0 } else { 1 << 63 });
        }
        // PE MP ET NE WP AM PG.
        g.cpu.cr0 = 0x8005_0033;
        // PAE, OSFXSR, OSXSAVE.
        g.cpu.cr4 = 0x4_0220;
        let null = Segment { unusable: true, ..Segment::default() };
        let segments = &mut g.cpu.segments;
        (segments.cs.selector, segments.ss.selector) = (0x33, 0x2B);
        (segments.ds, segments.es, segments.fs) = (null, null, null);
        segments.gs = Segment { base: GS_BASE, ..null };
        // No I/O permission bitmap.
        segments.tr.limit = 0;
        Self(g)
    }

    /// Executes the case's instruction.
    pub(crate) fn run(&mut self, case: &Case) -> Result<State, Stopped> {
        let Guest { cpu, memory } = &mut self.0;
        cpu.gpr = case.before.gpr;
        cpu.rip = case.before.rip;
        cpu.rflags = case.before.rflags;
        cpu.pending_debug = 0;
        cpu.halted = false;
        memory.write(CODE, &[FILLER; PAGE as usize]).unwrap();
        memory.write(STACK, &case.before.stack).unwrap();
        memory.write(DATA, &case.before.data).unwrap();
        memory.write(case.before.rip, case.mapped_code()).unwrap();
        let exit = cpu.enter(memory, &Entry { intercepts: u32::MAX, instructions: 64, ..Entry::default() });
        let event = match exit.reason {
            ExitReason::Exception(event) => event,
            ExitReason::UnknownInstruction { .. } => return Err(Stopped::Unknown),
            other => return Err(Stopped::Other(other)),
        };
        let mut after = State {
            gpr: cpu.gpr,
            // What the frame would hold.
            rip: cpu.rip + u64::from(event.length),
            rflags: cpu.rflags,
            vector: event.vector.into(),
            error: event.error_code.unwrap_or(0).into(),
            address: if event.vector == 14 { event.data } else { 0 },
            stack: [0; STACK_SIZE],
            data: [0; DATA_SIZE],
        };
        memory.read(STACK, &mut after.stack).unwrap();
        memory.read(DATA, &mut after.data).unwrap();
        Ok(after)
    }
}
