//! The cases: what the manual says, as literals.
//!
//! Each file in `src/bin` is an image about one rule, and a case is a module in it: an act, and what the act must
//! bring about. This library holds what the expectations are written in: the manual's symbols ([`manual`]) and
//! one event for each vector that several images raise ([`event`]), the frames and areas
//! that acts use ([`hand_built`], [`xsave_area`]). It knows neither how an event is delivered nor
//! which machine delivers it, and takes nothing from `fred`: a check must not agree with what it checks. Begin
//! with `src/bin/ud.rs`, then `docs/adding-a-case.md`.
//!
//! ```
//! use guest::prelude::*;
//! use tests::{event::PF, manual::*};
//!
//! /// #PF in ring 3, met while another event was delivered.
//! const NESTED: Event = Event {
//!     cs: USER_CS,
//!     ss: user_ss_slot(HARDWARE_EXCEPTION, 14) | SS_NESTED,
//!     event_data: 0x0000_0080_0000_1A58,
//!     ..PF
//! };
//! assert_eq!(NESTED.ss, 0x0603_000E_0000_0023);
//! ```
#![no_std]

pub mod event;
pub mod hand_built;
pub mod manual;
pub mod xsave_area;
