//! A module whose functions the kernel does not prepare for its function tracer.
//!
//! The section `__mcount_loc` lists the functions that can be traced. For each of them the kernel looks for its name
//! among the symbols of the module, one after the other (`test_for_valid_rec`, kernel/trace/ftrace.c): in an emulator
//! that takes two thirds of the time that KVM's modules take to load, and nothing is traced here. So the section gets
//! another name, under which nobody reads it, and the calls of `__fentry__` become what the tracer would make of them.

use goblin::container::Ctx;
use goblin::elf::reloc::{R_X86_64_NONE, RelocSection};
use goblin::elf::section_header::{SHF_EXECINSTR, SHT_RELA, SHT_SYMTAB};
use goblin::elf::{Elf, SectionHeader, Symtab};
use goblin::error::Error;
use std::ops::Range;

const SECTION: &[u8] = b"__mcount_loc";
/// What each function begins with a call of, where it can be traced.
const TRACER: &[u8] = b"__fentry__";
/// CALL, whose target is relocated, and the NOP of the same length (`x86_nops`, arch/x86/kernel/alternative.c).
const CALL: [u8; 5] = [0xE8, 0, 0, 0, 0];
const NOP: [u8; 5] = [0x0F, 0x1F, 0x44, 0, 0];
/// The size of `Elf64_Rela`, and where its `r_info` is.
const RELOCATION: usize = 24;
const INFO: Range<usize> = 8..16;

/// A module without what is for the function tracer; what is no module stays as it is, for the kernel to refuse.
pub(super) fn untraced(module: &[u8]) -> Vec<u8> {
    let mut untraced = module.to_owned();
    if let Ok(traced) = Traced::of(module) {
        if let Some(name) = traced.name {
            untraced[name].fill(b'-');
        }
        for Call { at, relocation } in traced.calls {
            untraced[at].copy_from_slice(&NOP);
            untraced[relocation][INFO].copy_from_slice(&u64::from(R_X86_64_NONE).to_le_bytes());
        }
    }
    untraced
}

/// What in a module is for the function tracer; ranges of its bytes.
struct Traced {
    /// The name of the section. It may be the end of a longer one, `.rela__mcount_loc`, which nobody reads either.
    name: Option<Range<usize>>,
    calls: Vec<Call>,
}

/// A call of the tracer.
struct Call {
    at: Range<usize>,
    /// The `Elf64_Rela` of its target.
    relocation: Range<usize>,
}

impl Traced {
    fn of(module: &[u8]) -> Result<Self, Error> {
        let header = Elf::parse_header(module)?;
        let context = Ctx::new(header.container()?, header.endianness()?);
        let sections =
            SectionHeader::parse(module, header.e_shoff as usize, usize::from(header.e_shnum), context)?;
        let names = sections.get(usize::from(header.e_shstrndx)).and_then(SectionHeader::file_range);
        let name = |section: &SectionHeader| string(module, names.as_ref()?, section.sh_name, SECTION);
        let calls = match tracer(module, &sections, context)? {
            Some(tracer) => calls(module, &sections, tracer, context)?,
            None => Vec::new(),
        };
        Ok(Self { name: sections.iter().find_map(name), calls })
    }
}

/// The bytes of a string of the table at `table`, if it is this one.
fn string(module: &[u8], table: &Range<usize>, offset: usize, wanted: &[u8]) -> Option<Range<usize>> {
    let start = table.start.checked_add(offset)?;
    let end = start.checked_add(wanted.len())?;
    (module.get(start..end)? == wanted && module.get(end) == Some(&0)).then_some(start..end)
}

/// The number of the tracer's symbol.
fn tracer(module: &[u8], sections: &[SectionHeader], context: Ctx) -> Result<Option<usize>, Error> {
    let Some(table) = sections.iter().find(|section| section.sh_type == SHT_SYMTAB) else { return Ok(None) };
    let names = sections.get(table.sh_link as usize).and_then(SectionHeader::file_range);
    let (Some(names), Some(bytes)) = (names, table.file_range()) else { return Ok(None) };
    let count = bytes.len() / size_of::<goblin::elf64::sym::Sym>();
    let symbols = Symtab::parse(module, bytes.start, count, context)?;
    Ok(symbols.iter().position(|symbol| string(module, &names, symbol.st_name, TRACER).is_some()))
}

fn calls(module: &[u8], sections: &[SectionHeader], tracer: usize, context: Ctx) -> Result<Vec<Call>, Error> {
    let mut calls = Vec::new();
    for section in sections.iter().filter(|section| section.sh_type == SHT_RELA) {
        let code = sections.get(section.sh_info as usize);
        let code = code.filter(|code| code.sh_flags & u64::from(SHF_EXECINSTR) != 0);
        let code = code.and_then(SectionHeader::file_range);
        let (Some(code), Some(bytes)) = (code, section.file_range()) else { continue };
        let relocations = RelocSection::parse(module, bytes.start, bytes.len(), true, context)?;
        for (index, relocation) in relocations.iter().enumerate().filter(|(_, one)| one.r_sym == tracer) {
            // The target follows the opcode.
            let at =
                code.start.checked_add(relocation.r_offset as usize).and_then(|target| target.checked_sub(1));
            let Some(at) = at else { continue };
            let entry = bytes.start + index * RELOCATION;
            if module.get(at..).is_some_and(|rest| rest.starts_with(&CALL)) {
                calls.push(Call { at: at..at + CALL.len(), relocation: entry..entry + RELOCATION });
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of an ELF file.
    #[derive(Clone, Default)]
    struct Section {
        name: &'static str,
        kind: u32,
        flags: u32,
        link: u32,
        info: u32,
        bytes: Vec<u8>,
    }

    /// An ELF file with these sections and the one of their names.
    fn elf(sections: &[Section]) -> Vec<u8> {
        let names = Section { name: ".shstrtab", kind: 3, ..Section::default() };
        let mut sections = [&[Section::default()], sections, &[names]].concat();
        let names: Vec<u8> = sections.iter().flat_map(|section| section.name.bytes().chain([0])).collect();
        sections.last_mut().unwrap().bytes = names;
        let mut file = vec![0; 64];
        file[..7].copy_from_slice(b"\x7FELF\x02\x01\x01");
        let (mut name, mut headers) = (0, Vec::new());
        for Section { name: text, kind, flags, link, info, bytes } in &sections {
            let mut header = [0; 64];
            for (at, value) in [(0, name), (4, *kind), (8, *flags), (0x28, *link), (0x2C, *info)] {
                header[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            header[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            headers.extend(header);
            file.extend(bytes);
            name += text.len() as u32 + 1;
        }
        let end = file.len() as u64;
        file[0x28..0x30].copy_from_slice(&end.to_le_bytes());
        let count = sections.len() as u16;
        for (at, value) in [(0x34, 64_u16), (0x3A, 64), (0x3C, count), (0x3E, count - 1)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        [file, headers].concat()
    }

    fn named(name: &'static str) -> Section {
        Section { name, kind: 1, ..Section::default() }
    }

    /// What `readelf -S` calls the sections.
    fn names(file: &[u8]) -> Vec<String> {
        let elf = Elf::parse(file).unwrap();
        elf.section_headers.iter().map(|section| elf.shdr_strtab[section.sh_name].to_owned()).collect()
    }

    #[test]
    fn the_section_alone_gets_another_name() {
        let module = elf(&["x__mcount_loc", "__mcount_loc", "__mcount_loc_x"].map(named));
        let expected = ["", "x__mcount_loc", "------------", "__mcount_loc_x", ".shstrtab"];
        assert_eq!(names(&untraced(&module)), expected);
    }

    /// Three sections of code and data, each CALL, CALL: the first of each is of `__fentry__`.
    fn with_calls() -> Vec<u8> {
        let mut symbols = vec![0; 3 * 24];
        // The second and third symbol: "other", "__fentry__".
        symbols[24] = 1;
        symbols[48] = 7;
        let relocation = |offset: u64, symbol: u64| {
            [offset.to_le_bytes(), (symbol << 32 | 4).to_le_bytes(), (-4_i64).to_le_bytes()].concat()
        };
        let rela = |info| Section {
            kind: 4,
            link: 4,
            info,
            bytes: [relocation(1, 2), relocation(6, 1)].concat(),
            ..named(".rela")
        };
        let calls = [CALL, CALL].concat();
        elf(&[
            Section { flags: 6, bytes: calls.clone(), ..named(".text") },
            Section { flags: 2, bytes: calls, ..named(".data") },
            Section { bytes: b"\0other\0__fentry__\0".to_vec(), ..named(".strtab") },
            Section { kind: 2, link: 3, bytes: symbols, ..named(".symtab") },
            rela(1),
            rela(2),
        ])
    }

    #[test]
    fn a_call_of_the_tracer_is_a_nop_and_has_no_relocation() {
        let module = with_calls();
        let untraced = untraced(&module);
        let section = |number: usize| {
            let elf = Elf::parse(&untraced).unwrap();
            untraced[elf.section_headers[number].file_range().unwrap()].to_vec()
        };
        assert_eq!(section(1), [NOP, CALL].concat());
        assert_eq!(section(2), [CALL, CALL].concat(), "data is no code");
        assert_eq!(section(5)[8..16], [0; 8], "R_X86_64_NONE");
        assert_eq!(section(5)[24..], section(6)[24..], "the other call");
        assert_ne!(section(6)[8..16], [0; 8]);
        assert_eq!(untraced.iter().zip(&module).filter(|(one, other)| one != other).count(), 3 + 2);
    }

    #[test]
    fn what_has_no_such_section_or_is_no_module_stays() {
        let without = elf(&[named(".text")]);
        assert_eq!(untraced(&without), without);
        for whole in [with_calls(), elf(&[named("__mcount_loc")])] {
            assert_ne!(untraced(&whole), whole);
            for length in 0..whole.len() - 64 {
                assert_eq!(untraced(&whole[..length]), whole[..length], "cut off after {length}");
            }
        }
    }
}
