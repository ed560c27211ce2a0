//! Running scenarios.
//!
//! | module | does |
//! |---|---|
//! | [`questions`] | what is probed of a machine |
//! | [`plan`] | which scenarios run on which machine, and which are skipped and why |
//! | [`runner`] | one scenario on one machine |
//! | `disturb` | rewrites registers between the stop and the handler |
//! | `verdict` | the verdict of the guest's judge, and whether the host accepts it |
//! | `job`, `options` | what runs guests, and how: data that travels to worker processes |
//! | `asker` | what a machine can do |
//! | `pool` | many scenarios, in threads (model) or worker processes (KVM) |
//! | `serve`, `worker` | the two sides of a worker process |
//! | `repeat` | the outcome of a scenario that ran more than once |
//! | `explore` | every memory access of a delivery as a stop |
//! | `mutants` | every behaviour of the model against every scenario |
//! | `emulator` | an image under an external emulator, all its cases in one boot |
//! | `qemu` | scenarios in a QEMU that is driven |

pub(crate) mod asker;
pub(crate) mod disturb;
pub(crate) mod emulator;
pub(crate) mod explore;
pub(crate) mod job;
pub(crate) mod mutants;
pub(crate) mod options;
pub mod plan;
pub(crate) mod pool;
pub(crate) mod qemu;
pub mod questions;
pub(crate) mod repeat;
pub mod runner;
pub(crate) mod serve;
pub(crate) mod verdict;
pub(crate) mod worker;

pub(crate) use job::Job;
pub(crate) use options::RunOptions;
