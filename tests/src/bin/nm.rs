//! #NM: the event data tells a disabled feature from CR0.TS, whatever IA32_XFD_ERR still holds.
//!
//! Rule: an #NM that extended feature disable (XFD) raises carries the value that it has put into
//! IA32_XFD_ERR; one of CR0.TS or CR0.EM carries 0 and leaves XFD_ERR alone (SDM vol. 3 ch. 8,
//! "FRED event data"; vol. 1 ch. 13, "Extended Feature Disable"). RF is set in the saved RFLAGS.
//!
//! Known bugs that fail it: event data taken from a stale XFD_ERR for an #NM of CR0.TS;
//! event data lost when an interrupted delivery is begun again or migrated.
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "nm",
    rule: "The event data of #NM is what XFD put into XFD_ERR, and 0 when CR0.TS was the cause.",
    spec: "SDM vol. 3 ch. 8 FRED, event data; vol. 1 ch. 13 XFD",
    cases: [
        ts_movups::CASE,
        ts_fninit::CASE,
        ts_stale_xfd_err::CASE,
        tilezero_xfd::CASE,
        ldtilecfg_xfd::CASE,
        mmx_ts::CASE,
        mmx_em::CASE,
    ],
}

mod ts_movups {
    use super::*;
    act! { name: "nm.ts-movups", set: ["movabs rdi, 0x8000004100"], armed: [], act: ["movups xmm0, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "ts-movups",
        rule: "CR0.TS and an SSE instruction: data 0.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | TS, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_fninit {
    use super::*;
    act! { name: "nm.ts-fninit", set: [], armed: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "ts-fninit",
        rule: "CR0.TS and an x87 instruction: data 0.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | TS, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod ts_stale_xfd_err {
    use super::*;
    act! { name: "nm.ts-stale-xfd-err", set: [], armed: [], act: ["fninit"], }
    pub(super) const CASE: Case = Case {
        name: "ts-stale-xfd-err",
        rule: "CR0.TS while XFD_ERR still holds an earlier fault's value: data 0, and XFD_ERR stays.",
        needs: Needs::XFD,
        // Only TILEDATA can be disabled on any processor so far, so XFD means that XFD_ERR has this bit.
        prepare: || {
            write_msr(XFD_ERR, TILEDATA);
            set_task_switched();
        },
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | TS, xfd_err: TILEDATA, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod tilezero_xfd {
    use super::*;
    act! { name: "nm.tilezero-xfd", set: [], armed: [], act: ["tilezero tmm0"], }
    pub(super) const CASE: Case = Case {
        name: "tilezero-xfd",
        rule: "TILEZERO with TILEDATA disabled: data is what the fault put into XFD_ERR, bit 18.",
        needs: Needs::XFD.union(Needs::AMX),
        prepare: tiles::disable,
        act: ACT,
        events: &[Event { event_data: TILEDATA, ..NM }],
        registers: Registers { xfd: TILEDATA, xfd_err: TILEDATA, ..RESTING },
        cancel: Cancel::Payload { payload: TILEDATA, rflags: 0 },
        ..Case::NEW
    };
}

mod ldtilecfg_xfd {
    use super::*;
    act! {
        name: "nm.ldtilecfg-xfd",
        set: ["lea rdi, [rip + {tiles}]"],
        armed: [],
        act: ["ldtilecfg [rdi]"],
        tiles = sym tiles::ONE_ROW,
    }
    pub(super) const CASE: Case = Case {
        name: "ldtilecfg-xfd",
        rule: "LDTILECFG with TILEDATA disabled raises nothing: it touches TILECFG, and XFD_ERR stays 0.",
        needs: Needs::XFD.union(Needs::AMX),
        flags: CaseFlags::CONFORMANCE,
        prepare: || {
            enable_components(XCR0_TILES);
            write_msr(XFD, TILEDATA);
        },
        act: ACT,
        registers: Registers { xfd: TILEDATA, ..RESTING },
        ..Case::NEW
    };
}

mod mmx_ts {
    use super::*;
    act! { name: "nm.mmx-ts", set: [], armed: [], act: ["movq mm0, mm1"], }
    pub(super) const CASE: Case = Case {
        name: "mmx-ts",
        rule: "CR0.TS and an MMX instruction: data 0.",
        prepare: set_task_switched,
        act: ACT,
        events: &[NM],
        registers: Registers { cr0: MP | TS, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}

mod mmx_em {
    use super::*;
    act! { name: "nm.mmx-em", set: [], armed: [], act: ["pxor mm0, mm1"], }
    pub(super) const CASE: Case = Case {
        name: "mmx-em",
        rule: "CR0.EM and an MMX instruction: #UD, not #NM.",
        prepare: || {
            route(6, 1, IST_FRAME);
            set_control(|cr0| cr0 | EM, 0);
        },
        act: ACT,
        events: &[UD],
        registers: Registers { cr0: MP | EM, ..RESTING },
        cancel: Cancel::Payload { payload: 0, rflags: 0 },
        ..Case::NEW
    };
}
