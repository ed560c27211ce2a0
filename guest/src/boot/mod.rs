//! From the boot loader to compiled code.

pub(crate) mod entry;
pub(crate) mod info;
