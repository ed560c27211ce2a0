//! Random bytes as a stream are a guest, or they are refused: no panic, and no more memory than a stream may
//! use. A guest that was read is written as the same bytes, and the model restores or refuses it.
//!
//! After an even first byte the rest is used as it is; the checksums refuse it early. After an odd one the
//! rest is the payloads of the sections in their order, each after two bytes of length, framed with correct
//! checksums; payloads that are missing come from a valid guest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midflight::report::outcome::Report;
use midflight::scenario::Scenario;
use midflight::stream::{Guest, Reader, SectionKind, StreamError, Writer};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::sync::LazyLock;
use vm::Machine;
use vm::state::{self, restore_and_check};
use vm::{MemoryImage, VmConfig, VmKind};

fn base(_: &[u8]) -> Result<MemoryImage, String> {
    Ok(MemoryImage::default())
}

fn written(guest: &Guest) -> Result<Vec<u8>, StreamError> {
    let mut bytes = Vec::new();
    guest.write(&MemoryImage::default(), &mut bytes)?;
    Ok(bytes)
}

/// The payloads of a valid guest, each with its kind.
static SOUND: LazyLock<Vec<(SectionKind, Vec<u8>)>> = LazyLock::new(|| sound().unwrap_or_default());

fn sound() -> Option<Vec<(SectionKind, Vec<u8>)>> {
    let machine = ModelMachine::new(&CORRECT);
    let config = VmConfig {
        memory_size: 0x8000,
        cpuid: machine.cpuid()[..2].to_vec(),
        exception_payload: true,
        kind: VmKind::Plain,
    };
    let mut vcpu = machine.create(&config).ok()?;
    let mut state = state::read(vcpu.as_mut(), machine.msr_indices(), &config).ok()?;
    state.xsave.0.truncate(4096);
    let scenario: Scenario = "pf/read-unmapped:fred:block@frame:migrate".parse().ok()?;
    let guest = Guest {
        report: Report::new(&scenario, "model", None),
        image: Vec::new(),
        devices: Default::default(),
        state,
    };
    let bytes = written(&guest).ok()?;
    let mut reader = Reader::new(bytes.as_slice()).ok()?;
    let payload = |kind: &SectionKind| Some((*kind, reader.section(*kind).ok()?));
    SectionKind::ALL.iter().map(payload).collect()
}

fn framed(mut data: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes)?;
    for (kind, sound) in SOUND.iter() {
        let given = match data {
            // All ones: the section is left as it is.
            [0xFF, 0xFF, rest @ ..] => {
                data = rest;
                None
            }
            [low, high, rest @ ..] => {
                let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
                let (payload, after) = rest.split_at(length);
                data = after;
                Some(payload)
            }
            _ => None,
        };
        writer.section(*kind, given.unwrap_or(sound))?;
    }
    Ok(bytes)
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    let bytes = if mode & 1 == 0 { rest.to_vec() } else { framed(rest).unwrap_or_default() };
    let Ok(guest) = Guest::read(bytes.as_slice(), base) else { return };
    // The report's JSON may be spelled in other ways.
    if let Ok(again) = written(&guest) {
        let back = Guest::read(again.as_slice(), base).unwrap();
        assert_eq!(back.state.regs, guest.state.regs);
        assert_eq!(back.state.memory.pages, guest.state.memory.pages);
        assert!(again.len().abs_diff(bytes.len()) <= 1 << 20);
    }
    let _ = restore_and_check(&ModelMachine::new(&CORRECT), &guest.state);
});
