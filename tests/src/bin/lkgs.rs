//! LKGS loads GS for the next ring 3: the base goes to IA32_KERNEL_GS_BASE.
//!
//! Rule: LKGS does what MOV to GS does, but for the descriptor's base, which goes to IA32_KERNEL_GS_BASE; GS.base stays. A
//! null selector gives a base of 0; one beyond the GDT is #GP with it, a segment that is not present #NP with it, and
//! nothing changes then. In ring 3 LKGS is #UD, whatever the selector (SDM vol. 2, "LKGS").
//!
//! Known bugs that fail it: an emulated LKGS that changes GS.base; the new base not read back from the processor before a
//! migration, so that it is lost and the old one comes back; privilege checked after the selector.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "lkgs",
    rule: "LKGS changes IA32_KERNEL_GS_BASE and not GS.base, or faults and changes nothing.",
    spec: "SDM vol. 2 LKGS",
    cases: [flat::CASE, null::CASE, beyond::CASE, absent::CASE, ring3::CASE, memory::CASE, unmapped::CASE],
}

mod flat {
    use super::*;
    act! {
        name: "lkgs.flat",
        set: ["mov ecx, 0x23"],
        // LKGS CX
        armed: [".byte 0xF2, 0x0F, 0x00, 0xF1"],
        act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "flat",
        rule: "LKGS of a flat segment: IA32_KERNEL_GS_BASE is its base, 0; GS.base stays.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        registers: Registers { kernel_gs_base: 0, ..RESTING },
        ..Case::NEW
    };
}

mod beyond {
    use super::*;
    act! {
        name: "lkgs.beyond",
        set: ["mov ecx, 0xFFF8"],
        armed: [],
        act: [".byte 0xF2, 0x0F, 0x00, 0xF1"],
    }
    pub(super) const CASE: Case = Case {
        name: "beyond",
        rule: "LKGS of a selector beyond the GDT: #GP with it, IA32_KERNEL_GS_BASE stays.",
        needs: Needs::FRED,
        prepare: || route(13, 1, IST_FRAME),
        act: ACT,
        events: &[Event { error_code: 0xFFF8, ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ring3 {
    use super::*;
    act_ring3! { name: "lkgs.ring3", set: ["mov ecx, 0x23"], act: [".byte 0xF2, 0x0F, 0x00, 0xF1"], }
    pub(super) const CASE: Case = Case {
        name: "ring3",
        rule: "LKGS in ring 3: #UD, IA32_KERNEL_GS_BASE stays.",
        needs: Needs::FRED.union(Needs::USER),
        flags: CaseFlags::USER,
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 6),
            csl: 0,
            entry: 0,
            ..UD
        }],
        ..Case::NEW
    };
}

mod null {
    use super::*;
    act! {
        name: "lkgs.null",
        set: ["mov ecx, 0"],
        armed: [".byte 0xF2, 0x0F, 0x00, 0xF1"],
        act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "null",
        rule: "LKGS of a null selector: no fault, IA32_KERNEL_GS_BASE is 0, GS.base stays.",
        needs: Needs::FRED,
        prepare: || route(6, 1, IST_FRAME),
        act: ACT,
        events: &[UD],
        registers: Registers { kernel_gs_base: 0, ..RESTING },
        ..Case::NEW
    };
}

mod absent {
    use super::*;
    act! { name: "lkgs.absent", set: ["mov ecx, 0x40"], armed: [], act: [".byte 0xF2, 0x0F, 0x00, 0xF1"], }
    pub(super) const CASE: Case = Case {
        name: "absent",
        rule: "LKGS of a segment that is not present: #NP with its selector, nothing changes.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || route(11, 1, IST_FRAME),
        act: ACT,
        events: &[Event { vector: 11, error_code: 0x40, ss: ss_slot(HARDWARE_EXCEPTION, 11), ..GP }],
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod memory {
    use super::*;
    // LKGS [RDI]
    act! {
        name: "lkgs.memory",
        set: ["movabs rdi, 0x8000004108"],
        armed: [".byte 0xF2, 0x0F, 0x00, 0x37"],
        act: ["ud2"],
    }
    pub(super) const CASE: Case = Case {
        name: "memory",
        rule: "LKGS of a selector in memory, of which 2 bytes count: IA32_KERNEL_GS_BASE is the segment's base; GS.base stays.",
        needs: Needs::FRED,
        flags: CaseFlags::TOUCHES_GDT,
        prepare: || {
            paging::set_window(0x108, 0xFFFF_FFFF_FFFF_004B);
            // Ring-3 data with the base 0x12345678.
            set_descriptor(0x48, 0x12CF_F334_5678_FFFF);
            route(6, 1, IST_FRAME);
        },
        act: ACT,
        events: &[UD],
        registers: Registers { kernel_gs_base: 0x1234_5678, ..RESTING },
        ..Case::NEW
    };
}

mod unmapped {
    use super::*;
    act! {
        name: "lkgs.unmapped",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: [".byte 0xF2, 0x0F, 0x00, 0x37"],
    }
    pub(super) const CASE: Case = Case {
        name: "unmapped",
        rule: "LKGS of a selector on an unmapped page: #PF, a read; IA32_KERNEL_GS_BASE stays.",
        needs: Needs::FRED,
        act: ACT,
        events: &[Event { event_data: UNMAPPED, ..PF }],
        registers: Registers { cr2: UNMAPPED, ..RESTING },
        cancel: Cancel::Payload { payload: UNMAPPED, rflags: 0 },
        ..Case::NEW
    };
}
