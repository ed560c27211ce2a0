//! FRED, x86's Flexible Return and Event Delivery, as types.
//!
//! The names, numbers and layouts of the Intel SDM vol. 3 ch. 8 ("FRED"), with nothing that runs:
//! no assembly, no allocation, no standard library. The guest kernel sets FRED up with it, the model delivers
//! events with it, the host prints what a machine's queue held with it. It knows no machine, no guest and no
//! test: the *expectations* of the tests are literals and never go through this crate. Begin with [`frame`].
//!
//! ```
//! use fred::event::{EventType, vector};
//! use fred::slot::SsSlot;
//!
//! let ss = SsSlot(0x0203_000E_0000_0010);
//! assert_eq!((ss.event_type(), ss.vector()), (Ok(EventType::HardwareException), vector::PF));
//! assert!(vector::has_event_data(ss.vector()) && vector::sets_rf(ss.vector()));
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cpuid`] | enumeration bits of FRED and of what its event data depends on |
//! | [`control`] | control-register bits that midflight touches, CR4.FRED among them |
//! | [`msr`] | MSR numbers and the reserved-bit checks of WRMSR |
//! | [`config`] | IA32_FRED_CONFIG and IA32_FRED_STKLVLS |
//! | [`event`] | event types, vectors, and what depends on them: error code, event data, RF, class |
//! | [`slot`] | the augmented CS and SS of the frame |
//! | [`frame`] | the 64-byte frame |
//! | [`data`] | event data of #PF, #DB and #NM |
//! | [`debug`] | DR6 and DR7 |
//! | [`opcode`] | encodings of ERETS, ERETU and LKGS |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod config;
pub mod control;
pub mod cpuid;
pub mod data;
pub mod debug;
pub mod event;
pub mod frame;
pub mod msr;
pub mod opcode;
pub mod slot;
