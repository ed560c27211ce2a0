//! The driver.
pub mod machine;
pub mod probe;
pub mod vcpu;
