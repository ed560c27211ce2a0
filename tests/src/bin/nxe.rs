//! Without EFER.NXE: bit 63 of an entry is reserved, and a fetch does not show in the error code.
//!
//! Rule: with EFER.NXE clear any access through an entry whose bit 63 is set faults, present and reserved. The error code of a
//! fetch that faults has bit 4 only with EFER.NXE or CR4.SMEP (SDM vol. 3 ch. 5, "Page-Fault Exceptions", "Reserved Bits
//! with IA-32e Paging"; ch. 7, interrupt 14).
//!
//! The page that is stopped has bit 63 in its own entry, as have ring 3's stack and a window. A case clears it there.
//!
//! Known bugs that fail it: bit 4 that an emulated or shadowed walk takes from the access alone (FNAME(walk_addr_generic) of KVM
//! asks for is_efer_nx or is_cr4_smep); entries whose bit 63 is not looked at because the host has NX.
#![no_std]
#![no_main]

use guest::layout::{FRAME_TABLES, PAGE};
use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "nxe",
    rule: "Without EFER.NXE bit 63 is reserved, and bit 4 of a page fault's error code depends on CR4.SMEP.",
    spec: "SDM vol. 3 ch. 5 page faults, reserved bits; ch. 7 interrupt 14",
    cases: [read::CASE, write::CASE, fetch::CASE, fetch_smep::CASE],
}

/// The entry that maps the frame stack.
fn frame_entry() -> *mut u64 {
    FRAME_TABLES.start().plus(2 * PAGE).value() as *mut u64
}

/// Bit 63 of it is clear.
fn prepare() {
    // SAFETY: an entry of a page table, which nothing refers to; nothing is executed on that stack.
    unsafe { frame_entry().write_volatile(frame_entry().read_volatile() & !XD) }
}

/// Bits 11:0 of it; then bit 63 is set again.
fn rest() -> u64 {
    // SAFETY: as above.
    unsafe {
        let entry = frame_entry().read_volatile();
        frame_entry().write_volatile(entry | XD);
        entry & 0xFFF
    }
}

/// A case of a fault without EFER.NXE: SCE, LME and LMA stay set. `then` sets it again.
macro_rules! nxe {
    (
        $module:ident, $name:literal, $act:literal, $rule:literal, needs: $needs:expr, [$($line:literal),*], $prepare:expr,
        at: $at:expr, cr2: $cr2:expr, error_code: $error_code:expr
    ) => {
        mod $module {
            use super::*;
            act! {
                name: $act,
                set: ["movabs rdi, 0x8000001A40", "movabs rsi, 0x8000003A58", "mov ecx, 0xC0000080"],
                armed: ["rdmsr", "and eax, 0xFFFFF7FF", "wrmsr", "push 2", "popfq"],
                act: [$($line),*],
                then: ["or eax, 0x800", "wrmsr", "push 2", "popfq"],
            }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                needs: $needs,
                prepare: $prepare,
                act: Act { act: $at, ..ACT },
                events: &[Event {
                    error_code: $error_code,
                    event_data: $cr2,
                    general: &[(General::Rax, 0x501), (General::Rdx, 0)],
                    ..PF
                }],
                registers: Registers { cr2: $cr2, ..RESTING },
                left: &Left { general: &[(General::Rax, 0xD01)], ..Left::NEW },
                results: &[Check { expected: P | W | A | D, read: rest }],
                cancel: Cancel::No,
                ..Case::NEW
            };
        }
    };
}

/// Where the page that cannot be executed is read.
const DATA: u64 = 0x0000_0080_0000_3A58;
/// Where nothing is mapped.
const NOWHERE: u64 = 0x0000_0080_0000_1A40;

nxe! {
    read, "read", "nxe.read",
    "A read through an entry with bit 63: 0x9.",
    needs: Needs::empty(), ["mov rbx, [rsi]"], prepare,
    at: ACT.act, cr2: DATA, error_code: PFERR_PRESENT | PFERR_RESERVED
}
nxe! {
    write, "write", "nxe.write",
    "A write through an entry with bit 63: 0xB.",
    needs: Needs::empty(), ["mov [rsi], rbx"], prepare,
    at: ACT.act, cr2: DATA, error_code: PFERR_PRESENT | PFERR_RESERVED | PFERR_WRITE
}
nxe! {
    fetch, "fetch", "nxe.fetch",
    "A fetch from a page that is not present, without CR4.SMEP: 0x0.",
    needs: Needs::empty(), ["jmp rdi"], prepare,
    at: Address::new(NOWHERE), cr2: NOWHERE, error_code: 0
}
nxe! {
    fetch_smep, "fetch-smep", "nxe.fetch-smep",
    "A fetch from a page that is not present, with CR4.SMEP: 0x10.",
    needs: Needs::SMEP, ["jmp rdi"],
    || {
        prepare();
        set_control(|cr0| cr0, SMEP);
    },
    at: Address::new(NOWHERE), cr2: NOWHERE, error_code: PFERR_FETCH
}
