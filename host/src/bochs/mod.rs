//! Bochs as a program: what it is given, and a disk from which its firmware fills memory.
//!
//! The [firmware] loads pieces of memory and registers and knows no format. So a guest is laid out here, as
//! [`Memory`](memory::Memory): an image by the PVH boot ABI, a kernel by Linux's boot protocol. Everything that Bochs reads is in
//! memory files, so that nothing is left when this process or Bochs is killed.
//!
//! | module | holds |
//! |---|---|
//! | [`memory`] | what the firmware loads, as a disk |
//! | [`pvh`] | an image and its command line by the PVH boot ABI |
//! | [`linux`] | a Linux kernel with initrd and command line: a bzImage |
//! | `payload` | the vmlinux in a bzImage |
//! | `vmlinux` | the same of an ELF file, by the PVH boot ABI |
//! | [`configuration`] | the file with Bochs' options |
//! | [`program`] | which Bochs it is, and a guest in it |
//! | [`error`] | why there is no Bochs, or no result from it |

pub mod configuration;
pub mod error;
pub mod linux;
pub mod memory;
pub(crate) mod payload;
pub mod program;
pub mod pvh;
mod vmlinux;
