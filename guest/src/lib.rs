//! The test kernel: everything an image needs but its cases.
//!
//! An image raises events one at a time, captures the whole of what its handler received, and
//! compares every field with what the architecture says. It runs alone (QEMU, bare metal), where
//! it prints lines and ends by a port, or under the host, where it takes cases from the mailbox
//! and leaves verdicts there. It never knows which machine it is on.
//!
//! | module | holds |
//! |---|---|
//! | [`case`], [`note`] | portable: declaration of a case, and the note made of it |
//! | [`judge`], [`options`] | portable: the comparison, the command line |
//! | `boot` | the 32-bit entry (PVH and Multiboot2), page tables, the command line's place |
//! | `segments`, `paging`, `layout` | selectors, GDT and TSS; windows for faults; pages and stacks |
//! | `entry` | FRED and IDT set-up, the stubs that capture |
//! | `act` | how an act is written and entered |
//! | `registers`, `features` | control, debug and model-specific registers; CPUID |
//! | `routes` | which stack an event lands on, for a case that needs another than most |
//! | `tiles` | a tile configuration, for cases of XFD |
//! | `run`, `report`, `serial`, `exit` | the loop over cases, lines, the UART, the end |
//!
//! # Adding a case
//! A case is a module in its image's file, `tests/src/bin/<image>.rs`, with an act and a `CASE`:
//!
//! ```ignore
//! mod read_unmapped {
//!     use super::*;
//!     act! {
//!         name: "pf.read-unmapped",            // prefix of the symbols .start, .act and .after
//!         set: ["movabs rdi, {address}"],      // any register but RAX, RDX and RSP
//!         armed: [],                           // between the doorbell and the act: TF, DX
//!         act: ["mov rbx, [rdi]"],             // the one instruction that raises the event
//!         address = const 0x80_0000_1A58_u64,
//!     }
//!     pub(super) const CASE: Case = Case { name: "read-unmapped", act: ACT, /* … */ };
//! }
//! ```
//!
//! 1. Write the rule it proves into `rule`, and the expectation into `events` and `registers`, as
//!    literals from the manual. Start from the image's constant for its vector and override.
//!    A second event is the instruction in the act's `then`; `events` then has two. Where an event
//!    must land elsewhere than most do, `prepare` says so through `routes`.
//! 2. Give `cancel` the payload, so that the host can bring the event about itself.
//! 3. Name the module in the list of `image!`. Its place there is the case's index; there is no
//!    other list.
//! 4. Break the expectation once and see the FAIL line.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod case;
pub mod judge;
pub mod note;
pub mod options;

pub use protocol;

#[cfg(target_os = "none")]
pub mod act;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod exit;
#[cfg(target_os = "none")]
pub mod features;
#[cfg(target_os = "none")]
pub mod image;
#[cfg(target_os = "none")]
pub mod layout;
#[cfg(target_os = "none")]
pub mod paging;
#[cfg(target_os = "none")]
pub mod registers;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
pub mod routes;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod segments;
#[cfg(target_os = "none")]
mod serial;
#[cfg(target_os = "none")]
pub mod tiles;
