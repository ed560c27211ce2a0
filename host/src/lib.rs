//! The driver: boots images on a machine, stops event deliveries before they complete, migrates the guest, reports the verdict.
//!
//! | module | holds |
//! |---|---|
//! | [`image`], [`images`] | ELF files and their notes; the images of a run |
//! | [`scenario`] | ids, every scenario of an image, and which ids a word of the command line means |
//! | [`session`] | a guest and its devices |
//! | [`stops`] | the stop and its proof; which stops a machine can do |
//! | [`engine`] | one scenario, many scenarios, worker processes, the guest's verdict |
//! | [`machines`] | the machines, described: `kvm`, `model`, `qemu` |
//! | [`compare`] | two machines beside each other |
//! | [`stream`] | a stopped guest as bytes |
//! | [`migration`] | a guest continues in another process, or on another host |
//! | [`on_kernel`] | a Linux kernel with its own KVM inside an emulator, and midflight inside that |
//! | [`report`] | outcomes, known issues, host facts: reports for people and programs |
//! | `debug` | a stopped guest for gdb |
//! | [`kernel_log`] | warnings of this host's kernel during a run |
//! | [`bochs`] | what Bochs is given, and the disk from which its firmware loads a guest |
//! | [`qemu`] | a QEMU that is driven: held, saved, loaded again |
//! | `decompress` | compressed kernels and modules |
//! | `process`, `bounded`, `ending` | child processes; the signals that end this one |
//! | [`version`] | the version, the commit and the day of the source |
//! | [`cli`] | the command line |

#![forbid(unsafe_code)]

pub mod bochs;
mod bounded;
pub mod cli;
pub mod compare;
mod deadline;
mod debug;
mod decompress;
mod ending;
pub mod engine;
pub mod image;
pub mod images;
pub mod inject;
pub mod kernel_log;
pub mod machines;
pub mod migration;
pub mod on_kernel;
mod process;
pub mod qemu;
pub mod report;
pub mod scenario;
pub mod session;
pub mod stops;
pub mod stream;
pub mod version;
