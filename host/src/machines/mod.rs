//! Machines: whatever can boot an image, stop it, save it and restore it.

pub mod narrowed;
pub mod qemu;
