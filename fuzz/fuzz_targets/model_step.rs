//! Random bytes as code: every entry ends within its budget, and never in a panic.
//!
//! The first bytes choose the mode and some registers; the rest is the code.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::cpuid::default_table;
use model::event::Event;
use model::memory::Memory;
use model::processor::{DescriptorTable, Entry, ExitReason, Processor, Segment, Segments};

const CODE: u64 = 0x8000;
const STACK: u64 = 0xC000;
const SIZE: u64 = 0x1_0000;
const BUDGET: u64 = 64;
/// Code and data of rings 0 and 3, in 64 and 32 bits, a TSS.
const GDT: [u64; 8] = [
    0,
    0x00AF_9B00_0000_FFFF,
    0x00CF_9300_0000_FFFF,
    0x00CF_FB00_0000_FFFF,
    0x00CF_F300_0000_FFFF,
    0x00AF_FB00_0000_FFFF,
    0x0000_8B00_6000_0067,
    0,
];

fn segment(selector: u16, segment_type: u8, l: bool) -> Segment {
    Segment {
        selector,
        limit: 0xFFFF_FFFF,
        segment_type,
        dpl: (selector & 3) as u8,
        present: true,
        s: true,
        l,
        db: !l,
        g: true,
        ..Segment::default()
    }
}

fn machine(mode: u8, seed: u64) -> (Processor, Memory) {
    let mut memory = Memory::new(SIZE);
    let mut put = |at: u64, value: u64| memory.write(at, &value.to_le_bytes()).is_ok();
    put(0x1000, 0x2007);
    put(0x2000, 0x3007);
    put(0x3000, 0x4007);
    for page in 0..SIZE >> 12 {
        // One page is not there.
        put(0x4000 + page * 8, if page == 0xE { 0 } else { page << 12 | 7 });
    }
    for (n, descriptor) in (0u64..).zip(GDT) {
        put(0x5000 + 8 * n, descriptor);
    }
    for vector in 0..256u64 {
        put(0x7000 + 16 * (vector % 256), 0x0000_8E00_0008_0000 | CODE);
    }
    let mut cpu = Processor::new(default_table());
    cpu.cr0 = 0x8005_0033;
    cpu.cr3 = 0x1000;
    cpu.cr4 = (0x30_0000 * u64::from(mode >> 4 & 1)) | 0x4_0228 | (u64::from(mode & 1) << 32);
    cpu.efer = 0xD01;
    cpu.xcr0 = 0x6_0003;
    let ring_3 = mode & 2 != 0;
    let long = mode & 4 == 0;
    let cs = match (ring_3, long) {
        (false, true) => 0x08,
        (true, true) => 0x2B,
        (_, false) => 0x1B,
    };
    let data = segment(if cs == 0x08 { 0x10 } else { 0x23 }, 3, false);
    cpu.segments = Segments { cs: segment(cs, 11, long), ds: data, es: data, ss: data, ..cpu.segments };
    cpu.segments.tr = Segment {
        selector: 0x30,
        base: 0x6000,
        limit: 0x67,
        segment_type: 11,
        present: true,
        ..Segment::default()
    };
    cpu.gdtr = DescriptorTable { base: 0x5000, limit: 0x3F };
    cpu.idtr = DescriptorTable { base: 0x7000, limit: 0xFFF };
    cpu.msrs.star = 0x001B_0008_0000_0000;
    cpu.msrs.fred.config = CODE;
    cpu.msrs.fred.rsp = [0xC000, 0xD000, 0xE000, 0xF000];
    cpu.msrs.fred.stklvls = seed;
    for (n, register) in (0u32..).zip(&mut cpu.gpr) {
        *register = seed.rotate_left(n * 7) & if n & 1 == 0 { 0xFFFF } else { u64::MAX };
    }
    cpu.gpr[4] = STACK;
    if mode & 64 == 0 {
        // Most string instructions are short, so that there are many executions a second.
        cpu.gpr[1] &= 0x3F;
    }
    cpu.rip = CODE;
    cpu.rflags = if mode & 8 != 0 { seed & 0x5_0FD7 | 2 } else { 2 };
    if mode & 32 != 0 {
        cpu.dr = [CODE + 3, STACK - 8, 0x9000, seed];
        cpu.dr7 = seed & 0xFFFF_03FF | 0x400;
    }
    (cpu, memory)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((head, code)) = bytes.split_at_checked(10) else { return };
    let mut seed = [0; 8];
    seed.copy_from_slice(&head[2..]);
    let (mut cpu, mut memory) = machine(head[0], u64::from_le_bytes(seed));
    if memory.write(CODE, &code[..code.len().min(0x4000)]).is_err() {
        return;
    }
    let mut injected = (head[1] & 1 != 0).then(|| Event::interrupt(head[1]));
    for n in 0..4 {
        if head[1] & 2 != 0 {
            memory.refuse_access(Some(u64::from(head[1] >> 2) + n));
        }
        let entry = Entry { injected, instructions: BUDGET, ..Entry::default() };
        let exit = cpu.enter(&mut memory, &entry);
        assert!(exit.instructions <= BUDGET, "{} instructions", exit.instructions);
        injected = exit.original;
        match exit.reason {
            ExitReason::TripleFault | ExitReason::UnknownInstruction { .. } => return,
            ExitReason::Io { length, string, input, size, .. } => {
                let mut item = [0; 4];
                let size = size.min(4);
                if string && input {
                    let _ = cpu.finish_ins(&mut memory, &item[..size.into()], size);
                } else if string {
                    let _ = cpu.outs_data(&mut memory, &mut item[..size.into()], size);
                }
                cpu.skip_instruction(length);
            }
            _ => cpu.halted = false,
        }
    }
});
