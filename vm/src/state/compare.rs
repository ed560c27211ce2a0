//! What was saved against what reads back, by name.
//!
//! What no guest could tell apart is made equal first; each place says why. Everything else that
//! differs is a finding.

use super::{VmState, xsave};
use crate::difference::Difference;
use crate::msr;
use crate::overlay;
use fred::debug::{Dr6, Dr7};
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_PAYLOAD, kvm_cpuid_entry2, kvm_debugregs, kvm_dtable, kvm_regs, kvm_segment,
    kvm_sregs, kvm_vcpu_events,
};
use std::fmt::LowerHex;

/// What reads back otherwise than it was saved.
pub(super) fn differences(saved: &VmState, back: &VmState) -> Vec<Difference> {
    let mut found = Found::default();
    found.regs(&saved.regs, &back.regs);
    found.sregs(&saved.sregs, &back.sregs);
    for (index, names) in ["PDPTR0", "PDPTR1", "PDPTR2", "PDPTR3"].into_iter().enumerate() {
        found.optional(names, saved.pdptrs.map(|all| all[index]), back.pdptrs.map(|all| all[index]));
    }
    found.debug_regs(&saved.debug_regs, &back.debug_regs);
    found.xcrs(saved, back);
    xsave::compare(&saved.config.cpuid, &saved.xsave.0, &back.xsave.0, |name, expected, got| {
        found.0.push(Difference { field: name, expected, got });
    });
    for (saved, back) in saved.msrs.iter().zip(&back.msrs) {
        // It runs on between writing and reading: it can be compared with nothing.
        if saved.index != msr::TSC {
            found.numbers(&msr::name(saved.index), saved.value, back.value);
        }
    }
    found.numbers("MP state", saved.mp_state.mp_state, back.mp_state.mp_state);
    found.optional("TSC rate in kHz", saved.tsc_khz, back.tsc_khz);
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
    ($found:ident, $saved:ident, $back:ident: $($name:literal $field:ident),* $(,)?) => {
        $($found.numbers($name, $saved.$field, $back.$field);)*
    };
}

impl Found {
    fn numbers<N: PartialEq + LowerHex>(&mut self, field: &str, saved: N, back: N) {
        if saved != back {
            self.0.push(Difference {
                field: field.to_owned(),
                expected: format!("{saved:#x}"),
                got: format!("{back:#x}"),
            });
        }
    }

    fn optional<N: PartialEq + LowerHex>(&mut self, field: &str, saved: Option<N>, back: Option<N>) {
        match (saved, back) {
            (Some(saved), Some(back)) => self.numbers(field, saved, back),
            (Some(saved), None) => self.0.push(Difference {
                field: field.to_owned(),
                expected: format!("{saved:#x}"),
                got: "nothing".to_owned(),
            }),
            // The source could not say: there is nothing to compare with.
            (None, _) => {}
        }
    }

    fn regs(&mut self, saved: &kvm_regs, back: &kvm_regs) {
        fields!(self, saved, back:
            "RAX" rax, "RBX" rbx, "RCX" rcx, "RDX" rdx, "RSI" rsi, "RDI" rdi, "RSP" rsp, "RBP" rbp,
            "R8" r8, "R9" r9, "R10" r10, "R11" r11, "R12" r12, "R13" r13, "R14" r14, "R15" r15,
            "RIP" rip, "RFLAGS" rflags);
    }

    fn sregs(&mut self, saved: &kvm_sregs, back: &kvm_sregs) {
        for (name, saved, back) in [
            ("CS", &saved.cs, &back.cs),
            ("DS", &saved.ds, &back.ds),
            ("ES", &saved.es, &back.es),
            ("FS", &saved.fs, &back.fs),
            ("GS", &saved.gs, &back.gs),
            ("SS", &saved.ss, &back.ss),
            ("TR", &saved.tr, &back.tr),
            ("LDTR", &saved.ldt, &back.ldt),
        ] {
            self.segment(name, saved, back);
        }
        self.table("GDTR", &saved.gdt, &back.gdt);
        self.table("IDTR", &saved.idt, &back.idt);
        fields!(self, saved, back: "CR0" cr0, "CR2" cr2, "CR3" cr3, "CR4" cr4, "CR8" cr8,
            "IA32_EFER" efer, "IA32_APIC_BASE" apic_base);
    }

    fn segment(&mut self, name: &str, saved: &kvm_segment, back: &kvm_segment) {
        self.numbers(&format!("{name} selector"), saved.selector, back.selector);
        self.numbers(&format!("{name} base"), saved.base, back.base);
        self.numbers(&format!("{name} unusable"), saved.unusable, back.unusable);
        if saved.unusable == 0 {
            self.numbers(&format!("{name} limit"), saved.limit, back.limit);
            self.numbers(&format!("{name} attributes"), attributes(saved), attributes(back));
        }
    }

    fn table(&mut self, name: &str, saved: &kvm_dtable, back: &kvm_dtable) {
        self.numbers(&format!("{name} base"), saved.base, back.base);
        self.numbers(&format!("{name} limit"), saved.limit, back.limit);
    }

    /// Reserved bits of DR6 and DR7 read as KVM pleases and cannot be written.
    fn debug_regs(&mut self, saved: &kvm_debugregs, back: &kvm_debugregs) {
        for (index, name) in ["DR0", "DR1", "DR2", "DR3"].into_iter().enumerate() {
            self.numbers(name, saved.db[index], back.db[index]);
        }
        let dr6 = |value| value & Dr6::VOLATILE | Dr6::FIXED_1;
        self.numbers("DR6", dr6(saved.dr6), dr6(back.dr6));
        self.numbers("DR7", saved.dr7 | Dr7::RESET.0, back.dr7 | Dr7::RESET.0);
    }

    fn xcrs(&mut self, saved: &VmState, back: &VmState) {
        let value = |state: &VmState, number: u32| {
            let all = state.xcrs.as_ref()?;
            let count = all.xcrs.len().min(all.nr_xcrs as usize);
            all.xcrs[..count].iter().find(|xcr| xcr.xcr == number).map(|xcr| xcr.value)
        };
        self.optional("XCR0", value(saved, 0), value(back, 0));
    }

    fn events(&mut self, payload: bool, saved: &kvm_vcpu_events, back: &kvm_vcpu_events) {
        let (was, is) = (&saved.exception, &back.exception);
        // Without the capability user space cannot make an exception pending, and a pending one reads
        // as injected as well: `losses` names this one, and what follows from it is the guest's to find.
        if payload {
            self.numbers("exception pending", was.pending, is.pending);
        }
        self.numbers("exception injected", was.injected, is.injected);
        // The rest of the exception means nothing where there is none.
        if was.pending | was.injected != 0 {
            self.numbers("exception vector", was.nr, is.nr);
            self.numbers("exception has error code", was.has_error_code, is.has_error_code);
            if was.has_error_code != 0 {
                self.numbers("exception error code", was.error_code, is.error_code);
            }
            // Without the flag KVM_SET_VCPU_EVENTS does not look at the payload: a loss as well.
            if saved.flags & KVM_VCPUEVENT_VALID_PAYLOAD != 0 {
                self.numbers(
                    "exception has payload",
                    saved.exception_has_payload,
                    back.exception_has_payload,
                );
                if saved.exception_has_payload != 0 {
                    self.numbers("exception payload", saved.exception_payload, back.exception_payload);
                }
            }
        }
        self.numbers("interrupt injected", saved.interrupt.injected, back.interrupt.injected);
        if saved.interrupt.injected != 0 {
            self.numbers("interrupt vector", saved.interrupt.nr, back.interrupt.nr);
        }
        self.numbers("interrupt shadow", saved.interrupt.shadow, back.interrupt.shadow);
        self.numbers("NMI injected", saved.nmi.injected, back.nmi.injected);
        self.numbers("NMI pending", saved.nmi.pending, back.nmi.pending);
        self.numbers("NMI masked", saved.nmi.masked, back.nmi.masked);
        self.numbers("SMM", saved.smi.smm, back.smi.smm);
        self.numbers("SMI pending", saved.smi.pending, back.smi.pending);
        self.numbers("triple fault pending", saved.triple_fault.pending, back.triple_fault.pending);
        // A machine that refused these fields has had them named as losses.
        if back.flags & overlay::VALID_NESTED != 0 {
            self.numbers("nested bit", u8::from(overlay::nested(saved)), u8::from(overlay::nested(back)));
        }
        if back.flags & overlay::VALID_EVENT_DATA != 0 {
            self.optional("event data", overlay::event_data(saved), overlay::event_data(back));
        }
    }

    fn cpuid(&mut self, saved: &[kvm_cpuid_entry2], back: &[kvm_cpuid_entry2]) {
        for entry in saved {
            let leaf = format!("CPUID leaf {:#x}.{}", entry.function, entry.index);
            let same =
                |other: &&kvm_cpuid_entry2| (other.function, other.index) == (entry.function, entry.index);
            let Some(other) = back.iter().find(same) else {
                self.0.push(Difference { field: leaf, expected: "present".into(), got: "absent".into() });
                continue;
            };
            let (was, is) = (without_state(entry), without_state(other));
            if was != is {
                for (register, was, is) in [
                    ("EAX", was.eax, is.eax),
                    ("EBX", was.ebx, is.ebx),
                    ("ECX", was.ecx, is.ecx),
                    ("EDX", was.edx, is.edx),
                ] {
                    self.numbers(&format!("{leaf} {register}"), was, is);
                }
            }
        }
    }

    fn memory(&mut self, saved: &VmState, back: &VmState) {
        for (number, (was, is)) in saved.memory.pages.iter().zip(&back.memory.pages).enumerate() {
            if was != is {
                self.0.push(Difference {
                    field: format!("memory page {:#x}", number * crate::PAGE),
                    expected: "as saved".to_owned(),
                    got: "other bytes".to_owned(),
                });
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
