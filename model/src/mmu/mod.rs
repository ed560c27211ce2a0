//! The first stage.
pub(crate) mod tlb;
