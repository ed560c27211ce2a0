//! A flat 64-bit guest for tests: identity paging with 4-KiB pages over the first 2 MiB, a GDT, a
//! TSS, an IDT whose every gate leads to its own HLT, and FRED when asked for.
#![allow(dead_code, missing_debug_implementations, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use iced_x86::code_asm::CodeAssembler;
use model::cpuid::{Vendor, default_table};
use model::event::Event;
use model::memory::Memory;
use model::processor::{DescriptorTable, Entry, Exit, ExitReason, Processor, Segment, Segments};

pub(crate) const CODE: u64 = 0x10_0000;
pub(crate) const STACK: u64 = 0x18_0000;
pub(crate) const DATA: u64 = 0x19_0000;
/// The page after DATA's page; free to unmap.
pub(crate) const NEXT: u64 = DATA + 0x1000;
pub(crate) const PML4: u64 = 0x1000;
pub(crate) const PDPT: u64 = 0x2000;
pub(crate) const PD: u64 = 0x3000;
pub(crate) const PT: u64 = 0x4000;
pub(crate) const GDT: u64 = 0x5000;
pub(crate) const TSS: u64 = 0x6000;
pub(crate) const IDT: u64 = 0x7000;
/// Handler of IDT vector v: HANDLERS + 16 * v, a HLT.
pub(crate) const HANDLERS: u64 = 0x8000;
/// FRED's entry page: a HLT at 0 and at 0x100.
pub(crate) const ENTRY: u64 = 0xA000;
/// IA32_FRED_RSP0..3.
pub(crate) const FRED_RSP: [u64; 4] = [0xC000, 0xD000, 0xE000, 0xF000];
/// The TSS's RSP0 and IST1.
pub(crate) const RSP0: u64 = 0x11000;
pub(crate) const IST1: u64 = 0x12000;

pub(crate) const KERNEL_CS: u16 = 0x08;
pub(crate) const KERNEL_SS: u16 = 0x10;
pub(crate) const USER_SS: u16 = 0x23;
pub(crate) const USER_CS: u16 = 0x2B;

/// SS slots of exceptions in ring 0.
pub(crate) const DB: u64 = 0x0203_0001_0000_0010;
pub(crate) const UD: u64 = 0x0203_0006_0000_0010;
pub(crate) const NM: u64 = 0x0203_0007_0000_0010;
pub(crate) const NP: u64 = 0x0203_000B_0000_0010;
pub(crate) const GP: u64 = 0x0203_000D_0000_0010;
pub(crate) const PF: u64 = 0x0203_000E_0000_0010;

/// RFLAGS.TF and RF.
pub(crate) const TF: u64 = 0x100;
pub(crate) const RF: u64 = 0x1_0000;

#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) cpu: Processor,
    pub(crate) memory: Memory,
}

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

impl Guest {
    /// At CPL 0 in IDT mode; RIP at CODE, which holds HLTs.
    pub(crate) fn idt() -> Self {
        let mut memory = Memory::new(0x20_0000);
        let mut put = |at: u64, value: u64| memory.write(at, &value.to_le_bytes()).unwrap();
        put(PML4, PDPT | 7);
        put(PDPT, PD | 7);
        put(PD, PT | 7);
        for page in 0..512 {
            put(PT + page * 8, page << 12 | 7);
        }
        // Null, ring-0 code, ring-0 data, ring-3 32-bit code, ring-3 data, ring-3 code, the TSS.
        for (n, descriptor) in [
            0,
            0x00AF_9B00_0000_FFFF,
            0x00CF_9300_0000_FFFF,
            0x00CF_FB00_0000_FFFF,
            0x00CF_F300_0000_FFFF,
            0x00AF_FB00_0000_FFFF,
            0x0000_8B00_6000_0067,
            0,
        ]
        .into_iter()
        .enumerate()
        {
            put(GDT + 8 * n as u64, descriptor);
        }
        put(TSS + 4, RSP0);
        put(TSS + 36, IST1);
        // No I/O permission bitmap inside the limit.
        put(TSS + 0x60, 0x0068_0000_0000_0000);
        for vector in 0..256 {
            let handler = HANDLERS + 16 * vector;
            put(IDT + 16 * vector, handler & 0xFFFF | 0x0000_8E00_0008_0000 | (handler >> 16) << 48);
            put(IDT + 16 * vector + 8, 0);
        }
        memory.write(HANDLERS, &[0xF4; 0x1000]).unwrap();
        memory.write(ENTRY, &[0xF4; 0x1000]).unwrap();
        memory.write(CODE, &[0xF4; 64]).unwrap();
        let mut cpu = Processor::new(default_table());
        cpu.cr0 = 0x8001_0033;
        cpu.cr3 = PML4;
        // DE, PAE, OSFXSR, OSXSAVE.
        cpu.cr4 = 0x4_0228;
        // SCE, LME, LMA, NXE.
        cpu.efer = 0xD01;
        cpu.xcr0 = 0x6_0003;
        cpu.segments.cs = segment(KERNEL_CS, 11, true);
        let data = segment(KERNEL_SS, 3, false);
        cpu.segments = Segments { ds: data, es: data, ss: data, ..cpu.segments };
        cpu.segments.tr = Segment {
            selector: 0x30,
            base: TSS,
            limit: 0x67,
            segment_type: 11,
            present: true,
            ..Default::default()
        };
        cpu.gdtr = DescriptorTable { base: GDT, limit: 0x3F };
        cpu.idtr = DescriptorTable { base: IDT, limit: 0xFFF };
        // Ring 0 from 0x08, ring 3 from 0x1B (32-bit), SS 0x23, CS 0x2B.
        cpu.msrs.star = 0x001B_0008_0000_0000;
        cpu.rip = CODE;
        cpu.gpr[4] = STACK;
        Self { cpu, memory }
    }

    /// The same with FRED on.
    pub(crate) fn fred() -> Self {
        let mut guest = Self::idt();
        guest.cpu.cr4 |= 1 << 32;
        guest.cpu.msrs.fred.rsp = FRED_RSP;
        guest.cpu.msrs.fred.config = ENTRY;
        guest
    }

    /// The same at CPL 3.
    pub(crate) fn in_ring_3(mut self) -> Self {
        self.cpu.segments.cs = segment(USER_CS, 11, true);
        self.cpu.segments.ss = segment(USER_SS, 3, false);
        self
    }

    /// With a program at CODE, HLTs after it.
    pub(crate) fn with(mut self, program: impl FnOnce(&mut CodeAssembler)) -> Self {
        let mut a = CodeAssembler::new(64).unwrap();
        program(&mut a);
        let bytes = a.assemble(CODE).unwrap();
        self.memory.write(CODE, &bytes).unwrap();
        self
    }

    /// With raw bytes at CODE.
    pub(crate) fn with_bytes(mut self, bytes: &[u8]) -> Self {
        self.memory.write(CODE, bytes).unwrap();
        self
    }

    /// With something else changed.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// With a page that is not present.
    pub(crate) fn without(self, page: u64) -> Self {
        self.but(|g| g.map(page, 6))
    }

    /// With TF set.
    pub(crate) fn stepping(self) -> Self {
        self.but(|g| g.cpu.rflags |= TF)
    }

    /// With breakpoint 0 at an address, as DR7 says.
    pub(crate) fn watching(self, dr7: u64, address: u64) -> Self {
        self.but(|g| (g.cpu.dr[0], g.cpu.dr7) = (address, dr7))
    }

    /// On a processor of a vendor.
    pub(crate) fn of(self, vendor: Vendor) -> Self {
        self.but(|g| {
            let word = |n: usize| u32::from_le_bytes(vendor.signature()[4 * n..][..4].try_into().unwrap());
            for leaf in g.cpu.cpuid.entries.iter_mut().filter(|leaf| leaf.function == 0) {
                (leaf.ebx, leaf.edx, leaf.ecx) = (word(0), word(1), word(2));
            }
        })
    }

    pub(crate) fn put(&mut self, at: u64, value: u64) {
        self.memory.write(at, &value.to_le_bytes()).unwrap();
    }

    /// Quadwords from an address on.
    pub(crate) fn put_all(&mut self, at: u64, values: &[u64]) {
        for (n, value) in (0..).zip(values) {
            self.put(at + 8 * n, *value);
        }
    }

    pub(crate) fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.memory.read(at, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Changes the page-table entry of a 4-KiB page.
    pub(crate) fn map(&mut self, page: u64, flags: u64) {
        self.put(PT + (page >> 12) * 8, page & !0xFFF | flags);
    }

    pub(crate) fn run(&mut self) -> Exit {
        self.enter(Entry { instructions: 1000, ..Entry::default() })
    }

    pub(crate) fn enter(&mut self, entry: Entry) -> Exit {
        self.cpu.enter(&mut self.memory, &entry)
    }

    /// Executes one instruction.
    pub(crate) fn step(&mut self) -> Exit {
        self.enter(Entry { instructions: 1, ..Entry::default() })
    }

    /// Injects an event and runs to a HLT; the eight quadwords at the stack pointer then.
    pub(crate) fn inject(&mut self, event: Event) -> [u64; 8] {
        let exit = self.enter(Entry { injected: Some(event), ..Entry::default() });
        assert_eq!(exit.reason, ExitReason::Halt, "{exit:x?}");
        self.top()
    }

    /// Runs to a HLT; the eight quadwords at the stack pointer then.
    pub(crate) fn frame(&mut self) -> [u64; 8] {
        let exit = self.run();
        assert_eq!(exit.reason, ExitReason::Halt, "{exit:x?}");
        self.top()
    }

    /// The eight quadwords at the stack pointer.
    pub(crate) fn top(&self) -> [u64; 8] {
        std::array::from_fn(|n| self.get(self.cpu.gpr[4] + 8 * n as u64))
    }
}
