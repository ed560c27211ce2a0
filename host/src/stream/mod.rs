//! A stopped guest as a stream of bytes.
//!
//! | module | holds |
//! |---|---|
//! | `kind` | what the sections hold, and how long they may be |
//! | `section` | the frame: header, sections, checksums |
//! | `pages` | guest memory except the pages that both sides have |
//! | this one | [`Guest`]: which sections there are, in which order, and what in them is believed |
//!
//! Every section is there, once, in the order of [`Guest::write`]; a value that a machine lacks is an
//! `Option` inside. Payloads are postcard's; kvm-bindings' own serde form of a structure is its bytes.
//! A section is believed only if it is what its value is written as: padding, other lengths and
//! other spellings of a number are refused. Nothing is made of a guest before all of it was read.

mod kind;
mod pages;
mod section;

pub use kind::{MOST_MEMORY, SectionKind};
pub use pages::base_of;
pub use section::{Reader, StreamError, VERSION, Writer};

use crate::report::Report;
use crate::session::devices::DevicesState;
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2, kvm_xcrs};
use pages::Pages;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Read, Write};
use vm::state::VmState;
use vm::{MemoryImage, Msr, PAGE, VmConfig, VmKind, Xsave};

/// A stopped guest with everything that it needs to continue in another process, and to be judged there.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    /// The report as far as it is known.
    pub report: Report,
    /// The image's file: its note says where the mailbox is and what the case is.
    pub image: Vec<u8>,
    /// Devices, and an interrupt that waits.
    pub devices: DevicesState,
    /// The VM.
    pub state: VmState,
}

/// MSRs that a stream can hold.
const MOST_MSRS: usize = 512;
/// Sizes that an XSAVE area can have, in bytes.
const XSAVE_SIZES: std::ops::RangeInclusive<usize> = 4096..=(64 << 10);

/// Memory in bytes, payload capability, what else memory can do, CPUID as set.
type ConfigSection = (u64, bool, VmKind, Vec<kvm_cpuid_entry2>);

impl Guest {
    /// Writes the guest; `base` is memory with the image alone. Fails when it cannot be written.
    pub fn write(&self, base: &MemoryImage, to: impl Write) -> Result<(), StreamError> {
        let to = &mut Writer::new(to)?;
        let report = serde_json::to_vec(&self.report).map_err(|e| nonsense(SectionKind::Report, e))?;
        to.section(SectionKind::Report, &report)?;
        to.section(SectionKind::Image, &self.image)?;
        let VmState { config, cpuid, tsc_khz, mp_state, events, regs, sregs, pdptrs, .. } = &self.state;
        let VmConfig { memory_size, exception_payload, kind, cpuid: set } = config;
        put(to, SectionKind::Config, &(memory_size, exception_payload, kind, set))?;
        put(to, SectionKind::Cpuid, cpuid)?;
        put(to, SectionKind::TscRate, tsc_khz)?;
        put(to, SectionKind::MpState, mp_state)?;
        put(to, SectionKind::Events, events)?;
        put(to, SectionKind::Regs, regs)?;
        put(to, SectionKind::Sregs, &(sregs, pdptrs))?;
        put(to, SectionKind::DebugRegs, &self.state.debug_regs)?;
        put(to, SectionKind::Xcrs, &self.state.xcrs)?;
        to.section(SectionKind::Xsave, &self.state.xsave.0)?;
        let msrs: Vec<_> = self.state.msrs.iter().map(|msr| (msr.index, msr.value)).collect();
        put(to, SectionKind::Msrs, &msrs)?;
        put(to, SectionKind::Devices, &self.devices)?;
        put(to, SectionKind::Memory, &Pages::of(&self.state.memory, base))?;
        to.section(SectionKind::End, &[])?;
        to.flush()
    }

    /// Reads a guest, and that nothing follows it; `base` makes memory with the image alone of the image's
    /// file. Fails when anything in it is damaged, missing, out of order or makes no sense.
    pub fn read(
        from: impl Read,
        base: impl FnOnce(&[u8]) -> Result<MemoryImage, String>,
    ) -> Result<Self, StreamError> {
        let mut reader = Reader::new(from)?;
        let from = &mut reader;
        let report = serde_json::from_slice(&from.section(SectionKind::Report)?)
            .map_err(|e| nonsense(SectionKind::Report, e))?;
        let image = from.section(SectionKind::Image)?;
        let (memory_size, exception_payload, kind, set): ConfigSection = take(from, SectionKind::Config)?;
        let whole = memory_size.is_multiple_of(PAGE as u64);
        if memory_size == 0 || memory_size > MOST_MEMORY || !whole {
            let problem = format!("a guest with {memory_size:#x} bytes of memory");
            return Err(nonsense(SectionKind::Config, problem));
        }
        let cpuid: Vec<kvm_cpuid_entry2> = take(from, SectionKind::Cpuid)?;
        for (kind, table) in [(SectionKind::Config, &set), (SectionKind::Cpuid, &cpuid)] {
            at_most(kind, table.len(), KVM_MAX_CPUID_ENTRIES)?;
        }
        let tsc_khz = take(from, SectionKind::TscRate)?;
        let mp_state = take(from, SectionKind::MpState)?;
        let events = take(from, SectionKind::Events)?;
        let regs = take(from, SectionKind::Regs)?;
        let (sregs, pdptrs) = take(from, SectionKind::Sregs)?;
        let debug_regs = take(from, SectionKind::DebugRegs)?;
        let xcrs: Option<kvm_xcrs> = take(from, SectionKind::Xcrs)?;
        let count = xcrs.map_or(0, |xcrs| xcrs.nr_xcrs as usize);
        at_most(SectionKind::Xcrs, count, kvm_xcrs::default().xcrs.len())?;
        let xsave = Xsave(from.section(SectionKind::Xsave)?);
        if !XSAVE_SIZES.contains(&xsave.0.len()) {
            return Err(nonsense(SectionKind::Xsave, format!("an area of {} bytes", xsave.0.len())));
        }
        let msrs: Vec<(u32, u64)> = take(from, SectionKind::Msrs)?;
        at_most(SectionKind::Msrs, msrs.len(), MOST_MSRS)?;
        let devices: DevicesState = take(from, SectionKind::Devices)?;
        devices.check().map_err(|problem| nonsense(SectionKind::Devices, problem))?;
        let pages: Pages = take(from, SectionKind::Memory)?;
        from.section(SectionKind::End)?;
        reader.end()?;
        let base = base(&image).map_err(|problem| nonsense(SectionKind::Image, problem))?;
        let memory = pages.on(&base, (memory_size / PAGE as u64) as usize);
        let state = VmState {
            config: VmConfig { memory_size, cpuid: set, exception_payload, kind },
            cpuid,
            memory: memory.map_err(|problem| nonsense(SectionKind::Memory, problem))?,
            tsc_khz,
            mp_state,
            events,
            regs,
            sregs,
            pdptrs,
            debug_regs,
            xcrs,
            xsave,
            msrs: msrs.into_iter().map(|(index, value)| Msr { index, value }).collect(),
        };
        Ok(Self { report, image, devices, state })
    }
}

/// Writes a section with a value of postcard's.
fn put<W: Write>(to: &mut Writer<W>, kind: SectionKind, value: &impl Serialize) -> Result<(), StreamError> {
    to.section(kind, &postcard::to_stdvec(value).map_err(|e| nonsense(kind, e))?)
}

/// Reads a section with a value of postcard's, which must be written as it would be written here.
fn take<T: DeserializeOwned + Serialize>(
    from: &mut Reader<impl Read>,
    kind: SectionKind,
) -> Result<T, StreamError> {
    let payload = from.section(kind)?;
    let value: T = postcard::from_bytes(&payload).map_err(|e| nonsense(kind, e))?;
    if postcard::to_stdvec(&value).map_err(|e| nonsense(kind, e))? != payload {
        return Err(nonsense(kind, "it has bytes that mean nothing"));
    }
    Ok(value)
}

fn at_most(kind: SectionKind, count: usize, most: usize) -> Result<(), StreamError> {
    if count > most {
        Err(nonsense(kind, format!("{count} entries, at most {most} are possible")))
    } else {
        Ok(())
    }
}

fn nonsense(kind: SectionKind, problem: impl ToString) -> StreamError {
    StreamError::Nonsense { section: kind.name(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
