//! Reports: of a run for people, as JSON lines, as JUnit XML; of a comparison.

pub mod compare;
pub mod human;
pub mod json;
pub mod junit;
pub mod matrix;
pub mod plain;
pub mod totals;

pub use totals::Totals;
