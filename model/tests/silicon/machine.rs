//! The model, set up as the child process is: ring 3, the same pages at the same addresses.

use crate::state::{CODE, Case, DATA, DATA_SIZE, FILLER, GS_BASE, PAGE, STACK, STACK_SIZE, State};
use model::cpuid::{Vendor, default_table};
use model::memory::Memory;
use model::processor::{Entry, ExitReason, Processor, Segment};

pub(crate) struct Machine {
    cpu: Processor,
    memory: Memory,
}

/// Why the model has no result.
#[derive(Debug)]
#[allow(dead_code, reason = "the exit is for the report")]
pub(crate) enum Stopped {
    /// It does not know the instruction, or the result is undefined.
    Unknown,
    /// It left the guest for another reason than an exception.
    Other(ExitReason),
}

const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const PT: u64 = 0x4000;

impl Machine {
    /// A processor of a vendor.
    pub(crate) fn new(vendor: Vendor) -> Self {
        let mut memory = Memory::new(0x20_0000);
        let mut put = |at: u64, value: u64| memory.write(at, &value.to_le_bytes()).unwrap();
        put(PML4, PDPT | 7);
        put(PDPT, PD | 7);
        put(PD, PT | 7);
        let pages = [CODE, STACK].into_iter().chain((DATA..DATA + DATA_SIZE as u64).step_by(PAGE as usize));
        for page in pages {
            let no_execute = if page == CODE { 0 } else { 1 << 63 };
            put(PT + (page >> 12) * 8, page | 7 | no_execute);
        }
        memory.write(CODE, &[FILLER; PAGE as usize]).unwrap();
        let flat = Segment {
            limit: 0xFFFF_FFFF,
            segment_type: 3,
            dpl: 3,
            present: true,
            s: true,
            g: true,
            ..Segment::default()
        };
        let null = Segment { unusable: true, ..Segment::default() };
        let mut cpuid = default_table();
        let word = |n: usize| u32::from_le_bytes(vendor.signature()[4 * n..4 * n + 4].try_into().unwrap());
        for leaf in cpuid.entries.iter_mut().filter(|entry| entry.function == 0) {
            (leaf.ebx, leaf.edx, leaf.ecx) = (word(0), word(1), word(2));
        }
        let mut cpu = Processor::new(cpuid);
        // PE MP ET NE WP AM PG.
        cpu.cr0 = 0x8005_0033;
        cpu.cr3 = PML4;
        // PAE, OSFXSR, OSXSAVE.
        cpu.cr4 = 0x4_0220;
        // SCE, LME, LMA, NXE.
        cpu.efer = 0xD01;
        cpu.segments.cs = Segment { selector: 0x33, segment_type: 11, l: true, ..flat };
        cpu.segments.ss = Segment { selector: 0x2B, db: true, ..flat };
        cpu.segments.ds = null;
        cpu.segments.es = null;
        cpu.segments.fs = null;
        // No I/O permission bitmap.
        cpu.segments.tr = Segment { limit: 0, present: true, ..Segment::default() };
        cpu.segments.gs = Segment { base: GS_BASE, ..null };
        Self { cpu, memory }
    }

    /// Executes the case's instruction.
    pub(crate) fn run(&mut self, case: &Case) -> Result<State, Stopped> {
        let (cpu, memory) = (&mut self.cpu, &mut self.memory);
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
