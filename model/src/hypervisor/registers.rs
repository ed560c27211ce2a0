//! The GET and SET ioctls of registers, in the structures of `linux/kvm.h`.

use super::Vm;
use crate::processor::{DescriptorTable, Processor, Segment};
use fred::debug::{Dr6, Dr7};
use fred::msr;
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
        let (value, _) = place(&self.processor, index).ok_or(InvalidMsr { index, value: 0 })?;
        Ok((self.behaviour.saves_msr)(index, value))
    }

    /// KVM_SET_MSRS for one MSR.
    ///
    /// # Errors
    /// When it does not exist or cannot hold the value.
    pub fn set_msr(&mut self, index: u32, value: u64) -> Result<(), InvalidMsr> {
        msr::check_write(index, value).map_err(|_| InvalidMsr { index, value })?;
        let (_, write) = place(&self.processor, index).ok_or(InvalidMsr { index, value })?;
        *write(&mut self.processor) = value;
        Ok(())
    }
}

/// The MSRs that user space can reach, in an order that can be set again.
pub const MSRS: [u32; 22] = [
    TSC,
    msr::STAR,
    msr::LSTAR,
    msr::CSTAR,
    msr::FMASK,
    msr::KERNEL_GS_BASE,
    SYSENTER_CS,
    SYSENTER_ESP,
    SYSENTER_EIP,
    PAT,
    msr::XFD,
    msr::XFD_ERR,
    msr::FRED_RSP0,
    msr::FRED_RSP1,
    msr::FRED_RSP2,
    msr::FRED_RSP3,
    msr::FRED_STKLVLS,
    msr::FRED_SSP1,
    msr::FRED_SSP2,
    msr::FRED_SSP3,
    msr::FRED_SSP0,
    msr::FRED_CONFIG,
];

const TSC: u32 = 0x10;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const PAT: u32 = 0x277;

/// Where an MSR lives.
type Place = fn(&mut Processor) -> &mut u64;

/// An MSR's value and its place.
fn place(cpu: &Processor, index: u32) -> Option<(u64, Place)> {
    macro_rules! field {
        ($($path:tt)+) => { Some((cpu.$($path)+, |cpu: &mut Processor| &mut cpu.$($path)+)) };
    }
    match index {
        msr::EFER => field!(efer),
        msr::STAR => field!(msrs.star),
        msr::LSTAR => field!(msrs.lstar),
        msr::CSTAR => field!(msrs.cstar),
        msr::FMASK => field!(msrs.fmask),
        msr::FS_BASE => field!(segments.fs.base),
        msr::GS_BASE => field!(segments.gs.base),
        msr::KERNEL_GS_BASE => field!(msrs.kernel_gs_base),
        TSC => field!(msrs.tsc),
        SYSENTER_CS => field!(msrs.sysenter_cs),
        SYSENTER_ESP => field!(msrs.sysenter_esp),
        SYSENTER_EIP => field!(msrs.sysenter_eip),
        PAT => field!(msrs.pat),
        msr::XFD => field!(msrs.xfd),
        msr::XFD_ERR => field!(msrs.xfd_err),
        msr::FRED_RSP0 => field!(msrs.fred.rsp[0]),
        msr::FRED_RSP1 => field!(msrs.fred.rsp[1]),
        msr::FRED_RSP2 => field!(msrs.fred.rsp[2]),
        msr::FRED_RSP3 => field!(msrs.fred.rsp[3]),
        msr::FRED_STKLVLS => field!(msrs.fred.stklvls),
        msr::FRED_SSP0 => field!(msrs.fred.ssp[0]),
        msr::FRED_SSP1 => field!(msrs.fred.ssp[1]),
        msr::FRED_SSP2 => field!(msrs.fred.ssp[2]),
        msr::FRED_SSP3 => field!(msrs.fred.ssp[3]),
        msr::FRED_CONFIG => field!(msrs.fred.config),
        _ => None,
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
