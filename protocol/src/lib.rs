//! What guest and host share, written once for both.
//!
//! Ports, the doorbell, the mailbox page and the image's note, `no_std` and with one [`VERSION`]. It knows neither
//! the architecture (a vector is a number here) nor machines, stops and migrations. Begin with the conversation
//! below, then [`mailbox`] and [`note`].
//!
//! ```
//! use protocol::doorbell::Doorbell;
//!
//! // Written to `port::DOORBELL` by the guest and decoded by the host:
//! assert_eq!(Doorbell::decode(Doorbell::Armed(3).encode()), Some(Doorbell::Armed(3)));
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`port`] | I/O ports |
//! | [`doorbell`] | the values of the doorbell port: `Ready`, `Armed(case)`, `Done(case)` |
//! | [`exit`] | how an image ends |
//! | [`mailbox`] | the page through which a case is chosen and its verdict returned |
//! | [`delivery`] | what an entry stub captures of one delivery |
//! | [`disturbance`] | registers that the host rewrote while a delivery was stopped |
//! | [`field`], [`compared`] | the fields that a judge compares; how many a pass must have compared |
//! | [`name`] | what the names of images and cases may be |
//! | [`note`] | the ELF note by which an image describes itself and its cases |
//! | [`need`] | what a case needs of the machine |
//!
//! A conversation: the host loads an image, writes [`mailbox::HostFlags::PRESENT`] into its
//! mailbox and starts it. The guest boots and rings `Ready`; the host may take a snapshot there. The
//! host writes the index of a case and resumes; the guest prepares the case and rings
//! `Armed(case)`: from here to the handler no other event can occur. It acts, its entry stub
//! captures, its judge compares and writes the verdict, and it rings `Done(case)`. Then it reads
//! the next case index.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod compared;
pub mod delivery;
pub mod disturbance;
pub mod doorbell;
pub mod exit;
pub mod field;
pub mod mailbox;
pub mod name;
pub mod need;
pub mod note;
pub mod port;
pub mod text;

/// Version of everything in this crate; guest and host must agree on it.
pub const VERSION: u32 = 4;
