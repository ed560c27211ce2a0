//! The GET and SET ioctls of registers, in the structures of `linux/kvm.h`.

use super::queue::Stage;
use super::{Vm, invalid};
use crate::processor::{DescriptorTable, Segment};
use fred::debug::{Dr6, Dr7};
use kvm_bindings::{
    KVM_MP_STATE_HALTED, KVM_MP_STATE_RUNNABLE, kvm_cpuid_entry2, kvm_debugregs, kvm_dtable, kvm_mp_state,
    kvm_regs, kvm_segment, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcr, kvm_xcrs,
};
use vm::state::{first_form, second_form};
use vm::{Msr, Registers, VcpuError, Xsave};

/// KVM's order of the general-purpose registers, as indices in encoding order.
macro_rules! general_registers {
    ($with:ident) => {
        $with!(
            rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7,
            r8 8, r9 9, r10 10, r11 11, r12 12, r13 13, r14 14, r15 15
        )
    };
}

impl Registers for Vm {
    fn regs(&self) -> Result<kvm_regs, VcpuError> {
        let gpr = &self.processor.gpr;
        macro_rules! read {
            ($($name:ident $index:literal),*) => {
                kvm_regs { $($name: gpr[$index],)* rip: self.processor.rip, rflags: self.processor.rflags }
            };
        }
        Ok(general_registers!(read))
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), VcpuError> {
        macro_rules! write {
            ($($name:ident $index:literal),*) => { $(self.processor.gpr[$index] = regs.$name;)* };
        }
        general_registers!(write);
        self.processor.rip = regs.rip;
        self.processor.rflags = regs.rflags | fred::control::rflags::FIXED;
        self.queue.exception = self.queue.exception.filter(|exception| exception.stage == Stage::Injected);
        Ok(())
    }

    fn sregs(&mut self) -> Result<kvm_sregs, VcpuError> {
        self.deliver_payload_early();
        let cpu = &self.processor;
        Ok(kvm_sregs {
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
        })
    }

    /// A queued interrupt stays when `interrupt_bitmap` is empty.
    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), VcpuError> {
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
        Ok(())
    }

    fn offers_sregs2(&self) -> bool {
        true
    }

    fn sregs2(&mut self) -> Result<kvm_sregs2, VcpuError> {
        // The model has no PAE paging, and so no PDPTRs.
        Ok(second_form(&self.sregs()?, None))
    }

    fn set_sregs2(&mut self, sregs: &kvm_sregs2) -> Result<(), VcpuError> {
        // Its first form has an empty interrupt bitmap.
        self.set_sregs(&first_form(sregs))
    }

    fn debug_regs(&mut self) -> Result<kvm_debugregs, VcpuError> {
        self.deliver_payload_early();
        let cpu = &self.processor;
        Ok(kvm_debugregs { db: cpu.dr, dr6: cpu.dr6, dr7: cpu.dr7, ..Default::default() })
    }

    fn set_debug_regs(&mut self, regs: &kvm_debugregs) -> Result<(), VcpuError> {
        self.processor.dr = regs.db;
        self.processor.dr6 = regs.dr6 & Dr6::VOLATILE | Dr6::FIXED_1;
        self.processor.dr7 = regs.dr7 | Dr7::RESET.0;
        Ok(())
    }

    fn msrs(&self, indices: &[u32]) -> Result<Vec<Msr>, VcpuError> {
        let read = |&index| {
            let value = self.processor.get_msr(index);
            let value = value.ok_or_else(|| invalid("reading an MSR that the model does not have"))?;
            Ok(Msr { index, value: (self.behaviour.saves_msr)(index, value) })
        };
        indices.iter().map(read).collect()
    }

    /// With the checks of WRMSR, except that of CPUID.
    fn set_msrs(&mut self, msrs: &[Msr]) -> Result<(), VcpuError> {
        msrs.iter().try_for_each(|&Msr { index, value }| {
            self.processor.set_msr(index, value).map_err(|_| VcpuError::Msr { index, value })
        })
    }

    fn xsave(&self) -> Result<Xsave, VcpuError> {
        Ok(Xsave(self.xsave_area()))
    }

    fn set_xsave(&mut self, xsave: &Xsave) -> Result<(), VcpuError> {
        if self.load_xsave_area(&xsave.0) { Ok(()) } else { Err(invalid("KVM_SET_XSAVE")) }
    }

    fn xcrs(&self) -> Result<kvm_xcrs, VcpuError> {
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
        xcrs.xcrs[0] = kvm_xcr { xcr: 0, reserved: 0, value: self.processor.xcr0 };
        Ok(xcrs)
    }

    fn set_xcrs(&mut self, xcrs: &kvm_xcrs) -> Result<(), VcpuError> {
        let count = xcrs.xcrs.len().min(usize::try_from(xcrs.nr_xcrs).unwrap_or(0));
        for xcr in xcrs.xcrs[..count].iter().filter(|xcr| xcr.xcr == 0) {
            self.processor.xcr0 = xcr.value;
        }
        Ok(())
    }

    fn events(&mut self) -> Result<kvm_vcpu_events, VcpuError> {
        Ok(self.export_events())
    }

    fn set_events(&mut self, events: &kvm_vcpu_events) -> Result<(), VcpuError> {
        self.trace_events("SET_VCPU_EVENTS", events);
        self.check_events(events).map_err(|_| invalid("KVM_SET_VCPU_EVENTS"))?;
        self.import_events(events);
        Ok(())
    }

    fn mp_state(&self) -> Result<kvm_mp_state, VcpuError> {
        let mp_state = if self.processor.halted { KVM_MP_STATE_HALTED } else { KVM_MP_STATE_RUNNABLE };
        Ok(kvm_mp_state { mp_state })
    }

    fn set_mp_state(&mut self, state: kvm_mp_state) -> Result<(), VcpuError> {
        self.processor.halted = state.mp_state == KVM_MP_STATE_HALTED;
        Ok(())
    }

    fn tsc_khz(&self) -> Result<Option<u32>, VcpuError> {
        // The model's TSC counts instructions.
        Ok(None)
    }

    fn set_tsc_khz(&mut self, _: u32) -> Result<(), VcpuError> {
        Ok(())
    }

    fn cpuid(&self) -> Result<Vec<kvm_cpuid_entry2>, VcpuError> {
        Ok(self.processor.cpuid.entries.clone())
    }
}

impl Vm {
    fn interrupt_bitmap(&self) -> [u64; 4] {
        let mut bitmap = [0; 4];
        if let Some(vector) = self.queue.interrupt {
            bitmap[usize::from(vector / 64)] |= 1 << (vector % 64);
        }
        bitmap
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
