//! The first stage: linear to guest-physical addresses, and the accesses made through it.

pub(crate) mod access;
pub(crate) mod known;
pub(crate) mod linear;
pub(crate) mod tlb;
mod translate;
mod walk;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Execute,
}

/// With what right an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// CPL 3.
    User,
    /// CPL 0 to 2, by an instruction: RFLAGS.AC lifts SMAP.
    Supervisor,
    /// Descriptor tables, the TSS and event delivery: supervisor whatever the CPL, SMAP always on.
    Implicit,
}
