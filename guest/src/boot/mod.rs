//! From the boot loader to compiled code.

mod entry;
pub(crate) mod info;
