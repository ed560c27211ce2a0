//! Signals at random times while a case runs again and again: `storm`.

mod aim;
pub(super) mod probe;
mod signals;
mod watch;

pub use signals::StormBounds;
pub(crate) use signals::{Storm, Struck};
