//! From a PVH entry, 32-bit protected mode without paging, to 64-bit code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod guest;

use guest::{GDT, Guest, PML4};
use iced_x86::code_asm::*;
use model::processor::{DescriptorTable, ExitReason, Segment, Segments};

#[test]
fn protected_mode_to_long_mode() {
    const CODE32: u64 = 0x2_0000;
    const CODE64: u64 = 0x3_0000;
    let mut g = Guest::idt();
    g.cpu.cr0 = 0x11;
    g.cpu.cr4 = 0;
    g.cpu.efer = 0;
    g.cpu.gdtr = DescriptorTable::default();
    let flat =
        Segment { limit: 0xFFFF_FFFF, present: true, s: true, db: true, g: true, ..Segment::default() };
    let code = Segment { selector: 0x10, segment_type: 11, ..flat };
    let data = Segment { selector: 0x18, segment_type: 3, ..flat };
    g.cpu.segments = Segments { cs: code, ds: data, es: data, ss: data, ..g.cpu.segments };
    g.cpu.rip = CODE32;
    // GDT pointer in memory.
    g.memory.write(0x2_1000, &[0x3F, 0, 0, 0x50, 0, 0]).unwrap();
    let mut a = CodeAssembler::new(32).unwrap();
    a.mov(esp, 0x18_0000).unwrap();
    a.lgdt(ptr(0x2_1000)).unwrap();
    a.mov(eax, cr4).unwrap();
    a.or(eax, 0x20).unwrap();
    a.mov(cr4, eax).unwrap();
    a.mov(eax, PML4 as u32).unwrap();
    a.mov(cr3, eax).unwrap();
    a.mov(ecx, 0xC000_0080u32).unwrap();
    a.rdmsr().unwrap();
    a.or(eax, 0x901).unwrap();
    a.wrmsr().unwrap();
    a.mov(eax, cr0).unwrap();
    a.or(eax, 0x8001_0000u32 as i32).unwrap();
    a.mov(cr0, eax).unwrap();
    // Compatibility mode now.
    a.push(0x08).unwrap();
    a.push(CODE64 as i32).unwrap();
    a.retf().unwrap();
    g.memory.write(CODE32, &a.assemble(CODE32).unwrap()).unwrap();
    let mut a = CodeAssembler::new(64).unwrap();
    a.mov(eax, 0x10).unwrap();
    a.mov(ss, eax).unwrap();
    a.mov(ds, eax).unwrap();
    a.mov(ax, 0x30).unwrap();
    a.ltr(ax).unwrap();
    a.mov(rbx, 0x1122_3344_5566_7788u64).unwrap();
    a.mov(rax, cr4).unwrap();
    a.bts(rax, 32).unwrap();
    a.mov(cr4, rax).unwrap();
    a.hlt().unwrap();
    g.memory.write(CODE64, &a.assemble(CODE64).unwrap()).unwrap();
    g.put(GDT + 0x30, 0x0000_8900_6000_0067);
    let exit = g.run();
    assert_eq!(exit.reason, ExitReason::Halt, "{:x?}", g.cpu);
    assert_eq!(g.cpu.gpr[3], 0x1122_3344_5566_7788);
    assert_eq!((g.cpu.efer, g.cpu.cr4), (0xD01, 0x1_0000_0020));
    assert_eq!((g.cpu.segments.cs.selector, g.cpu.segments.cs.l), (0x08, true));
    assert_eq!((g.cpu.segments.ds.limit, g.cpu.segments.ds.segment_type), (0xFFFF_FFFF, 3));
    assert_eq!((g.cpu.segments.tr.selector, g.cpu.segments.tr.base), (0x30, 0x6000));
    assert_eq!(g.get(GDT + 0x30), 0x0000_8B00_6000_0067, "the TSS is busy");
}

#[test]
fn without_an_idt_an_exception_shuts_down() {
    let mut g = Guest::idt().with(|a| a.ud2().unwrap());
    g.cpu.idtr.limit = 0;
    assert_eq!(g.run().reason, ExitReason::TripleFault);
    g.cpu.efer = 0;
    g.cpu.cr0 = 0x11;
    g.cpu.segments.cs.l = false;
    assert_eq!(g.run().reason, ExitReason::TripleFault);
}
