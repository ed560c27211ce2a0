//! The manual's symbols (SDM vol. 3 ch. 8 unless said otherwise), each pinned to a literal below.

/// External interrupt.
pub const EXTERNAL_INTERRUPT: u64 = 0;
/// NMI.
pub const NON_MASKABLE_INTERRUPT: u64 = 2;
/// Hardware exception.
pub const HARDWARE_EXCEPTION: u64 = 3;
/// INT n.
pub const SOFTWARE_INTERRUPT: u64 = 4;
/// INT1.
pub const PRIVILEGED_SOFTWARE_EXCEPTION: u64 = 5;
/// INT3.
pub const SOFTWARE_EXCEPTION: u64 = 6;
/// SYSCALL, vector 1, and SYSENTER, vector 2.
pub const OTHER_EVENT: u64 = 7;

/// The selector of ring-3 code: the whole CS slot, as ring 3 has stack level 0.
pub const USER_CS: u64 = 0x2B;

/// The CS slot of ring-0 code on a stack level.
pub const fn cs_slot(stack_level: u64) -> u64 {
    0x08 | stack_level << 16
}

/// The SS slot of an event in ring 0.
pub const fn ss_slot(event_type: u64, vector: u64) -> u64 {
    0x10 | event(event_type, vector)
}

/// The SS slot of an event in ring 3.
pub const fn user_ss_slot(event_type: u64, vector: u64) -> u64 {
    0x23 | event(event_type, vector)
}

/// Vector, event type, and bit 57, since all code here is 64-bit.
const fn event(event_type: u64, vector: u64) -> u64 {
    vector << 32 | event_type << 48 | 1 << 57
}

/// The SS slot's instruction length, in bytes.
pub const fn ss_length(bytes: u64) -> u64 {
    bytes << 60
}

/// SS slot: blocking by STI was in effect.
pub const SS_STI: u64 = 1 << 16;
/// SS slot: SYSCALL, SYSENTER or INT n.
pub const SS_SOFTWARE: u64 = 1 << 17;
/// SS slot: NMI.
pub const SS_NMI: u64 = 1 << 18;
/// SS slot: nested exception.
pub const SS_NESTED: u64 = 1 << 58;

/// RFLAGS with every flag clear: bit 1 is always 1.
pub const RFLAGS: u64 = 1 << 1;
/// RFLAGS with every flag set that an act can have without an event of its own: AC, NT, IOPL 3, OF, DF, SF, ZF,
/// AF, PF, CF. Some of them would be lost by a delivery that computes RFLAGS.
pub const RICH: u64 = 0x0004_7CD7;
/// The same in ring 3, to which ERETU returns with an IOPL of 0 only.
pub const USER_RICH: u64 = 0x0004_4CD7;
/// What a gate of the IDT makes of [`RICH`]: NT is clear.
pub const GATED_RICH: u64 = 0x0004_3CD7;
/// What it makes of [`USER_RICH`].
pub const GATED_USER_RICH: u64 = 0x0004_0CD7;
/// RFLAGS.TF.
pub const TF: u64 = 1 << 8;
/// RFLAGS.IF.
pub const IF: u64 = 1 << 9;
/// RFLAGS.RF.
pub const RF: u64 = 1 << 16;
/// RFLAGS.DF.
pub const DF: u64 = 1 << 10;
/// RFLAGS.AC.
pub const AC: u64 = 1 << 18;

/// Page-table entry: present (ch. 5, "4-Level Paging and 5-Level Paging").
pub const P: u64 = 1 << 0;
/// Page-table entry: R/W.
pub const W: u64 = 1 << 1;
/// Page-table entry: U/S.
pub const U: u64 = 1 << 2;
/// Page-table entry: accessed.
pub const A: u64 = 1 << 5;
/// Page-table entry: dirty.
pub const D: u64 = 1 << 6;
/// Page-table entry: a large page; reserved in a PML4 entry.
pub const PS: u64 = 1 << 7;
/// Page-table entry of a large page of 2 MiB or 1 GiB: one of the reserved bits.
pub const LARGE_RESERVED: u64 = 1 << 13;
/// Page-table entry: XD.
pub const XD: u64 = 1 << 63;

/// Error code of #PF: the page was present.
pub const PFERR_PRESENT: u64 = 1 << 0;
/// Error code of #PF: a write.
pub const PFERR_WRITE: u64 = 1 << 1;
/// Error code of #PF: from ring 3.
pub const PFERR_USER: u64 = 1 << 2;
/// Error code of #PF: a reserved bit was set in an entry.
pub const PFERR_RESERVED: u64 = 1 << 3;
/// Error code of #PF: an instruction fetch.
pub const PFERR_FETCH: u64 = 1 << 4;

/// DR6 when nothing has happened.
pub const DR6: u64 = 0xFFFF_0FF0;
/// DR6 and event data of #DB: breakpoint 0.
pub const B0: u64 = 1 << 0;
/// DR6 and event data of #DB: an access to a debug register under DR7.GD.
pub const BD: u64 = 1 << 13;
/// DR6 and event data of #DB: single step.
pub const BS: u64 = 1 << 14;
/// DR6: task switch.
pub const BT: u64 = 1 << 15;
/// DR7 without a breakpoint: bit 10 is always 1.
pub const DR7: u64 = 1 << 10;
/// DR7.L0.
pub const L0: u64 = 1 << 0;
/// DR7.GD.
pub const GD: u64 = 1 << 13;
/// DR7.R/W0 and LEN0: a write of 8 bytes.
pub const WRITE_8: u64 = 0b1001 << 16;
/// IA32_DEBUGCTL.BTF.
pub const BTF: u64 = 1 << 1;

/// CR0.MP, which is set here (ch. 2).
pub const MP: u64 = 1 << 1;
/// CR0.EM.
pub const EM: u64 = 1 << 2;
/// CR0.TS.
pub const TS: u64 = 1 << 3;
/// CR0.WP.
pub const WP: u64 = 1 << 16;
/// CR0.AM.
pub const AM: u64 = 1 << 18;
/// CR4.OSXMMEXCPT.
pub const OSXMMEXCPT: u64 = 1 << 10;
/// CR4.SMEP.
pub const SMEP: u64 = 1 << 20;
/// CR4.SMAP.
pub const SMAP: u64 = 1 << 21;
/// IA32_XFD, IA32_XFD_ERR and event data of #NM: state component 18 (vol. 1 ch. 13).
pub const TILEDATA: u64 = 1 << 18;

const _: () = {
    assert!(ss_slot(EXTERNAL_INTERRUPT, 31) == 0x0200_001F_0000_0010);
    assert!(ss_slot(NON_MASKABLE_INTERRUPT, 2) | SS_NMI == 0x0202_0002_0004_0010);
    assert!(ss_slot(HARDWARE_EXCEPTION, 14) == 0x0203_000E_0000_0010);
    assert!(ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED == 0x0603_000E_0000_0010);
    assert!(ss_slot(HARDWARE_EXCEPTION, 6) | SS_STI == 0x0203_0006_0001_0010);
    assert!(ss_slot(SOFTWARE_INTERRUPT, 0x80) | SS_SOFTWARE | ss_length(2) == 0x2204_0080_0002_0010);
    assert!(ss_slot(PRIVILEGED_SOFTWARE_EXCEPTION, 1) | ss_length(1) == 0x1205_0001_0000_0010);
    assert!(ss_slot(SOFTWARE_EXCEPTION, 3) | ss_length(1) == 0x1206_0003_0000_0010);
    assert!(user_ss_slot(OTHER_EVENT, 1) | SS_SOFTWARE | ss_length(2) == 0x2207_0001_0002_0023);
    assert!(cs_slot(0) == 0x0000_0008 && cs_slot(2) == 0x0002_0008 && USER_CS == 0x0000_002B);
    assert!(RFLAGS == 0x2 && TF == 0x100 && IF == 0x200 && RF == 0x1_0000);
    assert!(DF == 0x400 && AC == 0x4_0000 && PFERR_RESERVED == 0x8);
    assert!(P == 0x1 && W == 0x2 && U == 0x4 && A == 0x20 && D == 0x40 && PS == 0x80 && XD == 1 << 63);
    assert!(EM == 0x4 && WP == 0x1_0000 && AM == 0x4_0000 && OSXMMEXCPT == 0x400);
    assert!(SMEP == 0x10_0000 && SMAP == 0x20_0000 && LARGE_RESERVED == 0x2000);
    assert!(PFERR_PRESENT == 0x1 && PFERR_WRITE == 0x2 && PFERR_USER == 0x4 && PFERR_FETCH == 0x10);
    assert!(DR6 == 0xFFFF_0FF0 && B0 == 0x1 && BD == 0x2000 && BS == 0x4000 && BT == 0x8000);
    assert!(DR7 == 0x400 && DR7 | L0 | WRITE_8 == 0x9_0401 && DR7 | GD == 0x2400);
    assert!(BTF == 0x2 && MP == 0x2 && TS == 0x8 && TILEDATA == 0x4_0000);
};
