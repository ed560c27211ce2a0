//! #NM of extended feature disable: by each kind of instruction, beside CR0.TS, with XFD_ERR stale or rewritten.
//!
//! Rule: an instruction that needs state which IA32_XFD disables is #NM; the component goes into IA32_XFD_ERR and
//! into the event data. The check precedes the memory access. XRSTOR raises it when it would load the component,
//! not when it would initialise it. STTILECFG touches TILECFG only. With CR0.TS the #NM is TS's: data
//! 0, XFD_ERR stays (SDM vol. 1 ch. 13, "Extended Feature Disable (XFD)"; vol. 3 ch. 8, "FRED event data").
//!
//! Known bugs that fail it: event data read from IA32_XFD_ERR when the event is injected, after the handler has
//! cleared it, or from a stale one for an #NM of CR0.TS; XFD_ERR not read before host interrupts are on
//! (handle_nm_fault_irqoff of KVM), or read for an #NM of CR0.TS ("KVM VMX changes for 6.15": it modified the
//! guest's XFD_ERR); the first #NM's data in the second one's frame.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "nmx",
    rule: "The event data of XFD's #NM is the component, as in XFD_ERR; CR0.TS comes first and has none.",
    spec: "SDM vol. 1 ch. 13 XFD; vol. 3 ch. 8 FRED event data",
    cases: [
        tileloadd::CASE, tilestored::CASE, xrstor::CASE, xrstor_initial::CASE, sttilecfg::CASE,
        with_ts::CASE, ring3::CASE, stale::CASE, twice::CASE, then_ts::CASE, enabled::CASE,
    ],
}

/// XFD, and tiles.
const NEEDS: Needs = Needs::XFD.union(Needs::AMX);
/// #NM of XFD.
const NM_XFD: Event = Event { event_data: TILEDATA, ..NM };
/// IA32_XFD disables TILEDATA, and no instruction has needed it.
const DISABLED: Registers = Registers { xfd: TILEDATA, ..RESTING };
/// An instruction has.
const REFUSED: Registers = Registers { xfd_err: TILEDATA, ..DISABLED };

/// The XSAVE area at 0x80_0000_4100 has these components. What is restored of TILEDATA lies beyond, and is never read.
fn area(components: u64) {
    for offset in (0x300..0x340).step_by(8) {
        paging::set_window(offset, 0);
    }
    paging::set_window(0x300, components);
    tiles::disable();
}

mod tileloadd {
    use super::*;
    act! {
        name: "nmx.tileloadd",
        set: ["movabs rdi, 0x8000001A40", "mov esi, 64"],
        armed: [],
        act: ["tileloadd tmm0, [rdi + rsi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "tileloadd",
        rule: "TILELOADD from an unmapped page with TILEDATA disabled: #NM, no #PF, CR2 stays.",
        needs: NEEDS,
        prepare: tiles::disable,
        act: ACT,
        events: &[NM_XFD],
        registers: REFUSED,
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}

mod tilestored {
    use super::*;
    act! {
        name: "nmx.tilestored",
        set: ["movabs rdi, 0x8000002A40", "mov esi, 64"],
        armed: [],
        act: ["tilestored [rdi + rsi], tmm0"],
    }
    pub(super) const CASE: Case = Case {
        name: "tilestored",
        rule: "TILESTORED to a read-only page with TILEDATA disabled: #NM, no #PF, CR2 stays.",
        needs: NEEDS,
        prepare: tiles::disable,
        act: ACT,
        events: &[NM_XFD],
        registers: REFUSED,
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}

mod xrstor {
    use super::*;
    act! {
        name: "nmx.xrstor",
        set: ["movabs rdi, 0x8000004100"],
        armed: ["mov eax, 0x40000", "mov edx, 0"],
        act: ["xrstor [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "xrstor",
        rule: "XRSTOR of an area that has TILEDATA, which is disabled: #NM, data bit 18.",
        needs: NEEDS,
        prepare: || area(TILEDATA),
        act: ACT,
        events: &[Event { general: &[(General::Rax, 0x4_0000), (General::Rdx, 0)], ..NM_XFD }],
        registers: REFUSED,
        // RAX and RDX come after `Armed`.
        cancel: Cancel::No,
        ..Case::NEW
    };
}

mod xrstor_initial {
    use super::*;
    act! {
        name: "nmx.xrstor-initial",
        set: ["movabs rdi, 0x8000004100"],
        armed: ["mov eax, 0x40000", "mov edx, 0"],
        act: ["xrstor [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "xrstor-initial",
        rule: "XRSTOR of an area without TILEDATA, which is disabled: nothing is raised, XFD_ERR stays 0.",
        needs: NEEDS,
        flags: CaseFlags::CONFORMANCE,
        prepare: || area(0),
        act: ACT,
        registers: DISABLED,
        left: &Left { general: &[(General::Rax, 0x4_0000), (General::Rdx, 0)], ..Left::NEW },
        ..Case::NEW
    };
}

mod sttilecfg {
    use super::*;
    act! { name: "nmx.sttilecfg", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["sttilecfg [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "sttilecfg",
        rule: "STTILECFG with TILEDATA disabled: nothing is raised, and what was loaded is stored.",
        needs: NEEDS,
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            tiles::disable();
            paging::set_window(0x110, 0);
        },
        act: ACT,
        registers: DISABLED,
        // Columns of tile 0: 64 bytes.
        results: &[Check { expected: 64, read: || paging::window(0x110) }],
        ..Case::NEW
    };
}

mod with_ts {
    use super::*;
    act! { name: "nmx.with-ts", set: [], armed: [], act: ["tilezero tmm0"], }
    pub(super) const CASE: Case = Case {
        name: "with-ts",
        rule: "TILEZERO with TILEDATA disabled and CR0.TS: the #NM is TS's, data 0, XFD_ERR stays 0.",
        needs: NEEDS,
        prepare: || {
            tiles::disable();
            set_task_switched();
        },
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | TS, ..DISABLED },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "nmx.ring3", set: [], act: ["tilezero tmm0"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "TILEZERO with TILEDATA disabled in ring 3: #NM, data bit 18, ring-3 entry point, stack level 0.",
        needs: NEEDS.union(Needs::USER),
        flags: CaseFlags::USER,
        prepare: tiles::disable,
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 7),
            csl: 0,
            entry: 0,
            ..NM_XFD
        }],
        registers: REFUSED,
        ..Case::NEW
    };
}

mod stale {
    use super::*;
    act! { name: "nmx.stale", set: [], armed: [], act: ["ud2"], }
    pub(super) const CASE: Case = Case {
        name: "stale",
        rule: "XFD_ERR of an earlier fault, then #UD: no event data, and XFD_ERR stays.",
        needs: NEEDS,
        prepare: || {
            tiles::disable();
            write_msr(XFD_ERR, TILEDATA);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[UD],
        registers: REFUSED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod twice {
    use super::*;
    act! { name: "nmx.twice", set: [], armed: [], act: ["tilezero tmm0"], then: ["tilezero tmm0"], }
    pub(super) const CASE: Case = Case {
        name: "twice",
        rule: "Two #NMs of XFD, the first one's handler clears XFD_ERR: both have data bit 18, and XFD_ERR has it again.",
        needs: NEEDS,
        prepare: tiles::disable,
        act: ACT,
        events: &[
            Event { handler: Some(|_| write_msr(XFD_ERR, 0)), ..NM_XFD },
            Event { rip: Rip::After, written: &[Register::XfdErr], ..NM_XFD },
        ],
        registers: REFUSED,
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}

mod then_ts {
    use super::*;
    act! { name: "nmx.then-ts", set: [], armed: [], act: ["tilezero tmm0"], then: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "then-ts",
        rule: "#NM of XFD, whose handler leaves XFD_ERR, then one of CR0.TS: data 0, XFD_ERR stays.",
        needs: NEEDS,
        prepare: tiles::disable,
        act: ACT,
        events: &[
            Event { registers: Some(&REFUSED), handler: Some(|_| set_task_switched()), ..NM_XFD },
            Event { rip: Rip::After, ..NM },
        ],
        registers: Registers { cr0: MP | TS, ..REFUSED },
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}

mod enabled {
    use super::*;
    act! { name: "nmx.enabled", set: [], armed: [], act: ["tilezero tmm0"], }
    pub(super) const CASE: Case = Case {
        name: "enabled",
        rule: "#NM of XFD, whose handler clears XFD and XFD_ERR and returns: the instruction is executed.",
        needs: NEEDS,
        prepare: tiles::disable,
        act: ACT,
        events: &[Event {
            handler: Some(|_| {
                write_msr(XFD, 0);
                write_msr(XFD_ERR, 0);
            }),
            returns: Return::Frame,
            ..NM_XFD
        }],
        registers: REFUSED,
        left: &Left { registers: Some(&RESTING), written: &[Register::XfdErr], ..Left::NEW },
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}
