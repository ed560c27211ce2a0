//! Whether the QEMU that was found is one: it says its version, and it boots a guest of three
//! instructions and ends as that guest says. One that does not is no machine to blame a guest on.

use super::process::run;
use super::{Accelerator, PROGRAM, Qemu, QemuError, arguments, process};
use crate::deadline::Deadline;
use crate::process::MemoryFile;
use crate::qemu::migration::FileAddress;
use protocol::exit::ImageExit;
use protocol::port::EXIT;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a QEMU may take for each of the two: a busy host needs a second or two.
pub const TRY: Duration = Duration::from_secs(10);

/// A QEMU's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) file: PathBuf,
    pub(super) file_address: FileAddress,
}

/// A QEMU that was found and tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedQemu {
    pub(super) program: Program,
    /// What migrated guests continue in.
    pub(super) destination: Program,
    /// How it runs the guest's code.
    pub accelerator: Accelerator,
    /// Whether its CPU model `max` has FRED.
    pub fred: bool,
    /// The first line of `--version`, and what it is run with.
    pub version: String,
    /// The same of the destination, if it is another.
    pub destination_version: Option<String>,
}

impl Qemu {
    /// Looks for QEMU in PATH and tries it. Each of the two tries may take `limit`.
    ///
    /// # Errors
    /// [`QemuError::Missing`], or [`QemuError::Unusable`] with what it did instead.
    pub fn tried(&self, limit: Duration) -> Result<TriedQemu, QemuError> {
        let mut source = self.tried_one(&self.program, limit)?;
        let Some(destination) = &self.destination else { return Ok(source) };
        let like_the_source = Self { accelerators: vec![source.accelerator], ..self.clone() };
        let destination = like_the_source.tried_one(destination, limit)?;
        source.fred &= destination.fred;
        source.destination_version = Some(destination.version);
        source.destination = destination.program;
        Ok(source)
    }

    fn tried_one(&self, program: &Path, limit: Duration) -> Result<TriedQemu, QemuError> {
        let program = crate::process::find(program).ok_or_else(|| match program == Path::new(PROGRAM) {
            true => QemuError::Missing,
            false => unusable_because(program, "it is no program that can be run".to_owned()),
        })?;
        let line = says_version(&program, limit)?;
        let mut first = None;
        for accelerator in &self.accelerators {
            let program = Program { file: program.clone(), file_address: FileAddress::Descriptor };
            let (destination, version) = (program.clone(), String::new());
            let mut qemu = TriedQemu {
                program,
                destination,
                accelerator: *accelerator,
                fred: false,
                version,
                destination_version: None,
            };
            match qemu.boots(limit) {
                Ok(()) => {
                    qemu.ask(limit);
                    let cpu = accelerator.cpu(qemu.fred).unwrap_or("(default)");
                    qemu.version = format!("{line}, accelerator {accelerator}, machine microvm, CPU {cpu}");
                    return Ok(qemu);
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(QemuError::Missing))
    }
}

/// First line of `--version`.
fn says_version(program: &Path, limit: Duration) -> Result<String, QemuError> {
    let ended = run(program, &["--version".into()], None, &Deadline::after(limit));
    let ended = ended.map_err(|error| unusable(program, "--version", &error, limit))?;
    let line = ended.output.lines().next().unwrap_or_default().trim();
    if !ended.status.success() || line.is_empty() {
        let said = if line.is_empty() { "printed nothing".to_owned() } else { format!("printed: {line}") };
        let why = format!("run with --version it {said}, and ended with {}", ended.status);
        return Err(unusable_because(program, why));
    }
    Ok(line.to_owned())
}

impl TriedQemu {
    /// Boots [`guest`], as images are booted.
    fn boots(&self, limit: Duration) -> Result<(), QemuError> {
        let file = MemoryFile::new(&guest()).map_err(process::system("handing a guest to QEMU"))?;
        let arguments = arguments(&file.path(), "", self.processor());
        let ended = run(&self.program.file, &arguments, None, &Deadline::after(limit));
        let ended = ended
            .map_err(|error| unusable(&self.program.file, "a guest that ends at once", &error, limit))?;
        if ended.status.code() == Some(ImageExit::Pass.qemu_code()) {
            return Ok(());
        }
        let says = ended.errors.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("(nothing)");
        let accelerator = self.accelerator;
        let why = format!(
            "given a guest that ends at once it ended with {} instead (accelerator {accelerator}); it says: {says}",
            ended.status
        );
        Err(unusable_because(&self.program.file, why))
    }

    /// How it is told what runs the guest's code.
    pub(super) fn processor(&self) -> Vec<String> {
        self.accelerator.arguments(self.fred)
    }
}

fn unusable(program: &Path, given: &str, error: &QemuError, limit: Duration) -> QemuError {
    let why = match error {
        QemuError::Timeout { .. } => {
            format!("given {given} it did not end within {} s and was killed", limit.as_secs_f64())
        }
        QemuError::TooMuchOutput { limit } => format!("given {given} it printed more than {limit} bytes"),
        other => other.to_string(),
    };
    unusable_because(program, why)
}

fn unusable_because(program: &Path, why: String) -> QemuError {
    QemuError::Unusable { program: program.display().to_string(), why }
}

/// Where the guest is loaded and entered.
const ENTRY: u32 = 0x10_0000;

/// MOV AL, [`ImageExit::Pass`]; OUT [`EXIT`], AL; HLT. In 32-bit mode.
const CODE: [u8; 5] = [0xB0, ImageExit::Pass as u8, 0xE6, EXIT as u8, 0xF4];

const ELF_HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;

/// An ELF file with a PVH note, as images have it, and nothing else than [`CODE`].
fn guest() -> Vec<u8> {
    // XEN_ELFNOTE_PHYS32_ENTRY of include/xen/interface/elfnote.h: sizes of name and entry, type.
    let mut note: Vec<u8> = [4_u32, 8, 18].iter().flat_map(|word| word.to_le_bytes()).collect();
    note.extend(b"Xen\0");
    note.extend(u64::from(ENTRY).to_le_bytes());
    let note_at = u64::from(ELF_HEADER + 2 * PROGRAM_HEADER);
    let code_at = note_at + note.len() as u64;

    // ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
    let mut file = b"\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let word = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let long = |file: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    // ET_EXEC, EM_X86_64; entry, program headers, no section headers.
    half(&mut file, &[2, 62]);
    word(&mut file, &[1]);
    long(&mut file, &[ENTRY.into(), ELF_HEADER.into(), 0]);
    word(&mut file, &[0]);
    half(&mut file, &[ELF_HEADER, PROGRAM_HEADER, 2, 0, 0, 0]);
    // PT_NOTE and PT_LOAD: flags, then offset, both addresses, both sizes, alignment.
    for (kind, flags, at, address, length, alignment) in
        [(4, 4, note_at, 0, note.len() as u64, 4), (1, 5, code_at, u64::from(ENTRY), CODE.len() as u64, 1)]
    {
        word(&mut file, &[kind, flags]);
        long(&mut file, &[at, address, address, length, length, alignment]);
    }
    file.extend(note);
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use goblin::elf::Elf;
    use goblin::elf::program_header::PT_LOAD;

    #[test]
    fn the_guest_is_the_file_that_its_headers_describe() {
        let file = guest();
        let elf = Elf::parse(&file).unwrap();
        let [code] = &elf.program_headers.iter().filter(|h| h.p_type == PT_LOAD).collect::<Vec<_>>()[..]
        else {
            panic!("{:?}", elf.program_headers)
        };
        assert_eq!(file[code.file_range()], [0xB0, 0x10, 0xE6, 0xF4, 0xF4]);
        assert_eq!((code.p_paddr, elf.entry), (0x10_0000, 0x10_0000));
        let note = elf.iter_note_headers(&file).unwrap().next().unwrap().unwrap();
        assert_eq!((note.name, note.n_type, note.desc), ("Xen", 18, &0x10_0000_u64.to_le_bytes()[..]));
    }
}
