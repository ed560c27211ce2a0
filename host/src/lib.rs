//! The driver.
pub mod machine;
pub mod vcpu;
