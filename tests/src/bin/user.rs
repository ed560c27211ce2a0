//! What ring 3 must not do, part two: interrupt flag, ports, tables, control registers, XCR0, caches.
//!
//! Rule: CLI and STI above IOPL are #GP(0), and so are IN and OUT of a port that the TSS's permission map does not
//! allow; a map beyond the TSS's limit allows none. LGDT, LIDT, LLDT, LTR, LMSW, CLTS, MOV to and from control
//! and debug
//! registers, INVLPG, INVD, WBINVD, WRMSR and XSETBV are #GP(0) above CPL 0, before what they would look at. CLAC and STAC are
//! #UD there. IRETQ within ring 3 changes neither IF nor IOPL, and loads RF and TF (SDM vol. 2, their operation sections;
//! vol. 1 ch. 19, "I/O Permission Bit Map"). No register changes.
//!
//! Known bugs that fail it: an intercept that executes the instruction before it looks at the CPL; the permission map of
//! the host's TSS in place of the guest's (emulator_io_port_permission_bitmap of KVM's).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "user",
    rule: "Ring 3 gets #GP(0) for interrupt flag, ports, tables and control registers, and nothing changes.",
    spec: "SDM vol. 2 CLI, IN, LGDT, LTR, MOV, XSETBV; vol. 1 ch. 19",
    cases: [flags::CASE, ports::CASE, tables::CASE, control::CASE, xcr0::CASE, access_check::CASE, map::CASE, iretq_flags::CASE, allowed::CASE],
}

/// #GP(0) in ring 3, so many bytes after the act's first instruction; its handler returns after the instruction, which
/// has `LENGTH` bytes.
const fn refused<const LENGTH: u64>(bytes: u64) -> Event {
    Event {
        vector: 13,
        rip: Rip::Plus(bytes),
        cs: USER_CS,
        rsp: Stack::User,
        ss: user_ss_slot(HARDWARE_EXCEPTION, 13),
        csl: 0,
        entry: 0,
        idt_frame_bytes: 48,
        handler: Some(skip::<LENGTH>),
        returns: Return::Frame,
        ..Event::NEW
    }
}
/// The last one.
const fn last(bytes: u64) -> Event {
    Event { returns: Return::Next, ..refused::<0>(bytes) }
}

mod flags {
    use super::*;
    act_ring3! { name: "user.flags", set: [], act: ["cli", "sti"], }
    pub(super) const CASE: Case = Case {
        name: "flags",
        rule: "CLI, then STI, in ring 3 with IOPL 0: #GP(0) both times, IF stays 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[refused::<1>(0), last(1)],
        ..Case::NEW
    };
}

mod ports {
    use super::*;
    // 5, 2, 1, 1 and 1 bytes.
    act_ring3! {
        name: "user.ports", set: [], act: ["mov edx, 0x6D70", "in al, 0x70", "out dx, al", "insb", "outsb"],
    }
    pub(super) const CASE: Case = Case {
        name: "ports",
        rule: "IN, OUT, INSB and OUTSB in ring 3, no permission map in the TSS: #GP(0) each time, and no port is read.",
        // Under the IDT the page of the TSS serves as a stop.
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            Event { general: &[(General::Rdx, 0x6D70)], ..refused::<2>(5) },
            refused::<1>(7),
            refused::<1>(8),
            last(9),
        ],
        ..Case::NEW
    };
}

mod tables {
    use super::*;
    // 3, 3, 3 and 3 bytes. Nothing is mapped at RDI.
    act_ring3! {
        name: "user.tables",
        set: ["movabs rdi, 0x8000001A40", "mov ecx, 0x48"],
        act: ["lgdt [rdi]", "lidt [rdi]", "lldt cx", "ltr cx"],
    }
    pub(super) const CASE: Case = Case {
        name: "tables",
        rule: "LGDT and LIDT from an unmapped page, LLDT and LTR of a bad selector, in ring 3: #GP(0), not #PF, no selector.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            set_descriptor(0x48, 0);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[refused::<3>(0), refused::<3>(3), refused::<3>(6), last(9)],
        ..Case::NEW
    };
}

mod control {
    use super::*;
    // 3, 2, 3, 2, 3, 2 bytes.
    act_ring3! {
        name: "user.control",
        set: ["mov ecx, 0xC0000102", "movabs rdi, 0x8000001A40"],
        act: ["lmsw cx", "clts", "mov rbx, cr3", "wbinvd", "invlpg [rdi]", "wrmsr"],
    }
    pub(super) const CASE: Case = Case {
        name: "control",
        rule: "LMSW, CLTS, MOV from CR3, WBINVD, INVLPG and WRMSR in ring 3: #GP(0) each time.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[
            refused::<3>(0),
            refused::<2>(3),
            refused::<3>(5),
            refused::<2>(8),
            refused::<3>(10),
            last(13),
        ],
        ..Case::NEW
    };
}

mod xcr0 {
    use super::*;
    // MOV is 5 bytes long, XSETBV 3, MOV to CR8 4, MOV to DR7 3, INVD 2.
    act_ring3! {
        name: "user.xcr0",
        set: ["mov ecx, 0"],
        act: ["mov eax, 3", "mov edx, 0", "xsetbv", "mov cr8, rbx", "mov dr7, rbx", "invd"],
    }
    const PAIR: &[(General, u64)] = &[(General::Rax, 3), (General::Rdx, 0)];
    pub(super) const CASE: Case = Case {
        name: "xcr0",
        rule: "XSETBV of the value that XCR0 has, MOV to CR8 and DR7, INVD in ring 3: #GP(0) each time.",
        needs: Needs::USER.union(Needs::XSAVE),
        flags: CaseFlags::USER,
        prepare: || {
            enable_components(0);
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event { general: PAIR, ..refused::<3>(10) }, refused::<4>(13), refused::<3>(17), last(20)],
        ..Case::NEW
    };
}

mod access_check {
    use super::*;
    act_ring3! { name: "user.access-check", set: [], act: ["clac", "stac"], }
    const UD_RING3: Event =
        Event { vector: 6, ss: user_ss_slot(HARDWARE_EXCEPTION, 6), idt_frame_bytes: 40, ..refused::<3>(0) };
    pub(super) const CASE: Case = Case {
        name: "access-check",
        rule: "CLAC, then STAC, in ring 3: #UD both times, AC stays.",
        needs: Needs::USER.union(Needs::SMAP),
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD_RING3, Event { rip: Rip::Plus(3), returns: Return::Next, ..UD_RING3 }],
        ..Case::NEW
    };
}

mod map {
    use super::*;
    // 5, 1, 5 and 1 bytes.
    act_ring3! {
        name: "user.map",
        set: ["mov ecx, 0x48", "ltr cx"],
        act: ["mov edx, 0x6D74", "out dx, al", "mov edx, 0x7F00", "in al, dx"],
    }
    pub(super) const CASE: Case = Case {
        name: "map",
        rule: "OUT and IN in ring 3 with a permission map: a port whose bit is clear is written, one beyond the TSS's limit is #GP(0).",
        // Under the IDT the page of the TSS serves as a stop.
        needs: Needs::USER.union(Needs::FRED),
        flags: CaseFlags::USER,
        prepare: || {
            // The same TSS, not busy, with the limit 0xFFF: the map is the zeros after it.
            set_descriptor(0x48, (descriptor(0x30) | 0xFFF) & !(1 << 41));
            set_descriptor(0x50, descriptor(0x38));
            route(13, 1, IST_FRAME);
        },
        act: ACT,
        events: &[Event { general: &[(General::Rdx, 0x7F00)], ..last(11) }],
        ..Case::NEW
    };
}

mod iretq_flags {
    use super::*;
    act_ring3! {
        name: "user.iretq-flags", set: [],
        act: [
            "push 0x23", "push rsp", "add qword ptr [rsp], 8", "push 0x43ED7", "push 0x2B",
            "push offset \"user.iretq-flags.after\"", "iretq"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "iretq-flags",
        rule: "IRETQ within ring 3 with IF and IOPL 3 in its frame: both stay 0, every other flag is loaded. The #UD after it shows it.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            vector: 6,
            rip: Rip::After,
            rflags: GATED_USER_RICH | RF,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            idt_frame_bytes: 40,
            idt_entry_rflags: GATED_USER_RICH,
            ..last(0)
        }],
        ..Case::NEW
    };
}

mod allowed {
    use super::*;
    // 2, 5, 5, 4, 3, 3, 2 bytes, and 5 for each MOV.
    act_ring3! {
        name: "user.allowed",
        set: [],
        act: [
            "rdtsc", "sgdt [rsp - 32]", "sidt [rsp - 32]", "smsw rbx", "sldt ecx", "str esi", "cpuid",
            "mov eax, 0", "mov edx, 0", "mov ebx, 0", "mov esi, 0", "mov ecx, 0", "ud2"
        ],
    }
    pub(super) const CASE: Case = Case {
        name: "allowed",
        rule: "RDTSC, SGDT, SIDT, SMSW, SLDT, STR and CPUID in ring 3, with TSD and UMIP clear in CR4: none of them faults.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[Event {
            rip: Rip::Plus(49),
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            general: &[
                (General::Rax, 0),
                (General::Rdx, 0),
                (General::Rbx, 0),
                (General::Rsi, 0),
                (General::Rcx, 0),
            ],
            ..UD
        }],
        ..Case::NEW
    };
}
