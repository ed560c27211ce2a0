//! The driver: boots images on a machine, stops deliveries half-way, migrates, judges.
//!
//! | module | holds |
//! |---|---|
//! | [`image`], [`images`] | ELF files and their notes; the images of a run |
//! | [`machine`] | the machines: `kvm` and `model` behind the trait, `qemu` beside it |
//! | [`probe`] | which stops a machine can do |
//! | [`boot`], [`devices`], [`session`] | a guest and what it talks to |
//! | [`scenario`] | ids, and every scenario of an image |
//! | [`cut`], [`disturb`] | the stop and its proof, register rewriting |
//! | [`stream`] | a stopped guest as bytes |
//! | [`verdict`], [`result`], [`known`] | the guest's verdict, the record, the known issues |
//! | [`decode`] | a captured delivery in words |
//! | [`run`] | one scenario, many scenarios, two machines beside each other, worker processes |
//! | [`migration`] | a guest goes on in another process, or on another host |
//! | [`nested`] | a Linux kernel with its own KVM inside an emulator, and midflight inside that |
//! | `process`, [`ending`] | child processes; the signals that end this one |
//! | [`report`], [`facts`] | what people and programs read |
//! | [`kernel_log`] | warnings of this host's kernel during a run |
//! | [`cli`], [`filter`], [`pattern`] | the command line; which ids a word of it means; `*` there and in known issues |

#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod cut;
pub mod decode;
pub mod devices;
pub mod disturb;
pub mod ending;
pub mod facts;
pub mod filter;
pub mod image;
pub mod images;
pub mod inject;
pub mod kernel_log;
pub mod known;
pub mod machine;
pub mod migration;
pub mod nested;
pub mod pattern;
pub mod probe;
mod process;
pub mod report;
pub mod result;
pub mod run;
pub mod scenario;
pub mod session;
pub mod stream;
pub mod verdict;
