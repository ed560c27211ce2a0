//! How events enter: FRED's entry points, the IDT's gates, and the capture that both share.

pub(crate) mod capture;
pub(crate) mod fred_setup;
pub(crate) mod handler;
pub(crate) mod idt;
mod no_return;
pub(crate) mod stubs;
