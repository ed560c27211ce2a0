//! Filling the dirty ring up to its soft limit.

use crate::session::Stopped;
use crate::stops::cut::NoCut;
use fred::control::rflags;
use kvm_bindings::kvm_regs;
use std::ops::Range;
use vm::{DirtyRing, Exit, PAGE, RunMode, Vcpu, VcpuError};

/// Where the instructions go: free memory below the image.
const CODE: u64 = 0x9000;
/// The first page that they write, free as well up to the image.
const PAGES: u64 = 0x1_0000;
/// How many there are.
const COUNT: u32 = (crate::image::LOWEST - PAGES) as u32 / PAGE as u32;
/// The port that they write to at the end; nothing is there.
const DONE: u16 = 0x6D7E;
/// Each page is read, which must not count as a write, then written, and keeps what it holds: RDI the first, RCX how many,
/// DX the port.
#[rustfmt::skip]
const WRITE: [u8; 19] = [
    0x48, 0x8B, 0x07,                         // mov rax, [rdi]
    0x48, 0x83, 0x0F, 0x00,                   // or qword ptr [rdi], 0
    0x48, 0x81, 0xC7, 0x00, 0x10, 0x00, 0x00, // add rdi, 4096
    0xE2, 0xF0,                               // loop -16
    0xEE,                                     // out dx, al
    0xEB, 0xFE,                               // jmp $
];
/// Pages written between two looks at the ring: a kernel that looks seldom must not run over its end,
/// for which it keeps 64 entries in reserve.
const CHUNK: u32 = 16;
/// More pages than a ring holds.
const MOST: u32 = 1 << 12;
/// More pages than are in the ring beyond its soft limit, and than an act writes before its event.
pub(super) const ROOM: u32 = 64;

/// A ring was not filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFilled {
    /// A call failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The guest stopped for another reason.
    #[error("the guest stopped at an unexpected place while the dirty ring was filled")]
    Unexpected(Exit),
    /// There is no ring to fill.
    #[error("this VM has no dirty ring")]
    NoRing,
    /// The machine logs nothing, or not everything.
    #[error("{0}")]
    NotLogged(String),
}

impl From<NotFilled> for NoCut {
    fn from(not_filled: NotFilled) -> Self {
        match not_filled {
            NotFilled::Vcpu(error) => Self::Vcpu(error),
            NotFilled::Unexpected(exit) => Self::Unexpected(Stopped::Exit(exit)),
            NotFilled::NoRing => Self::Unproved(not_filled.to_string()),
            NotFilled::NotLogged(what) => Self::Machine(what),
        }
    }
}

/// Fills the ring until KVM_RUN returns before it enters the guest, by a guest that stands in ring 0
/// with low memory identity-mapped; its registers stay as they are. Fails when the ring does not fill, or the
/// guest does something else.
pub(super) fn fill(vcpu: &mut dyn Vcpu) -> Result<(), NotFilled> {
    let regs = vcpu.regs()?;
    vcpu.write_memory(CODE, &WRITE)?;
    for at in 0..MOST / CHUNK {
        if !write(vcpu, at * CHUNK, CHUNK)? {
            // RDI is at the page that was to be written next.
            let next = vcpu.regs()?.rdi;
            logged(vcpu, PAGES..next)?;
            vcpu.set_regs(&regs)?;
            return Ok(());
        }
    }
    // Of the last pass over them at least these.
    logged(vcpu, PAGES..PAGES + u64::from(CHUNK) * PAGE as u64)?;
    let what =
        format!("the guest wrote {MOST} pages, and KVM_RUN did not return because of a full dirty ring");
    Err(NotFilled::NotLogged(what))
}

/// Whether the pages that the guest has written since all were logged anew are in the ring.
fn logged(vcpu: &mut dyn Vcpu, pages: Range<u64>) -> Result<(), NotFilled> {
    let ring = ring(vcpu)?;
    match pages.step_by(PAGE).find(|page| !ring.holds(*page)) {
        Some(page) => Err(NotFilled::NotLogged(format!(
            "the guest wrote to the page {page:#x}, and the dirty ring does not hold it"
        ))),
        None => Ok(()),
    }
}

/// Writes `count` pages from the `first` one on; false when the ring was full before.
fn write(vcpu: &mut dyn Vcpu, first: u32, count: u32) -> Result<bool, NotFilled> {
    let first = first % COUNT;
    if first == 0 {
        // Every page may have been logged by now.
        ring(vcpu)?.restart_log()?;
    }
    vcpu.set_regs(&kvm_regs {
        rip: CODE,
        rdi: PAGES + u64::from(first) * PAGE as u64,
        rcx: count.into(),
        rdx: DONE.into(),
        rflags: rflags::FIXED,
        ..Default::default()
    })?;
    match vcpu.run(RunMode::Normal)? {
        Exit::IoOut { port: DONE, .. } => {
            vcpu.run(RunMode::ImmediateExit)?;
            Ok(true)
        }
        Exit::DirtyRingFull => Ok(false),
        other => Err(NotFilled::Unexpected(other)),
    }
}

pub(super) fn ring(vcpu: &mut dyn Vcpu) -> Result<&mut dyn DirtyRing, NotFilled> {
    vcpu.dirty_ring().ok_or(NotFilled::NoRing)
}
