//! #NM of CR0.TS and CR0.EM: which instructions raise it, and that it comes before any other fault of theirs.
//!
//! Rule: with CR0.TS every x87, FXSAVE, SSE and XSAVE instruction is #NM, WAIT only with CR0.MP as well. With CR0.EM
//! x87 instructions and FXSAVE are #NM, SSE instructions #UD, and WAIT executes (SDM vol. 3, "Control Registers",
//! the table of EM, MP and TS). The check precedes the memory access. No event data, and CR2 stays.
//!
//! Not here: MMX (image nm).
//!
//! Known bugs that fail it: CR0.TS of the host instead of the guest's, where ring 3 runs on the processor itself
//! (seen under kvm_pvm); #NM decided without EM or MP by a hypervisor that owns CR0.TS; the #PF of the operand
//! before the #NM; CR0.EM, MP or TS lost in a migration.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "nmts",
    rule: "CR0.TS, EM and MP decide by the kind of instruction between #NM, #UD and nothing; no event data.",
    spec: "SDM vol. 3 ch. 2 EM, MP, TS; ch. 7 interrupt 7; ch. 8 FRED",
    cases: [
        em_fninit::CASE, em_fxsave::CASE, em_movups::CASE, em_wait::CASE, ts_em_fninit::CASE, ts_fxsave::CASE,
        ts_fnstsw::CASE, ts_fld_unmapped::CASE, ts_movups_unmapped::CASE, ts_ldmxcsr::CASE, ts_xsave::CASE,
        ts_wait::CASE, ts_wait_mp::CASE, ts_ring3::CASE, ts_em_movups::CASE,
    ],
}

/// CR0.EM.
fn emulate() {
    set_control(|cr0| cr0 | EM, 0);
}
/// CR0 of [`emulate`].
const EMULATED: Registers = Registers { cr0: MP | EM, ..RESTING };
/// CR0 with TS and MP.
const SWITCHED: Registers = Registers { cr0: MP | TS, ..RESTING };

mod em_fninit {
    use super::*;
    act! { name: "nmts.em-fninit", set: [], armed: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "em-fninit",
        rule: "CR0.EM and an x87 instruction: #NM.",
        prepare: emulate,
        act: ACT,
        events: &[NM],
        registers: EMULATED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod em_fxsave {
    use super::*;
    act! { name: "nmts.em-fxsave", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["fxsave64 [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "em-fxsave",
        rule: "CR0.EM and FXSAVE64: #NM.",
        prepare: emulate,
        act: ACT,
        events: &[NM],
        registers: EMULATED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod em_movups {
    use super::*;
    act! { name: "nmts.em-movups", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["movups xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "em-movups",
        rule: "CR0.EM and an SSE instruction: #UD, not #NM.",
        prepare: || {
            route(6, 1, IST_FRAME);
            emulate();
        },
        act: ACT,
        events: &[UD],
        registers: EMULATED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod em_wait {
    use super::*;
    act! { name: "nmts.em-wait", set: [], armed: [], act: ["fwait"], }
    pub(super) const CASE: Case = Case {
        name: "em-wait",
        rule: "CR0.EM and WAIT: nothing is raised.",
        flags: CaseFlags::CONFORMANCE,
        prepare: emulate,
        act: ACT,
        registers: EMULATED,
        ..Case::NEW
    };
}

mod ts_em_fninit {
    use super::*;
    act! { name: "nmts.ts-em-fninit", set: [], armed: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "ts-em-fninit",
        rule: "CR0.TS and EM and an x87 instruction: one #NM.",
        prepare: || set_control(|cr0| cr0 | EM | TS, 0),
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | EM | TS, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_fxsave {
    use super::*;
    act! { name: "nmts.ts-fxsave", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["fxsave64 [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ts-fxsave",
        rule: "CR0.TS and FXSAVE64: #NM.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_fnstsw {
    use super::*;
    act! { name: "nmts.ts-fnstsw", set: [], armed: [], act: ["fnstsw ax"], }
    pub(super) const CASE: Case = Case {
        name: "ts-fnstsw",
        rule: "CR0.TS and FNSTSW AX: #NM, and RAX stays.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_fld_unmapped {
    use super::*;
    act! { name: "nmts.ts-fld-unmapped", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["fld qword ptr [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ts-fld-unmapped",
        rule: "CR0.TS and FLD from an unmapped page: #NM, no #PF, CR2 stays.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_movups_unmapped {
    use super::*;
    act! { name: "nmts.ts-movups-unmapped", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["movups [rdi], xmm0"], }
    pub(super) const CASE: Case = Case {
        name: "ts-movups-unmapped",
        rule: "CR0.TS and MOVUPS to an unmapped page: #NM, no #PF, CR2 stays.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_ldmxcsr {
    use super::*;
    act! { name: "nmts.ts-ldmxcsr", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["ldmxcsr [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ts-ldmxcsr",
        rule: "CR0.TS and LDMXCSR: #NM.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_xsave {
    use super::*;
    act! { name: "nmts.ts-xsave", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["xsave [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ts-xsave",
        rule: "CR0.TS and XSAVE: #NM.",
        // XSAVE exists where XFD does.
        needs: Needs::XFD,
        prepare: || {
            enable_components(0);
            set_task_switched();
        },
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_wait {
    use super::*;
    act! { name: "nmts.ts-wait", set: [], armed: [], act: ["fwait"], }
    pub(super) const CASE: Case = Case {
        name: "ts-wait",
        rule: "CR0.TS without MP and WAIT: nothing is raised.",
        flags: CaseFlags::CONFORMANCE,
        prepare: || set_control(|cr0| cr0 & !MP | TS, 0),
        act: ACT,
        registers: Registers { cr0: TS, ..RESTING },
        ..Case::NEW
    };
}

mod ts_wait_mp {
    use super::*;
    act! { name: "nmts.ts-wait-mp", set: [], armed: [], act: ["fwait"], }
    pub(super) const CASE: Case = Case {
        name: "ts-wait-mp",
        rule: "CR0.TS with MP and WAIT: #NM.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: SWITCHED,
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_ring3 {
    use super::*;
    act_ring3! { name: "nmts.ts-ring3", set: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "ts-ring3",
        rule: "CR0.TS and an x87 instruction in ring 3: #NM, ring-3 entry point, stack level 0.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: set_task_switched,
        act: ACT,
        events: &[Event {
            cs: USER_CS,
            rsp: Stack::User,
            ss: user_ss_slot(HARDWARE_EXCEPTION, 7),
            csl: 0,
            entry: 0,
            ..NM
        }],
        registers: SWITCHED,
        ..Case::NEW
    };
}

mod ts_em_movups {
    use super::*;
    act! { name: "nmts.ts-em-movups", set: [], armed: [], act: ["movups xmm0, xmm2"], }
    pub(super) const CASE: Case = Case {
        name: "ts-em-movups",
        rule: "CR0.TS and EM and an SSE instruction: #UD, not #NM.",
        prepare: || {
            route(6, 1, IST_FRAME);
            set_control(|cr0| cr0 | EM | TS, 0);
        },
        act: ACT,
        events: &[UD],
        registers: Registers { cr0: MP | EM | TS, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}
