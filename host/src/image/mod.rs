//! Images: a guest's ELF file, read without trusting anything in it.

mod bounds;
mod delivery;
mod error;
mod note;
mod pages;
mod symbols;

pub(crate) use bounds::inside;
pub use bounds::{LARGEST_FILE, LOWEST, MEMORY_SIZE};
pub use delivery::{DeliveryMode, Place};
pub use error::{ImageError, Problem};
pub use note::{Cancel, Case};
pub use pages::DeliveryPages;

use goblin::elf::Elf;
use goblin::elf::header::{EM_X86_64, ET_EXEC};
use goblin::elf::program_header::PT_LOAD;
pub use symbols::Address;
use symbols::Symbols;

/// A test image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name: the first part of a scenario's id.
    pub name: String,
    /// The rule of the architecture it is about.
    pub rule: String,
    /// Where that rule is written.
    pub spec: String,
    /// Its cases, in the order of their indices.
    pub cases: Vec<Case>,
    /// Guest-physical address of the mailbox.
    pub mailbox: u64,
    /// The pages that the delivery under test touches.
    pub pages: DeliveryPages,
    /// The 32-bit entry point of the PVH note.
    pub entry: u32,
    /// What to load: address, bytes of the file, size in memory.
    pub segments: Vec<Segment>,
    /// The whole file.
    pub file: Vec<u8>,
    symbols: Symbols,
}

/// A loadable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address.
    pub address: u64,
    /// Its bytes in the file.
    pub bytes: Vec<u8>,
    /// Its size in memory; the rest after `bytes` is zeros.
    pub size: u64,
}

impl Image {
    /// Reads an image from the bytes of its file; `file` is used in errors. Fails when the file is not a
    /// usable image. Nothing in it is trusted: every size and address is checked here.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        Self::parse_bytes(bytes).map_err(|problem| ImageError { file: file.to_owned(), problem })
    }

    /// Reads an image from a file. Fails when the file cannot be read or is not a usable image.
    pub fn read(path: &std::path::Path) -> Result<Self, ImageError> {
        let file = path.display().to_string();
        let fail = |problem| ImageError { file: file.clone(), problem };
        let metadata = std::fs::metadata(path).map_err(|e| fail(Problem::Unreadable(e.to_string())))?;
        if !metadata.is_file() {
            return Err(fail(Problem::Unreadable("it is not a regular file".to_owned())));
        }
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if size > LARGEST_FILE {
            return Err(fail(Problem::TooLarge(size)));
        }
        let bytes = std::fs::read(path).map_err(|e| fail(Problem::Unreadable(e.to_string())))?;
        Self::parse(&file, &bytes)
    }

    /// The case of that name, with its index.
    pub fn case(&self, name: &str) -> Option<(u16, &Case)> {
        let index = self.cases.iter().position(|case| case.name == name)?;
        Some((index as u16, &self.cases[index]))
    }

    /// `symbol+0x12 (0x100abc)`, or the bare address where no symbol is near.
    pub fn describe_address(&self, address: u64) -> Address {
        self.symbols.find(address)
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > LARGEST_FILE {
            return Err(Problem::TooLarge(bytes.len()));
        }
        let elf = Elf::parse(bytes).map_err(|e| Problem::Elf(e.to_string()))?;
        if !elf.is_64 || elf.header.e_machine != EM_X86_64 || elf.header.e_type != ET_EXEC {
            return Err(Problem::Kind);
        }
        let segments = load_segments(&elf, bytes)?;
        let (entry, descriptor) = notes(&elf, bytes);
        let entry = entry.ok_or(Problem::NoEntry)?;
        let note = note::parse(descriptor.ok_or(Problem::NoNote)?)?;
        if !inside(u64::from(entry), 1) {
            return Err(Problem::BrokenNote("the PVH entry point is outside the image's memory"));
        }
        Ok(Self {
            name: note.name,
            rule: note.rule,
            spec: note.spec,
            cases: note.cases,
            mailbox: note.mailbox,
            pages: note.pages,
            entry,
            segments,
            file: bytes.to_vec(),
            symbols: Symbols::of(&elf),
        })
    }
}

fn load_segments(elf: &Elf<'_>, bytes: &[u8]) -> Result<Vec<Segment>, Problem> {
    let mut segments = Vec::new();
    for header in elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
        let outside = Problem::Segment { address: header.p_paddr, size: header.p_memsz };
        if !inside(header.p_paddr, header.p_memsz) || header.p_filesz > header.p_memsz {
            return Err(outside);
        }
        segments.push(Segment {
            address: header.p_paddr,
            bytes: file_range(bytes, header.p_offset, header.p_filesz)?.to_vec(),
            size: header.p_memsz,
        });
    }
    if segments.is_empty() {
        return Err(Problem::Elf("it has nothing to load".to_owned()));
    }
    Ok(segments)
}

/// XEN_ELFNOTE_PHYS32_ENTRY.
const PVH_ENTRY: u32 = 18;

/// The PVH entry point, and the descriptor of midflight's note, of the ELF notes up to a broken one.
fn notes<'a>(elf: &Elf<'a>, bytes: &'a [u8]) -> (Option<u32>, Option<&'a [u8]>) {
    let (mut entry, mut descriptor) = (None, None);
    for note in elf.iter_note_headers(bytes).into_iter().flatten().flatten() {
        match (note.name, note.n_type) {
            ("Xen", PVH_ENTRY) => entry = note.desc.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)),
            ("midflight", protocol::note::TYPE) => descriptor = Some(note.desc),
            _ => {}
        }
    }
    (entry, descriptor)
}

/// The entry point of the PVH note; `None` where there is none.
pub(crate) fn pvh_entry<'a>(elf: &Elf<'a>, bytes: &'a [u8]) -> Option<u32> {
    notes(elf, bytes).0
}

pub(crate) fn file_range(bytes: &[u8], offset: u64, size: u64) -> Result<&[u8], Problem> {
    let range = || {
        let start = usize::try_from(offset).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    };
    range().ok_or_else(|| Problem::Elf(format!("it ends before {:#x}", offset.saturating_add(size))))
}
