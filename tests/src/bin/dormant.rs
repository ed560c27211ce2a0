//! State that the guest cannot use while its event comes, and uses afterwards.
//!
//! Rule: IA32_XFD keeps instructions from TILEDATA, and CR0.TS from the x87 and SSE registers; neither changes what they hold.
//! DR0 to DR3 keep their addresses while DR7 enables none of them (SDM vol. 1 ch. 13, "Extended Feature Disable (XFD)"; vol. 3
//! ch. 2, "CR0.TS"; ch. 19, "Debug Address Registers"). Each case is stopped in a #PF; the handler enables what was disabled
//! and finds all of it.
//!
//! Known bugs that fail it: an XSAVE area that a hypervisor saves with the guest's XFD in force, which leaves TILEDATA out;
//! registers that are loaded lazily, at the next #NM or at the next write to DR7, and not at all after a migration.
#![no_std]
#![no_main]

use core::arch::asm;
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;
use tests::xsave_area::*;

guest::image! {
    name: "dormant",
    rule: "What the guest cannot use while an event comes is there when it can use it again.",
    spec: "SDM vol. 1 ch. 13 XFD; vol. 3 ch. 2 CR0.TS, ch. 19",
    cases: [tile_data::CASE, task_switched::CASE, breakpoints::CASE],
}

const FAULTED: Registers = Registers { cr2: UNMAPPED, ..RESTING };
const CANCEL: Cancel = Cancel::Payload { payload: UNMAPPED, rflags: 0 };

/// What is loaded, and what is found.
static AREAS: Areas<{ 2 * WITH_TILES }> = Areas::new();

/// How many of so many words are not as they were loaded.
fn changed(first: usize, count: usize) -> u64 {
    (first..first + count).filter(|&index| AREAS.word(index) != AREAS.word(WITH_TILES + index)).count() as u64
}

/// An instruction on the area at this index.
macro_rules! on_area {
    ($instruction:literal, $index:expr) => {
        // SAFETY: the area is large enough for all components, and compiled code uses none of them.
        unsafe {
            asm!(
                concat!($instruction, " [{}]"), in(reg) AREAS.at($index), in("eax") 0x6_0000,
                in("edx") 0, options(nostack, preserves_flags),
            )
        }
    };
}

mod tile_data {
    use super::*;
    act! { name: "dormant.tile-data", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }

    /// Palette 1 with 16 rows of 64 bytes in tile 5, and data.
    fn prepare() {
        enable_components(XCR0_TILES);
        AREAS.fill(0..2 * WITH_TILES, 0);
        AREAS.set(XSTATE_BV, 0x6_0000);
        AREAS.set(TILECFG, 1);
        AREAS.set(TILECFG + 3, 64 << 16);
        AREAS.set(TILECFG + 6, 16 << 40);
        (0..1024).for_each(|index| AREAS.set(TILEDATA_AT + index, 0xDA7A_0000_0000_0000 + index as u64));
        on_area!("xrstor64", 0);
        write_msr(XFD, TILEDATA);
    }
    fn look(_: &mut Frame) {
        write_msr(XFD, 0);
        on_area!("xsave64", WITH_TILES);
        // SAFETY: it makes tiles initial, which nothing uses.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
    pub(super) const CASE: Case = Case {
        name: "tile-data",
        rule: "Tile data in use while IA32_XFD disables it: after a #PF, and XFD cleared, XSAVE has configuration and data.",
        needs: Needs::XFD.union(Needs::AMX),
        prepare,
        act: ACT,
        events: &[Event { event_data: UNMAPPED, handler: Some(look), ..PF }],
        registers: Registers { xfd: TILEDATA, ..FAULTED },
        left: &Left { registers: Some(&FAULTED), ..Left::NEW },
        results: &[
            Check { expected: 0x6_0000, read: || AREAS.word(WITH_TILES + XSTATE_BV) },
            Check { expected: 0, read: || changed(TILECFG, 8) },
            // The one tile that is configured.
            Check { expected: 0, read: || changed(TILEDATA_AT + 5 * 128, 128) },
        ],
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod task_switched {
    use super::*;
    act! { name: "dormant.task-switched", set: ["movabs rdi, 0x8000001A58"], armed: [], act: ["mov rbx, [rdi]"], }

    /// In FXSAVE's format: control words but for those that say where an instruction was; ST0 to ST7; XMM2 to XMM15.
    fn prepare() {
        AREAS.fill(0..2 * WITH_TILES, 0);
        on_area!("fxsave64", 0);
        // FCW with rounding up, all of FTW full, MXCSR with rounding down.
        AREAS.set(0, 0xFF_0000_0B7F);
        AREAS.set(3, AREAS.word(3) & !0xFFFF_FFFF | 0x3F80);
        for register in 0..8 {
            AREAS.set(4 + 2 * register, 0x8000_57A7_0000_0000 | register as u64);
            AREAS.set(5 + 2 * register, 0x3FFF);
        }
        (24..52).for_each(|index| AREAS.set(index, 0x5E57_A7E0_0000_0000 | index as u64));
        on_area!("fxrstor64", 0);
        set_task_switched();
    }
    fn look(_: &mut Frame) {
        clear_task_switched();
        on_area!("fxsave64", WITH_TILES);
        // What every case begins with.
        AREAS.set(0, 0x37F);
        AREAS.set(3, AREAS.word(3) & !0xFFFF_FFFF | 0x1F80);
        on_area!("fxrstor64", 0);
        AREAS.set(0, 0xFF_0000_0B7F);
        AREAS.set(3, AREAS.word(3) & !0xFFFF_FFFF | 0x3F80);
    }
    pub(super) const CASE: Case = Case {
        name: "task-switched",
        rule: "x87 and SSE registers while CR0.TS is set: after a #PF, and CLTS, FXSAVE has FCW, FTW, MXCSR, ST0 to 7, XMM2 to 15.",
        prepare,
        act: ACT,
        events: &[Event { event_data: UNMAPPED, handler: Some(look), ..PF }],
        registers: Registers { cr0: MP | TS, ..FAULTED },
        left: &Left { registers: Some(&FAULTED), ..Left::NEW },
        results: &[
            Check { expected: 0xFF_0000_0B7F, read: || AREAS.word(WITH_TILES) & 0xFF_FFFF_FFFF },
            Check { expected: 0x3F80, read: || AREAS.word(WITH_TILES + 3) & 0xFFFF_FFFF },
            Check { expected: 0, read: || changed(4, 16) },
            Check { expected: 0, read: || changed(24, 28) },
        ],
        cancel: CANCEL,
        ..Case::NEW
    };
}

mod breakpoints {
    use super::*;
    act! {
        name: "dormant.breakpoints",
        set: ["movabs rdi, 0x8000001A58"],
        armed: [],
        act: ["mov rbx, [rdi]"],
        then: ["mov ecx, 0x77770455", "mov dr7, rcx", "movabs rdi, 0x8000004100", "mov rbx, [rdi]"],
    }
    /// DR7 with all four breakpoints, each for an access of 2 bytes.
    const ALL: u64 = 0x7777_0455;
    pub(super) const CASE: Case = Case {
        name: "breakpoints",
        rule: "DR0 to DR3 while DR7 enables none: after a #PF, and a write to DR7, a read meets all four.",
        prepare: || {
            set_dr0(0x0000_0080_0000_4100);
            set_dr1(0x0000_0080_0000_4102);
            set_dr2(0x0000_0080_0000_4104);
            set_dr3(0x0000_0080_0000_4106);
        },
        act: ACT,
        events: &[
            Event { event_data: UNMAPPED, ..PF },
            Event {
                rip: Rip::Last,
                rflags: RFLAGS,
                event_data: 0xF,
                // The page is zeros.
                general: &[(General::Rcx, ALL), (General::Rdi, 0x0000_0080_0000_4100), (General::Rbx, 0)],
                registers: Some(&Registers { dr6: DR6 | 0xF, dr7: ALL, ..FAULTED }),
                ..SINGLE_STEP
            },
        ],
        registers: FAULTED,
        cancel: CANCEL,
        ..Case::NEW
    };
}
