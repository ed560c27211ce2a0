//! Running scenarios.
//!
//! | module | does |
//! |---|---|
//! | [`across`] | a guest that is cut on one machine and goes on on another |
//! | [`compare`] | two machines compared, doorbell by doorbell |
//! | [`explore`] | every memory access of a delivery as a stop |
//! | [`mutants`] | every behaviour of the model against every scenario |
//! | [`observe`] | what a guest looks like at each doorbell |
//! | [`one`] | one scenario on one machine |
//! | [`pair`] | two machines that run the same guest |
//! | [`plan`] | which scenarios run on which machine, and which are skipped and why |
//! | [`pool`] | many scenarios, in threads (model) or worker processes (KVM) |
//! | [`qemu`] | an image under QEMU, all its cases in one boot |
//! | [`repeat`] | what became of a scenario that ran more than once |
//! | [`storm`] | signals at random times while a case runs again and again |
//! | [`serve`], [`worker`] | the two sides of a worker process |

pub mod across;
pub mod compare;
pub mod explore;
pub mod mutants;
pub mod observe;
pub mod one;
pub mod pair;
pub mod plan;
pub mod pool;
pub mod qemu;
pub mod repeat;
pub mod serve;
pub mod storm;
pub mod worker;
