//! Every instruction that rustc emits for a guest is one that the model knows, at each optimisation
//! level. Skipped with a note where the target is not installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../guest/mod.rs"]
mod guest;

use guest::Guest;
use iced_x86::{Decoder, DecoderOptions};
use model::processor::{Entry, ExitReason};
use std::collections::BTreeMap;
use std::process::Command;

/// The bytes of every executable section of an ELF object.
fn executable_sections(object: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize, size: usize| {
        object[at..at + size].iter().rev().fold(0usize, |w, b| w << 8 | usize::from(*b))
    };
    let (table, entry, count) = (word(0x28, 8), word(0x3A, 2), word(0x3C, 2));
    (0..count)
        .map(|n| table + n * entry)
        .filter(|at| word(at + 8, 8) & 4 != 0 && word(at + 4, 4) == 1)
        .map(|at| object[word(at + 0x18, 8)..][..word(at + 0x20, 8)].to_vec())
        .collect()
}

#[test]
fn every_instruction_is_known() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rustc_output/sample.rs");
    let output = std::env::temp_dir().join(format!("midflight-rustc-output-{}.o", std::process::id()));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    for level in ["0", "s", "3"] {
        let status = Command::new(&rustc)
            .args(["--edition", "2024", "--target", "x86_64-unknown-none", "--emit", "obj", "-Cpanic=abort"])
            .args([&format!("-Copt-level={level}"), "-Ccodegen-units=1", source, "-o"])
            .arg(&output)
            .output();
        let Some(done) = status.ok().filter(|done| done.status.success()) else {
            eprintln!("skipped: rustc for x86_64-unknown-none did not compile the sample");
            return;
        };
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        let sections = executable_sections(&std::fs::read(&output).unwrap());
        std::fs::remove_file(&output).unwrap();
        let mut seen = BTreeMap::new();
        for section in &sections {
            for i in Decoder::new(64, section, DecoderOptions::NONE).iter() {
                let end = (i.ip() as usize + i.len()).min(section.len());
                seen.entry(format!("{:?}", i.code()))
                    .or_insert_with(|| section[i.ip() as usize..end].to_vec());
            }
        }
        assert!(seen.len() > 80, "opt-level {level}: {} kinds of instructions", seen.len());
        for (code, bytes) in seen {
            let mut g = Guest::idt().with_bytes(&bytes);
            g.cpu.gpr = [guest::DATA; 16];
            let exit = g.enter(Entry { instructions: 1, ..Entry::default() });
            assert!(!matches!(exit.reason, ExitReason::UnknownInstruction { .. }), "{code}: {bytes:02x?}");
        }
    }
}
