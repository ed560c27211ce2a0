//! #NM: the event data tells a disabled feature from CR0.TS, whatever IA32_XFD_ERR still holds.
//!
//! Rule: an #NM that extended feature disable (XFD) raises carries the value that it has put into
//! IA32_XFD_ERR; one of CR0.TS or CR0.EM carries 0 and leaves XFD_ERR alone (SDM vol. 3 ch. 8,
//! "FRED event data"; vol. 1 ch. 13, "Extended Feature Disable"). RF is set in the saved RFLAGS.
//!
//! Known bugs this tells apart from it: event data taken from a stale XFD_ERR for an #NM of CR0.TS;
//! event data lost when an interrupted delivery is begun again or moved to another machine.
#![no_std]
#![no_main]

use guest::act;
use guest::case::{Cancel, Case};
use guest::features::XCR0_TILES;
use guest::judge::disturbed::{RESTING, Registers};
use guest::judge::event::{Event, Rip, Stack};
use guest::protocol::need::Needs;
use guest::protocol::note::CaseFlags;
use guest::registers::{XFD, XFD_ERR, enable_components, set_task_switched, write_msr};

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
    ],
}

/// An #NM of CR0.TS in ring 0.
const TASK_SWITCHED: Event = Event {
    vector: 7,
    error_code: 0,
    rip: Rip::Act,
    cs: 0x0000_0000_0000_0008,
    rflags: 0x0001_0002,
    rsp: Stack::Act,
    ss: 0x0203_0007_0000_0010,
    event_data: 0x0,
    csl: 1,
    entry: 0x100,
    idt_frame_bytes: 40,
    ..Event::FAULT
};

/// TILEDATA, state component 18.
const TILEDATA: u64 = 0x4_0000;

mod ts_movups {
    use super::*;
    act! {
        name: "nm.ts-movups",
        set: ["movabs rdi, 0x8000004100"],
        armed: [],
        act: ["movups xmm0, [rdi]"],
    }
    pub(super) const CASE: Case = Case {
        name: "ts-movups",
        rule: "CR0.TS and an SSE instruction: data 0.",
        needs: Needs::empty(),
        flags: CaseFlags::empty(),
        in_handler: false,
        results: &[],
        prepare: set_task_switched,
        act: ACT,
        events: &[TASK_SWITCHED],
        registers: RESTING,
        cancel: Cancel::Payload { payload: 0x0, rflags: 0 },
    };
}

mod ts_fninit {
    use super::*;
    act! {
        name: "nm.ts-fninit",
        set: [],
        armed: [],
        act: ["fninit"],
    }
    pub(super) const CASE: Case = Case {
        name: "ts-fninit",
        rule: "CR0.TS and an x87 instruction: data 0.",
        act: ACT,
        ..ts_movups::CASE
    };
}

mod ts_stale_xfd_err {
    use super::*;
    act! {
        name: "nm.ts-stale-xfd-err",
        set: [],
        armed: [],
        act: ["fninit"],
    }
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
        registers: Registers { xfd_err: 0x4_0000, ..RESTING },
        ..ts_movups::CASE
    };
}

mod tilezero_xfd {
    use super::*;
    act! {
        name: "nm.tilezero-xfd",
        set: [],
        armed: [],
        act: ["tilezero tmm0"],
    }
    pub(super) const CASE: Case = Case {
        name: "tilezero-xfd",
        rule: "TILEZERO with TILEDATA disabled: data is what the fault put into XFD_ERR, bit 18.",
        needs: Needs::XFD.union(Needs::AMX),
        // The configuration comes first: XFD does not keep TILEZERO's #UD away from unconfigured tiles.
        prepare: || {
            enable_components(XCR0_TILES);
            guest::tiles::load();
            write_msr(XFD, TILEDATA);
        },
        act: ACT,
        events: &[Event { event_data: 0x4_0000, ..TASK_SWITCHED }],
        registers: Registers { xfd_err: 0x4_0000, ..RESTING },
        cancel: Cancel::Payload { payload: 0x4_0000, rflags: 0 },
        ..ts_movups::CASE
    };
}

mod ldtilecfg_xfd {
    use super::*;
    act! {
        name: "nm.ldtilecfg-xfd",
        set: ["lea rdi, [rip + {tiles}]"],
        armed: [],
        act: ["ldtilecfg [rdi]"],
        tiles = sym guest::tiles::ONE_ROW,
    }
    pub(super) const CASE: Case = Case {
        name: "ldtilecfg-xfd",
        rule: "LDTILECFG with TILEDATA disabled raises nothing: it touches TILECFG, and XFD_ERR stays 0.",
        needs: Needs::XFD.union(Needs::AMX),
        prepare: || {
            enable_components(XCR0_TILES);
            write_msr(XFD, TILEDATA);
        },
        act: ACT,
        flags: CaseFlags::CONFORMANCE,
        events: &[],
        cancel: Cancel::No,
        ..ts_movups::CASE
    };
}
