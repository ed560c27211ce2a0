//! A stock QEMU, driven over QMP: its guest is held at doorbells, saved, changed and loaded again.
//!
//! Guest memory is a file without a name that QEMU maps and this process reads and writes; the sockets and the files
//! with saved guests have no name either, and each QEMU is killed with the thread that started it. So nothing is left
//! of it, however this process ends.
//!
//! | module | holds |
//! |---|---|
//! | `vm` | one QEMU with its guest |
//! | `qmp` | its control channel |
//! | [`memory`] | the guest's memory |
//! | [`saved`] | a migration stream, and the fields of its sections by the names that QEMU gives them |
//! | [`in_flight`] | the event that a saved guest has in flight |
//! | [`error`] | why a guest did not come where it should |

pub mod error;
pub mod in_flight;
pub mod memory;
pub(crate) mod qmp;
pub mod saved;
pub(crate) mod vm;
