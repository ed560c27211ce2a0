//! Image files that are damaged are refused with a sentence, and nothing that they say is trusted.

use crate::binary::{embedded, file, midflight};
use crate::patched::descriptor;
use midflight::image::Image;
use protocol::note::ImageNote;
use std::mem::offset_of;

const CASE: &str = "pf/read-unmapped:idt:none";

/// An image file with other bytes at a place.
fn damaged(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged[at..at + with.len()].copy_from_slice(with);
    damaged
}

fn refused(image: &str, sentence: &str) {
    midflight(&["run", CASE, "--machine", "model", "--image", image]).refused(sentence);
}

#[test]
fn a_truncated_image_is_refused() {
    let Some(bytes) = embedded("pf") else { return };
    for length in [0, 1, 63, 64, 200, bytes.len() / 2] {
        refused(&file(&format!("truncated-{length}"), &bytes[..length]), "ELF");
    }
}

#[test]
fn no_truncation_of_an_image_panics() {
    let Some(bytes) = embedded("pf") else { return };
    for length in (0..bytes.len()).step_by(7) {
        // A cut after everything that is used may leave a usable image; it may not panic.
        let _ = Image::parse("truncated", &bytes[..length]);
    }
}

#[test]
fn an_image_outside_memory_is_refused() {
    let Some(bytes) = embedded("pf") else { return };
    let elf = goblin::elf::Elf::parse(&bytes).unwrap();
    let load = elf.program_headers.iter().position(|h| h.p_type == 1).unwrap();
    let header = usize::try_from(elf.header.e_phoff).unwrap() + load * 56;
    // p_paddr, p_memsz, p_filesz, p_offset of Elf64_Phdr.
    for (field, value) in [(24, 0x20_0000u64), (24, 0), (40, u64::MAX), (24, u64::MAX - 8), (32, u64::MAX)] {
        let image = file("outside-memory", &damaged(&bytes, header + field, &value.to_le_bytes()));
        refused(&image, "has a segment at");
    }
    refused(&file("outside-file", &damaged(&bytes, header + 8, &[0xFF; 8])), "ELF");
}

#[test]
fn a_page_of_the_note_that_is_none_is_refused() {
    let Some(bytes) = embedded("pf") else { return };
    let fields = [
        (offset_of!(ImageNote, mailbox), "the mailbox"),
        (offset_of!(ImageNote, frame_page), "the frame page"),
        (offset_of!(ImageNote, frame_pdpt), "the frame page's PDPT"),
        (offset_of!(ImageNote, frame_pd), "the frame page's page directory"),
        (offset_of!(ImageNote, frame_pt), "the frame page's page table"),
        (offset_of!(ImageNote, idt), "the IDT"),
        (offset_of!(ImageNote, gdt), "the GDT"),
        (offset_of!(ImageNote, tss), "the TSS"),
    ];
    let problem = |at: usize, value: [u8; 8]| {
        Image::parse("damaged", &damaged(&bytes, at, &value)).map(drop).unwrap_err().to_string()
    };
    let places = fields.map(|(field, _)| descriptor(&bytes) + field);
    for (place, (_, name)) in places.into_iter().zip(fields) {
        // Low memory, after the end, the edge of the address space, not aligned.
        for value in [0u64, 0xF_F000, 0x20_0000, u64::MAX - 4095, u64::MAX, 0x10_0008] {
            let sentence = problem(place, value.to_le_bytes());
            let expected = format!("{name} is not a page of the image's memory");
            assert!(sentence.contains(&expected), "{value:#x}: {sentence}");
        }
        for other in places.into_iter().filter(|other| *other != place) {
            let value = *bytes[other..].first_chunk().unwrap();
            let sentence = problem(place, value);
            assert!(sentence.contains("two of the pages that it names are the same"), "{sentence}");
        }
    }
}

#[test]
fn an_image_without_its_note_or_with_another_version_is_refused() {
    let Some(bytes) = embedded("pf") else { return };
    let at = descriptor(&bytes);
    refused(&file("no-note", &damaged(&bytes, at - 12, b"M")), "has no midflight note");
    refused(&file("other-version", &damaged(&bytes, at, &[99])), "a midflight note of version 99");
    refused(&file("no-elf", b"#!/bin/sh\n"), "ELF");
    refused("/no/such/image", "cannot be read");
}
