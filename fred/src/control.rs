//! Control-register bits that the project touches and the `x86_64` crate does not all know.

/// CR4.FRED. Can be set only while EFER.LMA = 1, else #GP.
pub const CR4_FRED: u64 = 1 << 32;
/// CR4.OSFXSR: without it SSE instructions raise #UD before #NM is looked at.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXMMEXCPT: SSE exceptions raise #XM, without it #UD.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// CR4.OSXSAVE: XGETBV and XSETBV exist.
pub const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4.DE: debug extensions, DR4/DR5 raise #UD.
pub const CR4_DE: u64 = 1 << 3;
/// CR4.PAE.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4.LA57: page tables have five levels.
pub const CR4_LA57: u64 = 1 << 12;
/// CR4.SMEP.
pub const CR4_SMEP: u64 = 1 << 20;
/// CR4.SMAP.
pub const CR4_SMAP: u64 = 1 << 21;
/// CR0.PE.
pub const CR0_PE: u64 = 1 << 0;
/// CR0.MP.
pub const CR0_MP: u64 = 1 << 1;
/// CR0.EM: x87 instructions raise #NM.
pub const CR0_EM: u64 = 1 << 2;
/// CR0.TS: x87, SSE and AMX instructions raise #NM.
pub const CR0_TS: u64 = 1 << 3;
/// CR0.ET, always 1.
pub const CR0_ET: u64 = 1 << 4;
/// CR0.NE.
pub const CR0_NE: u64 = 1 << 5;
/// CR0.WP: supervisor writes respect read-only pages.
pub const CR0_WP: u64 = 1 << 16;
/// CR0.AM: alignment checks for CPL 3 with RFLAGS.AC.
pub const CR0_AM: u64 = 1 << 18;
/// CR0.PG.
pub const CR0_PG: u64 = 1 << 31;
/// EFER.SCE: SYSCALL and SYSRET exist.
pub const EFER_SCE: u64 = 1 << 0;
/// EFER.LME.
pub const EFER_LME: u64 = 1 << 8;
/// EFER.LMA, read-only.
pub const EFER_LMA: u64 = 1 << 10;
/// EFER.NXE.
pub const EFER_NXE: u64 = 1 << 11;

/// RFLAGS bits.
pub mod rflags {
    /// Bit 1, always 1: the value of RFLAGS after FRED event delivery.
    pub const FIXED: u64 = 1 << 1;
    /// Carry.
    pub const CF: u64 = 1 << 0;
    /// Parity.
    pub const PF: u64 = 1 << 2;
    /// Auxiliary carry.
    pub const AF: u64 = 1 << 4;
    /// Zero.
    pub const ZF: u64 = 1 << 6;
    /// Sign.
    pub const SF: u64 = 1 << 7;
    /// Trap: single step.
    pub const TF: u64 = 1 << 8;
    /// Interrupt enable.
    pub const IF: u64 = 1 << 9;
    /// Direction.
    pub const DF: u64 = 1 << 10;
    /// Overflow.
    pub const OF: u64 = 1 << 11;
    /// I/O privilege level, two bits.
    pub const IOPL: u64 = 3 << 12;
    /// Nested task.
    pub const NT: u64 = 1 << 14;
    /// Resume: the next instruction's execution breakpoint is ignored.
    pub const RF: u64 = 1 << 16;
    /// Virtual-8086 mode.
    pub const VM: u64 = 1 << 17;
    /// Alignment check, and SMAP override at CPL 0.
    pub const AC: u64 = 1 << 18;
    /// Virtual interrupt flag.
    pub const VIF: u64 = 1 << 19;
    /// Virtual interrupt pending.
    pub const VIP: u64 = 1 << 20;
    /// CPUID exists.
    pub const ID: u64 = 1 << 21;
}
