//! A guest that stands still, for gdb: `midflight debug`.
//!
//! gdb sees a copy of the guest and can change nothing: a debugger that disturbed the guest would be one more suspect.
//! `continue` runs the guest to the next stop: the doorbell that it rings when its judge has judged.
//!
//! | module | holds |
//! |---|---|
//! | `gdb` | the connection, and how it is served until gdb continues |
//! | `stopped` | the copy: registers, memory, and what `monitor` tells |
//! | `walk` | linear addresses by the guest's own page tables |
//! | `file` | the image as a file that gdb reads its symbols from |

mod file;
mod gdb;
mod stopped;
mod walk;

pub(crate) use gdb::{Debugger, Listener};
pub(crate) use stopped::StoppedGuest;
