//! The GET and SET ioctls of registers, in the structures of `linux/kvm.h`.

use super::Vm;
use crate::msr;
use crate::processor::{DescriptorTable, Segment};
use fred::debug::{Dr6, Dr7};
use kvm_bindings::{kvm_debugregs, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

/// A register cannot hold the value: EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MSR {index:#x} does not exist here, or cannot hold {value:#x}")]
pub struct InvalidMsr {
    /// The MSR.
    pub index: u32,
    /// The value; 0 when it was to be read.
    pub value: u64,
}

/// KVM's order of the general-purpose registers, as indices in encoding order.
macro_rules! general_registers {
    ($with:ident) => {
        $with!(
            rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7,
            r8 8, r9 9, r10 10, r11 11, r12 12, r13 13, r14 14, r15 15
        )
    };
}

impl Vm {
    /// KVM_GET_REGS.
    pub fn regs(&self) -> kvm_regs {
        let gpr = &self.processor.gpr;
        macro_rules! read {
            ($($name:ident $index:literal),*) => {
                kvm_regs { $($name: gpr[$index],)* rip: self.processor.rip, rflags: self.processor.rflags }
            };
        }
        general_registers!(read)
    }

    /// KVM_SET_REGS. A pending exception is forgotten, an injected one is not.
    pub fn set_regs(&mut self, regs: &kvm_regs) {
        macro_rules! write {
            ($($name:ident $index:literal),*) => { $(self.processor.gpr[$index] = regs.$name;)* };
        }
        general_registers!(write);
        self.processor.rip = regs.rip;
        self.processor.rflags = regs.rflags | fred::control::rflags::FIXED;
        self.queue.exception =
            self.queue.exception.filter(|exception| exception.stage == super::queue::Stage::Injected);
    }

    /// KVM_GET_SREGS.
    pub fn sregs(&mut self) -> kvm_sregs {
        self.deliver_payload_early();
        let cpu = &self.processor;
        kvm_sregs {
            cs: to_kvm(&cpu.segments.cs),
            ds: to_kvm(&cpu.segments.ds),
            es: to_kvm(&cpu.segments.es),
            fs: to_kvm(&cpu.segments.fs),
            gs: to_kvm(&cpu.segments.gs),
            ss: to_kvm(&cpu.segments.ss),
            tr: to_kvm(&cpu.segments.tr),
            ldt: to_kvm(&cpu.segments.ldtr),
            gdt: table_to_kvm(&cpu.gdtr),
            idt: table_to_kvm(&cpu.idtr),
            cr0: cpu.cr0,
            cr2: cpu.cr2,
            cr3: cpu.cr3,
            cr4: cpu.cr4,
            cr8: cpu.cr8,
            efer: cpu.efer,
            apic_base: cpu.msrs.apic_base,
            interrupt_bitmap: self.interrupt_bitmap(),
        }
    }

    /// KVM_SET_SREGS. An interrupt that is queued stays when `interrupt_bitmap` is empty.
    pub fn set_sregs(&mut self, sregs: &kvm_sregs) {
        let cpu = &mut self.processor;
        cpu.segments.cs = from_kvm(&sregs.cs);
        cpu.segments.ds = from_kvm(&sregs.ds);
        cpu.segments.es = from_kvm(&sregs.es);
        cpu.segments.fs = from_kvm(&sregs.fs);
        cpu.segments.gs = from_kvm(&sregs.gs);
        cpu.segments.ss = from_kvm(&sregs.ss);
        cpu.segments.tr = from_kvm(&sregs.tr);
        cpu.segments.ldtr = from_kvm(&sregs.ldt);
        cpu.gdtr = table_from_kvm(&sregs.gdt);
        cpu.idtr = table_from_kvm(&sregs.idt);
        cpu.cr0 = sregs.cr0;
        cpu.cr2 = sregs.cr2;
        cpu.cr3 = sregs.cr3;
        cpu.cr4 = sregs.cr4;
        cpu.cr8 = sregs.cr8;
        cpu.efer = sregs.efer;
        cpu.msrs.apic_base = sregs.apic_base;
        let queued = (0..=255u8)
            .find(|vector| sregs.interrupt_bitmap[usize::from(vector / 64)] & 1 << (vector % 64) != 0);
        self.queue.interrupt = queued.or(self.queue.interrupt);
    }

    fn interrupt_bitmap(&self) -> [u64; 4] {
        let mut bitmap = [0; 4];
        if let Some(vector) = self.queue.interrupt {
            bitmap[usize::from(vector / 64)] |= 1 << (vector % 64);
        }
        bitmap
    }

    /// KVM_GET_DEBUGREGS.
    pub fn debug_regs(&mut self) -> kvm_debugregs {
        self.deliver_payload_early();
        let cpu = &self.processor;
        kvm_debugregs { db: cpu.dr, dr6: cpu.dr6, dr7: cpu.dr7, ..Default::default() }
    }

    /// KVM_SET_DEBUGREGS.
    pub fn set_debug_regs(&mut self, regs: &kvm_debugregs) {
        self.processor.dr = regs.db;
        self.processor.dr6 = regs.dr6 & Dr6::VOLATILE | Dr6::FIXED_1;
        self.processor.dr7 = regs.dr7 | Dr7::RESET.0;
    }

    /// KVM_GET_XCRS: XCR0.
    pub fn xcr0(&self) -> u64 {
        self.processor.xcr0
    }

    /// KVM_SET_XCRS.
    pub fn set_xcr0(&mut self, value: u64) {
        self.processor.xcr0 = value;
    }

    /// KVM_GET_MSRS for one MSR.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn msr(&self, index: u32) -> Result<u64, InvalidMsr> {
        let row = msr::row(index).ok_or(InvalidMsr { index, value: 0 })?;
        Ok((self.behaviour.saves_msr)(index, (row.read)(&self.processor)))
    }

    /// KVM_SET_MSRS for one MSR: with the checks of WRMSR, but for what CPUID offers.
    ///
    /// # Errors
    /// When it does not exist or cannot hold the value.
    pub fn set_msr(&mut self, index: u32, value: u64) -> Result<(), InvalidMsr> {
        let row = msr::row(index).ok_or(InvalidMsr { index, value })?;
        if !(row.takes)(&self.processor, value) {
            return Err(InvalidMsr { index, value });
        }
        (row.write)(&mut self.processor, value);
        Ok(())
    }
}

fn to_kvm(segment: &Segment) -> kvm_segment {
    kvm_segment {
        base: segment.base,
        limit: segment.limit,
        selector: segment.selector,
        type_: segment.segment_type,
        present: u8::from(segment.present),
        dpl: segment.dpl,
        db: u8::from(segment.db),
        s: u8::from(segment.s),
        l: u8::from(segment.l),
        g: u8::from(segment.g),
        avl: 0,
        unusable: u8::from(segment.unusable),
        padding: 0,
    }
}

fn from_kvm(segment: &kvm_segment) -> Segment {
    Segment {
        selector: segment.selector,
        base: segment.base,
        limit: segment.limit,
        segment_type: segment.type_ & 0xF,
        dpl: segment.dpl & 3,
        present: segment.present != 0,
        s: segment.s != 0,
        l: segment.l != 0,
        db: segment.db != 0,
        g: segment.g != 0,
        unusable: segment.unusable != 0,
    }
}

fn table_to_kvm(table: &DescriptorTable) -> kvm_dtable {
    kvm_dtable { base: table.base, limit: table.limit, padding: [0; 3] }
}

fn table_from_kvm(table: &kvm_dtable) -> DescriptorTable {
    DescriptorTable { base: table.base, limit: table.limit }
}
