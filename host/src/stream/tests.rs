use super::*;
use crate::scenario::Scenario;
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use proptest::prelude::*;
use std::sync::Arc;
use vm::Machine;
use vm::state::{self, restore_and_check};

/// A substitute for an image's file in these tests.
const IMAGE: &[u8] = b"an image";

fn base(file: &[u8]) -> Result<MemoryImage, String> {
    let mut page = [0; PAGE];
    page[..file.len()].copy_from_slice(file);
    Ok(MemoryImage { pages: vec![None, Some(Arc::new(page))] })
}

/// A small guest: 32 KiB of memory, of which two pages travel.
fn guest() -> Guest {
    let machine = ModelMachine::new(&CORRECT);
    // XSAVE's area without AMX, and CPUID's first leaves only, to keep the stream small.
    let cpuid = machine.cpuid()[..2].to_vec();
    let config =
        VmConfig { memory_size: 8 * PAGE as u64, cpuid, exception_payload: true, kind: VmKind::Plain };
    let mut vcpu = machine.create(&config).unwrap();
    let mut memory = base(IMAGE).unwrap();
    memory.pages.resize(8, None);
    vcpu.load_memory(&memory).unwrap();
    vcpu.write_memory(0x3000, &[0x33; 100]).unwrap();
    let mut state = state::read(vcpu.as_mut(), machine.msr_indices(), &config).unwrap();
    state.xsave.0.truncate(4096);
    state.pdptrs = Some([1, 2, 3, 4]);
    state.tsc_khz = Some(2_500_000);
    let scenario: Scenario = "pf/read-unmapped:fred:block@frame:migrate".parse().unwrap();
    let devices =
        DevicesState { serial_output: b"hello".to_vec(), interrupt: Some(0x40), ..DevicesState::default() };
    Guest { report: Report::new(&scenario, "model", None), image: IMAGE.to_vec(), devices, state }
}

fn written(guest: &Guest) -> Vec<u8> {
    let mut bytes = Vec::new();
    guest.write(&base(&guest.image).unwrap(), &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Guest, StreamError> {
    Guest::read(bytes, base)
}

fn refused(bytes: &[u8], why: &str) -> String {
    read(bytes).err().unwrap_or_else(|| panic!("{why} is taken")).to_string()
}

#[test]
fn a_guest_round_trips() {
    let guest = guest();
    assert_eq!(read(&written(&guest)).unwrap(), guest);
}

#[test]
fn every_changed_byte_is_refused() {
    let stream = written(&guest());
    assert!(stream.len() < 32 << 10, "{} bytes are not a small stream", stream.len());
    for at in 0..stream.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = stream.clone();
            damaged[at] ^= flip;
            assert!(read(&damaged).is_err(), "byte {at} ^ {flip:#x} of {} is not noticed", stream.len());
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let stream = written(&guest());
    for length in 0..stream.len() {
        assert!(read(&stream[..length]).is_err(), "{length} of {} bytes", stream.len());
    }
    let longer = [stream.as_slice(), &[0]].concat();
    assert_eq!(refused(&longer, "a longer stream"), "something follows the end of the stream");
}

/// The sections of a stream, checks included.
fn sections(stream: &[u8]) -> Vec<&[u8]> {
    let mut sections = vec![&stream[..20]];
    let mut at = 20;
    while at < stream.len() {
        let length = u32::from_le_bytes(*stream[at + 4..].first_chunk().unwrap()) as usize;
        sections.push(&stream[at..at + 8 + length + 8]);
        at += 8 + length + 8;
    }
    sections
}

/// Kind and payload of a section.
fn parted(section: &[u8]) -> (SectionKind, &[u8]) {
    let number = u32::from_le_bytes(*section.first_chunk().unwrap());
    let kind = SectionKind::ALL.iter().copied().find(|kind| *kind as u32 == number).unwrap();
    (kind, &section[8..section.len() - 8])
}

/// A stream of the same payloads in another selection and order, with checks that fit.
fn again(stream: &[u8], numbers: &[usize]) -> Vec<u8> {
    let sections = sections(stream);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    for (kind, payload) in numbers.iter().map(|number| parted(sections[*number])) {
        writer.section(kind, payload).unwrap();
    }
    bytes
}

#[test]
fn each_section_is_needed_once_and_in_its_place() {
    let stream = written(&guest());
    let count = sections(&stream).len();
    assert_eq!(count, 1 + SectionKind::ALL.len(), "the header and every section of a guest");
    let all: Vec<usize> = (1..count).collect();
    assert!(read(&again(&stream, &all)).is_ok());
    for index in 0..all.len() {
        let mut without = all.clone();
        without.remove(index);
        refused(&again(&stream, &without), "a stream without a section");
        let mut twice = all.clone();
        twice.insert(index, all[index]);
        refused(&again(&stream, &twice), "a stream with a section twice");
        if index + 1 < all.len() {
            let mut swapped = all.clone();
            swapped.swap(index, index + 1);
            let sentence = refused(&again(&stream, &swapped), "a stream with sections swapped");
            assert!(sentence.contains("out of order"), "{sentence}");
        }
    }
    // The same bytes in another order, with the checks that they had.
    let mut moved = sections(&stream);
    moved.swap(4, 5);
    refused(&moved.concat(), "moved sections");
}

#[test]
fn a_section_of_another_stream_is_refused() {
    let (one, mut other) = (guest(), guest());
    other.state.regs.rax ^= 1;
    let (one, other) = (written(&one), written(&other));
    let mut mixed = sections(&one);
    let last = mixed.len() - 2;
    mixed[last] = sections(&other)[last];
    assert_eq!(mixed[last], sections(&other)[last]);
    let sentence = refused(&mixed.concat(), "a mixed stream");
    assert!(sentence.contains("checksum"), "{sentence}");
}

#[test]
fn other_versions_are_refused_by_name() {
    for (version, age) in
        [(0_u32, "older"), (VERSION - 1, "older"), (VERSION + 1, "newer"), (u32::MAX, "newer")]
    {
        let mut stream = written(&guest());
        stream[8..12].copy_from_slice(&version.to_le_bytes());
        let check = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(&stream[..12]);
        stream[12..20].copy_from_slice(&check.to_le_bytes());
        let sentence = refused(&stream, "another version");
        assert!(sentence.contains(age) && sentence.contains(&version.to_string()), "{sentence}");
    }
    assert!(
        refused(b"ELF\x7f, by mistake, and long enough", "another file")
            .contains("is not a midflight stream")
    );
}

#[test]
fn a_length_takes_no_memory() {
    let stream = written(&guest());
    let mut long = stream[..28].to_vec();
    long[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refused(&long, "a long section").contains("the maximum is"));
    // The most that is allowed, promised and not sent.
    long[24..28].copy_from_slice(&SectionKind::Report.longest().to_le_bytes());
    assert!(refused(&long, "a promise").contains("truncated"));
}

#[test]
fn what_no_guest_can_be_is_refused() {
    let refuse = |change: &dyn Fn(&mut Guest)| {
        let mut guest = guest();
        change(&mut guest);
        refused(&written(&guest), "nonsense")
    };
    for size in [0, 4097, MOST_MEMORY + 4096, !0xFFF] {
        let sentence = refuse(&|guest| guest.state.config.memory_size = size);
        assert!(sentence.contains("bytes of memory"), "{sentence}");
    }
    assert!(refuse(&|guest| guest.state.config.memory_size = 4096).contains("pages"));
    assert!(refuse(&|guest| guest.state.xsave.0.truncate(4095)).contains("4095"));
    assert!(refuse(&|guest| guest.state.msrs = vec![guest.state.msrs[0]; 513]).contains("513"));
    assert!(refuse(&|guest| guest.state.cpuid = vec![guest.state.cpuid[0]; 257]).contains("257"));
    assert!(refuse(&|guest| guest.devices.serial_output = vec![0; 70_000]).contains("70000"));
    assert!(
        refuse(&|guest| {
            let mut xcrs = kvm_xcrs { nr_xcrs: 17, ..Default::default() };
            xcrs.xcrs[0].value = 1;
            guest.state.xcrs = Some(xcrs);
        })
        .contains("17")
    );
}

#[test]
fn a_short_structure_is_refused_although_its_checksum_fits() {
    let stream = written(&guest());
    let sections = sections(&stream);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    for (kind, payload) in sections[1..].iter().map(|section| parted(section)) {
        if kind == SectionKind::Events {
            // Its length, then one byte less than the structure has.
            writer.section(kind, &[&[payload[0] - 1], &payload[1..payload.len() - 1]].concat()).unwrap();
        } else {
            writer.section(kind, payload).unwrap();
        }
    }
    let sentence = refused(&bytes, "a short structure");
    assert!(sentence.contains("events") && sentence.contains("mean nothing"), "{sentence}");
}

#[test]
fn a_guest_that_was_read_restores() {
    let machine = ModelMachine::new(&CORRECT);
    let mut guest = guest();
    // The model has neither.
    (guest.state.pdptrs, guest.state.tsc_khz) = (None, None);
    let back = read(&written(&guest)).unwrap();
    let restored = restore_and_check(&machine, &back.state).unwrap();
    assert_eq!(restored.findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_registers_round_trip(
        regs in any::<[u64; 18]>(), error_code in any::<u32>(), payload in any::<u64>(),
        msrs in proptest::collection::vec(any::<(u32, u64)>(), 0..40),
        output in proptest::collection::vec(any::<u8>(), 0..200), interrupt in any::<Option<u8>>(),
        page in 0_usize..8, fill in any::<u8>(),
    ) {
        let mut guest = guest();
        let it = &mut guest.state;
        (it.regs.rax, it.regs.rsp, it.regs.rip, it.regs.rflags) = (regs[0], regs[1], regs[2], regs[3]);
        (it.sregs.cr2, it.sregs.cr4, it.debug_regs.dr6) = (regs[4], regs[5], regs[6]);
        (it.events.exception.error_code, it.events.exception_payload) = (error_code, payload);
        it.pdptrs = interrupt.map(|_| [regs[7], regs[8], regs[9], regs[10]]);
        it.msrs = msrs.iter().map(|(index, value)| Msr { index: *index, value: *value }).collect();
        it.memory.pages[page] = (fill != 0).then(|| Arc::new([fill; PAGE]));
        guest.devices.serial_output = output;
        guest.devices.interrupt = interrupt;
        prop_assert_eq!(read(&written(&guest)).unwrap(), guest);
    }

    #[test]
    fn any_bytes_are_refused_or_a_guest(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(&bytes).is_err());
    }
}
