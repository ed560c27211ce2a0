//! Compares what was saved with what reads back, by field.
//!
//! Values that no guest can distinguish are made equal first; each place says why. Every other difference is a
//! finding.

use super::field::{CpuidRegister, Register, Segment, SegmentPart, Table, TablePart};
use super::{Field, VmState, xsave};
use crate::difference::{Difference, Value, first_difference};
use crate::overlay;
use crate::{PAGE, msr};
use fred::debug::{Dr6, Dr7};
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_PAYLOAD, kvm_cpuid_entry2, kvm_debugregs, kvm_dtable, kvm_regs, kvm_segment,
    kvm_sregs, kvm_vcpu_events,
};

/// The fields whose value differs from the saved one.
pub(super) fn differences(saved: &VmState, back: &VmState) -> Vec<Difference> {
    let mut found = Found::default();
    found.regs(&saved.regs, &back.regs);
    found.sregs(&saved.sregs, &back.sregs);
    for (index, field) in Register::PDPTRS.into_iter().enumerate() {
        found.optional(field, saved.pdptrs.map(|all| all[index]), back.pdptrs.map(|all| all[index]));
    }
    found.debug_regs(&saved.debug_regs, &back.debug_regs);
    found.xcrs(saved, back);
    xsave::compare(&saved.config.cpuid, &saved.xsave.0, &back.xsave.0, |difference| {
        found.0.push(difference);
    });
    for (saved, back) in saved.msrs.iter().zip(&back.msrs) {
        // It counts on between writing and reading: it cannot be compared.
        if saved.index != msr::TSC {
            found.numbers(Field::Msr(saved.index), saved.value, back.value);
        }
    }
    found.numbers(Register::MpState, saved.mp_state.mp_state, back.mp_state.mp_state);
    found.optional(Register::TscKhz, saved.tsc_khz, back.tsc_khz);
    found.events(saved.config.exception_payload, &saved.events, &back.events);
    found.memory(saved, back);
    found.cpuid(&saved.cpuid, &back.cpuid);
    found.0
}

/// Without the bits that KVM computes from the guest's registers, whatever was set.
fn without_state(entry: &kvm_cpuid_entry2) -> kvm_cpuid_entry2 {
    /// MONITOR, which KVM takes from IA32_MISC_ENABLE, and OSXSAVE, from CR4.
    const LEAF_1_ECX: u32 = 1 << 3 | 1 << 27;
    /// OSPKE, from CR4.
    const LEAF_7_ECX: u32 = 1 << 4;
    let mut entry = *entry;
    match (entry.function, entry.index) {
        (1, _) => entry.ecx &= !LEAF_1_ECX,
        (7, 0) => entry.ecx &= !LEAF_7_ECX,
        // Size of the XSAVE area that XCR0, and IA32_XSS, enable.
        (xsave::LEAF, 0 | 1) => entry.ebx = 0,
        _ => {}
    }
    entry
}

/// Findings so far.
#[derive(Default)]
struct Found(Vec<Difference>);

/// Compares fields of the same name.
macro_rules! fields {
    ($found:ident, $saved:ident, $back:ident: $($register:ident $($field:ident).+),*) => {
        $($found.numbers(Register::$register, $saved.$($field).+, $back.$($field).+);)*
    };
    ($found:ident.$method:ident, $saved:ident, $back:ident: $($which:expr => $field:ident),*) => {
        $($found.$method($which, &$saved.$field, &$back.$field);)*
    };
}

impl Found {
    fn numbers<N: PartialEq + Into<u64>>(&mut self, field: impl Into<Field>, saved: N, back: N) {
        if saved != back {
            self.differ(field.into(), Value::from(saved), Value::from(back));
        }
    }

    fn differ(&mut self, field: Field, expected: Value, got: Value) {
        self.0.push(Difference { field, expected, got });
    }

    fn optional<N: PartialEq + Into<u64>>(
        &mut self,
        field: impl Into<Field>,
        saved: Option<N>,
        back: Option<N>,
    ) {
        match (saved, back) {
            (Some(saved), Some(back)) => self.numbers(field, saved, back),
            (Some(saved), None) => self.differ(field.into(), Value::from(saved), Value::Nothing),
            // The source did not have it: there is nothing to compare with.
            (None, _) => {}
        }
    }

    fn regs(&mut self, saved: &kvm_regs, back: &kvm_regs) {
        for (register, of) in Register::GENERAL {
            self.numbers(register, of(saved), of(back));
        }
    }

    fn sregs(&mut self, saved: &kvm_sregs, back: &kvm_sregs) {
        fields!(self.segment, saved, back:
            Segment::Cs => cs, Segment::Ds => ds, Segment::Es => es, Segment::Fs => fs, Segment::Gs => gs,
            Segment::Ss => ss, Segment::Tr => tr, Segment::Ldtr => ldt
        );
        fields!(self.table, saved, back: Table::Gdtr => gdt, Table::Idtr => idt);
        fields!(self, saved, back: Cr0 cr0, Cr2 cr2, Cr3 cr3, Cr4 cr4, Cr8 cr8);
        self.numbers(Field::Msr(fred::msr::EFER), saved.efer, back.efer);
        self.numbers(Field::Msr(msr::APIC_BASE), saved.apic_base, back.apic_base);
    }

    fn segment(&mut self, segment: Segment, saved: &kvm_segment, back: &kvm_segment) {
        let part = |part| Field::Segment(segment, part);
        self.numbers(part(SegmentPart::Selector), saved.selector, back.selector);
        self.numbers(part(SegmentPart::Base), saved.base, back.base);
        self.numbers(part(SegmentPart::Unusable), saved.unusable, back.unusable);
        if saved.unusable == 0 {
            self.numbers(part(SegmentPart::Limit), saved.limit, back.limit);
            self.numbers(part(SegmentPart::Attributes), attributes(saved), attributes(back));
        }
    }

    fn table(&mut self, table: Table, saved: &kvm_dtable, back: &kvm_dtable) {
        self.numbers(Field::Table(table, TablePart::Base), saved.base, back.base);
        self.numbers(Field::Table(table, TablePart::Limit), saved.limit, back.limit);
    }

    /// Reserved bits of DR6 and DR7 cannot be written, and read as whatever KVM has chosen.
    fn debug_regs(&mut self, saved: &kvm_debugregs, back: &kvm_debugregs) {
        for (index, register) in Register::BREAKPOINTS.into_iter().enumerate() {
            self.numbers(register, saved.db[index], back.db[index]);
        }
        let dr6 = |value| value & Dr6::VOLATILE | Dr6::FIXED_1;
        self.numbers(Register::Dr6, dr6(saved.dr6), dr6(back.dr6));
        self.numbers(Register::Dr7, saved.dr7 | Dr7::RESET.0, back.dr7 | Dr7::RESET.0);
    }

    fn xcrs(&mut self, saved: &VmState, back: &VmState) {
        let value = |state: &VmState, number: u32| {
            let all = state.xcrs.as_ref()?;
            let count = all.xcrs.len().min(all.nr_xcrs as usize);
            all.xcrs[..count].iter().find(|xcr| xcr.xcr == number).map(|xcr| xcr.value)
        };
        self.optional(Register::Xcr0, value(saved, 0), value(back, 0));
    }

    fn events(&mut self, payload: bool, saved: &kvm_vcpu_events, back: &kvm_vcpu_events) {
        let was = &saved.exception;
        // Without the capability user space cannot make an exception pending, and a pending one reads
        // as injected as well: `losses` names this one, and the guest finds what follows from it.
        if payload {
            fields!(self, saved, back: ExceptionPending exception.pending);
        }
        fields!(self, saved, back: ExceptionInjected exception.injected);
        // Without an exception the other fields mean nothing.
        if was.pending | was.injected != 0 {
            fields!(self, saved, back:
                ExceptionVector exception.nr, ExceptionHasErrorCode exception.has_error_code
            );
            if was.has_error_code != 0 {
                fields!(self, saved, back: ExceptionErrorCode exception.error_code);
            }
            // Without the flag KVM_SET_VCPU_EVENTS does not look at the payload: a loss as well.
            if saved.flags & KVM_VCPUEVENT_VALID_PAYLOAD != 0 {
                fields!(self, saved, back: ExceptionHasPayload exception_has_payload);
                if saved.exception_has_payload != 0 {
                    fields!(self, saved, back: ExceptionPayload exception_payload);
                }
            }
        }
        fields!(self, saved, back: InterruptInjected interrupt.injected);
        if saved.interrupt.injected != 0 {
            fields!(self, saved, back: InterruptVector interrupt.nr);
        }
        fields!(self, saved, back:
            InterruptShadow interrupt.shadow, NmiInjected nmi.injected, NmiPending nmi.pending,
            NmiMasked nmi.masked, Smm smi.smm, SmiPending smi.pending,
            TripleFaultPending triple_fault.pending
        );
        // Fields that the machine refused are named as losses already.
        if back.flags & overlay::VALID_NESTED != 0 {
            let nested = |events| u8::from(overlay::nested(events));
            self.numbers(Register::NestedBit, nested(saved), nested(back));
        }
        if back.flags & overlay::VALID_EVENT_DATA != 0 {
            self.optional(Register::EventData, overlay::event_data(saved), overlay::event_data(back));
        }
    }

    fn cpuid(&mut self, saved: &[kvm_cpuid_entry2], back: &[kvm_cpuid_entry2]) {
        for entry in saved {
            let (leaf, subleaf) = (entry.function, entry.index);
            let field = |register| Field::Cpuid { leaf, subleaf, register };
            let same = |other: &&kvm_cpuid_entry2| (other.function, other.index) == (leaf, subleaf);
            let Some(other) = back.iter().find(same) else {
                self.differ(field(None), Value::Present, Value::Nothing);
                continue;
            };
            let (was, is) = (without_state(entry), without_state(other));
            for (register, was, is) in [
                (CpuidRegister::Eax, was.eax, is.eax),
                (CpuidRegister::Ebx, was.ebx, is.ebx),
                (CpuidRegister::Ecx, was.ecx, is.ecx),
                (CpuidRegister::Edx, was.edx, is.edx),
            ] {
                self.numbers(field(Some(register)), was, is);
            }
        }
    }

    fn memory(&mut self, saved: &VmState, back: &VmState) {
        const ZEROS: &[u8; PAGE] = &[0; PAGE];
        for (number, (was, is)) in saved.memory.pages.iter().zip(&back.memory.pages).enumerate() {
            // A page that both share is not read.
            if was == is {
                continue;
            }
            let (was, is) = (was.as_deref().unwrap_or(ZEROS), is.as_deref().unwrap_or(ZEROS));
            if let Some((was, is)) = first_difference(was, is, 0) {
                self.differ(Field::MemoryPage((number * PAGE) as u64), was, is);
            }
        }
    }
}

/// The attribute bits as a descriptor has them. The granularity bit is only a way to write the
/// limit, which is compared by itself; on SVM it reads as what the limit needs.
fn attributes(segment: &kvm_segment) -> u16 {
    u16::from(segment.type_)
        | u16::from(segment.s) << 4
        | u16::from(segment.dpl) << 5
        | u16::from(segment.present) << 7
        | u16::from(segment.avl) << 12
        | u16::from(segment.l) << 13
        | u16::from(segment.db) << 14
}
