//! What an entry stub captures of one delivery, before any compiled code runs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One delivery as the entry stub saw it.
///
/// Under the IDT the frame's quadwords hold error code (0 where the vector has none), RIP, CS,
/// RFLAGS, RSP and SS in FRED's places and 0 in the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Delivery {
    /// The frame's quadwords in memory order.
    pub frame: [u64; 8],
    /// Linear address at which the processor entered: the FRED entry point or the IDT gate's target.
    pub entry_point: u64,
    /// RFLAGS at entry.
    pub entry_rflags: u64,
    /// RSP at entry: it points at the frame.
    pub entry_rsp: u64,
    /// IA32_GS_BASE at entry.
    pub gs_base: u64,
    /// IA32_KERNEL_GS_BASE at entry.
    pub kernel_gs_base: u64,
    /// CR2 at entry.
    pub cr2: u64,
    /// DR6 at entry.
    pub dr6: u64,
    /// DR7 at entry.
    pub dr7: u64,
    /// IA32_FRED_CONFIG at entry, with the current stack level; 0 under the IDT.
    pub fred_config: u64,
    /// IA32_XFD at entry; 0 where it does not exist.
    pub xfd: u64,
    /// IA32_XFD_ERR at entry; 0 where it does not exist.
    pub xfd_err: u64,
    /// The vector: under FRED from the frame, under the IDT from the gate that was taken.
    pub vector: u64,
    /// CR0 at entry.
    pub cr0: u64,
    /// IA32_FS_BASE at entry.
    pub fs_base: u64,
    /// IA32_DEBUGCTL at entry; 0 unless the case has written it.
    pub debugctl: u64,
    /// The general registers at entry, RSP left out: see [`crate::field::GENERAL`].
    pub general: [u64; 15],
    /// XMM0 and XMM1 at entry, low half first; 0 while CR0 keeps instructions from them.
    pub xmm: [u64; 4],
}

impl Delivery {
    /// Nothing captured.
    pub const EMPTY: Self = Self {
        frame: [0; 8],
        entry_point: 0,
        entry_rflags: 0,
        entry_rsp: 0,
        gs_base: 0,
        kernel_gs_base: 0,
        cr2: 0,
        dr6: 0,
        dr7: 0,
        fred_config: 0,
        xfd: 0,
        xfd_err: 0,
        vector: 0,
        cr0: 0,
        fs_base: 0,
        debugctl: 0,
        general: [0; 15],
        xmm: [0; 4],
    };
}
