//! A stock QEMU, driven over QMP: its guest is held at doorbells, saved, changed and loaded again.
//!
//! Guest memory is a file without a name that QEMU maps and this process reads and writes; the sockets and the files
//! with saved guests have no name either, and each QEMU is killed with the thread that started it. So nothing is left
//! of it, however this process ends.
//!
//! | module | holds |
//! |---|---|
//! | `vm` | one QEMU with its guest |
//! | `process` | its process |
//! | `qmp` | its control channel |
//! | `registers` | what its monitor says of the processor |
//! | [`migration`] | how a guest is saved, loaded, and sent to another QEMU |
//! | [`memory`] | the guest's memory |
//! | [`saved`] | a migration stream, and the fields of its sections by the names that QEMU gives them |
//! | [`apic`] | its local APIC |
//! | [`in_flight`] | the event that a saved guest has in flight |
//! | [`error`] | why a guest did not come where it should |

pub mod apic;
pub mod error;
pub mod in_flight;
pub mod memory;
pub mod migration;
mod process;
pub(crate) mod qmp;
pub(crate) mod registers;
pub mod saved;
pub(crate) mod vm;
