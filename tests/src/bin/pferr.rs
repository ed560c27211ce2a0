//! The error code of #PF: each bit, alone and with the others.
//!
//! Rule: bit 0 says that the walk ended at a present page, 1 that the access was a write, 2 that it was made in
//! ring 3, 3 that an entry had a reserved bit set, 4 that it was an instruction fetch, which is only told apart
//! with EFER.NXE or CR4.SMEP (SDM vol. 3, "Page-Fault Exceptions", "Interrupt 14"). Event data and CR2 are the
//! address, whatever the code.
//!
//! Out: bit 5, protection keys, and 15, SGX: the model offers neither. 5-level paging: the image boots with 4.
//!
//! Known bugs that fail it: an error code rebuilt from the access when the event is injected again; RSVD that
//! means MMIO to a shadow MMU and is kept from the guest (handle_mmio_page_fault, PFERR_RSVD_MASK).
#![no_std]
#![no_main]

use guest::prelude::*;
use tests::event::*;
use tests::manual::*;

guest::image! {
    name: "pferr",
    rule: "Each bit of a page fault's error code, from either ring; event data and CR2 are the address.",
    spec: "SDM vol. 3 ch. 5 page-fault exceptions; ch. 7 interrupt 14",
    cases: [
        write_unmapped::CASE, fetch_unmapped::CASE, read_supervisor_ring3::CASE, write_unmapped_ring3::CASE,
        write_read_only_ring3::CASE, fetch_nx_ring3::CASE, fetch_unmapped_ring3::CASE, reserved_read::CASE,
        reserved_write::CASE, reserved_fetch::CASE, reserved_ring3::CASE, reserved_address::CASE, reserved_address_1g::CASE,
    ],
}

/// Where data is accessed on the case's own page.
const DATA: u64 = 0x0000_0180_0000_0A58;
/// Where code is fetched from.
const CODE: u64 = 0x0000_0180_0000_0040;
/// An entry above the last level.
const TABLE: u64 = P | W | U | A;
/// A page of ring 3.
const USER_PAGE: u64 = P | W | U | A | D;

/// A fault at [`DATA`] in ring 0.
const FAULT: Event = Event { event_data: DATA, ..PF };
/// A fault at [`DATA`] in ring 3.
const USER_FAULT: Event = Event {
    cs: USER_CS,
    rsp: Stack::User,
    ss: user_ss_slot(HARDWARE_EXCEPTION, 14),
    csl: 0,
    entry: 0,
    ..FAULT
};
/// CR2 after a fault at [`DATA`].
const DATA_FAULTED: Registers = Registers { cr2: DATA, ..RESTING };
/// CR2 after a fault at [`CODE`].
const CODE_FAULTED: Registers = Registers { cr2: CODE, ..RESTING };

mod write_unmapped {
    use super::*;
    act! { name: "pferr.write-unmapped", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write-unmapped",
        rule: "A write to a page that is not present: 0x2.",
        prepare: || paging::set_own([TABLE, TABLE, TABLE, 0]),
        act: ACT,
        events: &[Event { error_code: PFERR_WRITE, ..FAULT }],
        registers: DATA_FAULTED,
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod fetch_unmapped {
    use super::*;
    act! { name: "pferr.fetch-unmapped", set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "fetch-unmapped",
        rule: "A fetch from a page that is not present: 0x10, RIP the address.",
        prepare: || paging::set_own([TABLE, TABLE, TABLE, 0]),
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event { error_code: PFERR_FETCH, event_data: CODE, ..PF }],
        registers: CODE_FAULTED,
        cancel: Cancel::Payload { payload: CODE, rflags: 0 },
        ..Case::NEW
    };
}

mod read_supervisor_ring3 {
    use super::*;
    act_ring3! { name: "pferr.read-supervisor-ring3", set: ["movabs rdi, 0x18000000A58"], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "read-supervisor-ring3",
        rule: "A read of a supervisor page in ring 3: 0x5.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || paging::set_own([TABLE, TABLE, TABLE, P | W | A | D]),
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_USER, ..USER_FAULT }],
        registers: DATA_FAULTED,
        ..Case::NEW
    };
}

mod write_unmapped_ring3 {
    use super::*;
    act_ring3! { name: "pferr.write-unmapped-ring3", set: ["movabs rdi, 0x18000000A58"], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write-unmapped-ring3",
        rule: "A write to a page that is not present in ring 3: 0x6.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || paging::set_own([TABLE, TABLE, TABLE, 0]),
        act: ACT,
        events: &[Event { error_code: PFERR_WRITE | PFERR_USER, ..USER_FAULT }],
        registers: DATA_FAULTED,
        ..Case::NEW
    };
}

mod write_read_only_ring3 {
    use super::*;
    act_ring3! { name: "pferr.write-read-only-ring3", set: ["movabs rdi, 0x18000000A58"], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "write-read-only-ring3",
        rule: "A write to a read-only page in ring 3: 0x7, with CR0.WP = 0 too.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || {
            paging::set_own([TABLE, TABLE, TABLE, P | U | A]);
            set_control(|cr0| cr0 & !WP, 0);
        },
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE | PFERR_USER, ..USER_FAULT }],
        registers: DATA_FAULTED,
        ..Case::NEW
    };
}

mod fetch_nx_ring3 {
    use super::*;
    act_ring3! { name: "pferr.fetch-nx-ring3", set: ["movabs rdi, 0x18000000040"], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "fetch-nx-ring3",
        rule: "A fetch from a no-execute page in ring 3: 0x15, RIP the address.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || paging::set_own([TABLE, TABLE, TABLE, USER_PAGE | XD]),
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event {
            error_code: PFERR_PRESENT | PFERR_USER | PFERR_FETCH,
            event_data: CODE,
            ..USER_FAULT
        }],
        registers: CODE_FAULTED,
        ..Case::NEW
    };
}

mod fetch_unmapped_ring3 {
    use super::*;
    act_ring3! { name: "pferr.fetch-unmapped-ring3", set: ["movabs rdi, 0x18000000040"], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "fetch-unmapped-ring3",
        rule: "A fetch from a page that is not present in ring 3: 0x14, RIP the address.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || paging::set_own([TABLE, TABLE, TABLE, 0]),
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event { error_code: PFERR_USER | PFERR_FETCH, event_data: CODE, ..USER_FAULT }],
        registers: CODE_FAULTED,
        ..Case::NEW
    };
}

mod reserved_read {
    use super::*;
    act! { name: "pferr.reserved-read", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "reserved-read",
        rule: "A read through a PML4 entry with bit 7 set: 0x9.",
        prepare: || paging::set_own([TABLE | PS, TABLE, TABLE, USER_PAGE]),
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_RESERVED, ..FAULT }],
        registers: DATA_FAULTED,
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod reserved_write {
    use super::*;
    act! { name: "pferr.reserved-write", set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov [rdi], rbx"], }
    pub(super) const CASE: Case = Case {
        name: "reserved-write",
        rule: "A write to a page of 2 MiB whose entry has bit 13 set: 0xB.",
        prepare: || paging::set_own([TABLE, TABLE, USER_PAGE | PS | LARGE_RESERVED, 0]),
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_WRITE | PFERR_RESERVED, ..FAULT }],
        registers: DATA_FAULTED,
        cancel: Cancel::Payload { payload: DATA, rflags: 0 },
        ..Case::NEW
    };
}

mod reserved_fetch {
    use super::*;
    act! { name: "pferr.reserved-fetch", set: ["movabs rdi, 0x18000000040"], armed: [], act: ["jmp rdi"], }
    pub(super) const CASE: Case = Case {
        name: "reserved-fetch",
        rule: "A fetch through a PDPT entry with bits 7 and 13 set, reserved with pages of 1 GiB or without: 0x19.",
        prepare: || paging::set_own([TABLE, USER_PAGE | PS | LARGE_RESERVED, 0, 0]),
        act: Act { act: Address::new(CODE), ..ACT },
        events: &[Event { error_code: PFERR_PRESENT | PFERR_RESERVED | PFERR_FETCH, event_data: CODE, ..PF }],
        registers: CODE_FAULTED,
        cancel: Cancel::Payload { payload: CODE, rflags: 0 },
        ..Case::NEW
    };
}

mod reserved_ring3 {
    use super::*;
    act_ring3! { name: "pferr.reserved-ring3", set: ["movabs rdi, 0x18000000A58"], act: ["mov rbx, [rdi]"], }
    pub(super) const CASE: Case = Case {
        name: "reserved-ring3",
        rule: "A read through an entry with a reserved bit in ring 3: 0xD.",
        needs: Needs::USER,
        flags: CaseFlags::USER,
        prepare: || paging::set_own([TABLE | PS, TABLE, TABLE, USER_PAGE]),
        act: ACT,
        events: &[Event { error_code: PFERR_PRESENT | PFERR_USER | PFERR_RESERVED, ..USER_FAULT }],
        registers: DATA_FAULTED,
        ..Case::NEW
    };
}

/// A case whose large page has an address that is not a multiple of its size: a read in ring 0.
macro_rules! reserved_address {
    ($module:ident, $name:literal, $act:literal, $rule:literal, $walk:expr) => {
        mod $module {
            use super::*;
            act! { name: $act, set: ["movabs rdi, 0x18000000A58"], armed: [], act: ["mov rbx, [rdi]"], }
            pub(super) const CASE: Case = Case {
                name: $name,
                rule: $rule,
                prepare: || paging::set_own($walk),
                act: ACT,
                events: &[Event { error_code: PFERR_PRESENT | PFERR_RESERVED, ..FAULT }],
                registers: DATA_FAULTED,
                cancel: Cancel::Payload { payload: DATA, rflags: 0 },
                ..Case::NEW
            };
        }
    };
}
reserved_address! {
    reserved_address, "reserved-address", "pferr.reserved-address",
    "A read of a page of 2 MiB whose entry has bit 20 of the address set: 0x9.",
    [TABLE, TABLE, USER_PAGE | PS | 1 << 20, 0]
}
reserved_address! {
    reserved_address_1g, "reserved-address-1g", "pferr.reserved-address-1g",
    "A read through a PDPT entry with PS and bit 29 of the address, reserved with pages of 1 GiB or without: 0x9.",
    [TABLE, USER_PAGE | PS | 1 << 29, 0, 0]
}
