//! The test kernel: everything an image needs but its cases.
//!
//! It boots by PVH or Multiboot2, raises one event at a time, captures the whole of what the handler received
//! before any compiled code runs, and compares every field with what the case says. Alone (QEMU, bare metal) it
//! prints lines and ends by a port; under a host it takes cases from the mailbox and leaves verdicts there. It
//! does not know which machine it is on, nor why a delivery took as long as it did. Begin with [`case`], then
//! `act` and [`judge`].
//!
//! A case is its difference from [`Case::NEW`](case::Case::NEW), and an event from
//! [`Event::NEW`](judge::event::Event::NEW):
//!
//! ```
//! use guest::prelude::*;
//!
//! const QUIET: Case = Case { name: "quiet", rule: "A NOP raises nothing.", ..Case::NEW };
//! const UD: Event = Event { vector: 6, ss: 0x0203_0006_0000_0010, ..Event::NEW };
//! assert!(QUIET.events.is_empty() && UD.rip == Rip::Act);
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`prelude`] | all that an image needs |
//! | [`case`], [`note`] | portable: declaration of a case, and the note made of it |
//! | [`judge`], [`options`] | portable: the comparison, the command line |
//! | `boot` | the 32-bit entry (PVH and Multiboot2), page tables, the command line's place |
//! | `segments`, `paging`, `layout` | selectors, GDT and TSS; windows for faults; pages and stacks |
//! | `entry` | FRED and IDT set-up, the entry stubs, the capture |
//! | `act` | how an act is written and entered |
//! | `general_registers` | the general registers to and from memory, in assembly |
//! | `registers`, `features` | control, debug and model-specific registers; CPUID |
//! | `routes` | which stack an event lands on, for a case that needs another than most |
//! | `tiles` | a tile configuration, for cases of XFD |
//! | `run`, `report`, `serial`, `exit` | the loop over cases, lines, the UART, the end |
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod case;
pub mod judge;
pub mod note;
pub mod options;
pub mod prelude;

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
mod general_registers;
#[cfg(target_os = "none")]
pub mod image;
#[cfg(target_os = "none")]
pub mod layout;
#[cfg(target_os = "none")]
pub mod paging;
#[cfg(target_os = "none")]
mod registers;
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
