//! Running scenarios.
//!
//! | module | does |
//! |---|---|
//! | [`explore`] | every memory access of a delivery as a stop |
//! | [`mutants`] | every behaviour of the model against every scenario |
//! | [`one`] | one scenario on one machine |
//! | [`plan`] | which scenarios run on which machine, and which are skipped and why |
//! | [`pool`] | many scenarios, in threads (model) or worker processes (KVM) |
//! | [`qemu`] | an image under QEMU, all its cases in one boot |
//! | [`storm`] | signals at random times while a case runs again and again |
//! | [`worker`] | the other side of a worker process |

pub mod explore;
pub mod mutants;
pub mod one;
pub mod plan;
pub mod pool;
pub mod qemu;
pub mod storm;
pub mod worker;
