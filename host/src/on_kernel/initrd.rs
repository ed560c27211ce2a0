//! What the kernel under test unpacks as its root: a newc archive.

use super::modules::Module;
use super::{KernelUnderTest, OnKernelError, modules};
use crate::report::facts::EMULATOR;
use cpio::newc::{Builder, ModeFileType, trailer};
use goblin::elf::Elf;
use goblin::elf::program_header::{PT_INTERP, ProgramHeader};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where the modules are; their names sort in load order.
pub(super) const MODULES: &str = "/midflight/modules";
/// The arguments, each ended by a zero byte, which none can hold.
pub(super) const ARGUMENTS: &str = "/midflight/arguments";
/// What process 1 mounts: the file system and where. Files of the archive there would be hidden.
pub(super) const MOUNTS: [(&str, &str); 3] = [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")];
/// For temporary files; the root itself is in memory.
const TEMPORARY: &str = "/tmp";
/// What else is no place for somebody's files.
const OURS: [&str; 2] = [INIT, "/midflight"];
const INIT: &str = "/init";

const THIS_EXECUTABLE: &str = "/proc/self/exe";

/// The archive, but for the arguments.
pub(super) fn pack(under_test: &KernelUnderTest) -> Result<Vec<u8>, OnKernelError> {
    let mut init = read("this executable", Path::new(THIS_EXECUTABLE))?;
    if !is_static(&init) {
        return Err(OnKernelError::Dynamic);
    }
    strip(&mut init);
    let modules = under_test.modules.as_deref().map_or(Ok(Vec::new()), modules::find)?;
    let mut files = Vec::new();
    for file in &under_test.files {
        // As the arguments inside name them: nothing is resolved but the working directory.
        let inside = std::path::absolute(file).map_err(unreadable("the file", file))?;
        if MOUNTS.iter().map(|(_, target)| target).chain(&OURS).any(|taken| inside.starts_with(taken)) {
            return Err(OnKernelError::Hidden(inside));
        }
        files.push((inside, read("the file", file)?));
    }
    archive(&init, &modules, &files).map_err(packing)
}

/// The archive with arguments: one more is unpacked after it.
/// `emulator` is for the host facts, where nothing else tells it.
pub(super) fn with_arguments(
    archive: &[u8],
    arguments: &[OsString],
    emulator: Option<&str>,
) -> Result<Vec<u8>, OnKernelError> {
    let mut list = Vec::new();
    for argument in arguments {
        list.extend_from_slice(argument.as_bytes());
        list.push(0);
    }
    let mut more = Archive::default();
    let files = [(ARGUMENTS, Some(&list[..])), (EMULATOR, emulator.map(str::as_bytes))];
    for (path, bytes) in files {
        bytes.map_or(Ok(()), |bytes| more.file(Path::new(path), bytes)).map_err(packing)?;
    }
    Ok([archive, &trailer(more.bytes).map_err(packing)?].concat())
}

fn packing(error: std::io::Error) -> OnKernelError {
    OnKernelError::System { what: "packing the initrd", error }
}

/// The arguments in the file [`ARGUMENTS`].
pub(super) fn arguments(bytes: &[u8]) -> Vec<OsString> {
    let Some(bytes) = bytes.strip_suffix(&[0]) else { return Vec::new() };
    bytes.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, OnKernelError> {
    std::fs::read(file).map_err(unreadable(what, file))
}

fn unreadable(what: &'static str, file: &Path) -> impl Fn(std::io::Error) -> OnKernelError {
    move |error| OnKernelError::File { what, file: file.to_owned(), error }
}

/// Whether a program runs without a loader and libraries.
fn is_static(program: &[u8]) -> bool {
    Elf::parse(program).is_ok_and(|elf| elf.program_headers.iter().all(|header| header.p_type != PT_INTERP))
}

/// Removes what is not loaded of a program, its debug information, which is most of it: an emulated processor copies
/// every byte of an initrd twice.
fn strip(program: &mut Vec<u8>) {
    let Ok(elf) = Elf::parse(program) else { return };
    let headers = elf.header.e_phoff + u64::from(elf.header.e_phnum) * u64::from(elf.header.e_phentsize);
    let end = |header: &ProgramHeader| header.p_offset.saturating_add(header.p_filesz);
    let loaded = elf.program_headers.iter().map(end).max().unwrap_or_default().max(headers);
    if !elf.is_64 || loaded > program.len() as u64 {
        return;
    }
    program.truncate(loaded as usize);
    for field in SECTION_FIELDS {
        program[field].fill(0);
    }
}

/// Of a 64-bit ELF header: e_shoff; e_shentsize, e_shnum and e_shstrndx.
const SECTION_FIELDS: [std::ops::Range<usize>; 2] = [40..48, 58..64];

fn archive(init: &[u8], modules: &[Module], files: &[(PathBuf, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in MOUNTS.into_iter().map(|(_, target)| target).chain([TEMPORARY]) {
        archive.directory(Path::new(directory))?;
    }
    archive.file(Path::new(INIT), init)?;
    archive.directory(Path::new(MODULES))?;
    for (index, module) in modules.iter().enumerate() {
        let name = format!("{MODULES}/{index:02}-{}.ko", module.name);
        archive.file(Path::new(&name), &module.bytes)?;
    }
    for (path, bytes) in files {
        archive.file(path, bytes)?;
    }
    trailer(archive.bytes)
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    directories: Vec<PathBuf>,
    entries: u32,
}

impl Archive {
    fn file(&mut self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let path = path.strip_prefix("/").unwrap_or(path);
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        self.entry(path, ModeFileType::Regular, bytes)
    }

    /// The directory and those above it, once each: the kernel makes none by itself.
    fn directory(&mut self, path: &Path) -> std::io::Result<()> {
        let path = path.strip_prefix("/").unwrap_or(path);
        if path.as_os_str().is_empty() || self.directories.iter().any(|directory| directory == path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        self.directories.push(path.to_owned());
        self.entry(path, ModeFileType::Directory, &[])
    }

    fn entry(&mut self, path: &Path, kind: ModeFileType, bytes: &[u8]) -> std::io::Result<()> {
        let invalid = |why| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
        let name = path.to_str().ok_or_else(|| invalid(format!("{} is not UTF-8", path.display())))?;
        let size = u32::try_from(bytes.len())
            .map_err(|_| invalid(format!("{name} is too large for the archive format")))?;
        // Entries with one number are links to one file.
        self.entries += 1;
        let builder = Builder::new(name).ino(self.entries).nlink(1).mode(0o755).set_mode_file_type(kind);
        let mut writer = builder.write(std::mem::take(&mut self.bytes), size);
        writer.write_all(bytes)?;
        self.bytes = writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use std::io::Read;

    fn listed(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            let mut reader = Reader::new(archive).unwrap();
            if reader.entry().is_trailer() {
                archive = reader.finish().unwrap();
                // One archive may follow another.
                let Some(next) = archive.iter().position(|byte| *byte != 0) else { return entries };
                archive = &archive[next..];
                continue;
            }
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            entries.push((reader.entry().name().to_owned(), reader.entry().mode(), bytes));
            archive = reader.finish().unwrap();
        }
    }

    #[test]
    fn the_archive_has_everything_and_directories_come_first() {
        let modules = [("kvm", b"KVM"), ("kvm_amd", b"AMD")]
            .map(|(name, bytes)| Module { name: name.into(), bytes: bytes.to_vec() });
        let files = [(PathBuf::from("/home/a/list.toml"), b"text".to_vec())];
        let arguments = ["run".into(), "two words".into(), "".into(), OsString::from_vec(vec![0xFF])];
        let entries = listed(
            &with_arguments(&archive(b"ELF", &modules, &files).unwrap(), &arguments, Some("bochs 2.7"))
                .unwrap(),
        );
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "dev",
                "proc",
                "sys",
                "tmp",
                "init",
                "midflight",
                "midflight/modules",
                "midflight/modules/00-kvm.ko",
                "midflight/modules/01-kvm_amd.ko",
                "home",
                "home/a",
                "home/a/list.toml",
                "midflight",
                "midflight/arguments",
                "midflight/emulator",
            ]
        );
        let entry = |name: &str| entries.iter().find(|entry| entry.0 == name).unwrap().clone();
        assert_eq!(entry("dev").1, 0o040755);
        assert_eq!((entry("init").1, entry("init").2), (0o100755, b"ELF".to_vec()));
        assert_eq!(entry("midflight/arguments").2, b"run\0two words\0\0\xFF\0");
        assert_eq!(super::arguments(&entry("midflight/arguments").2), arguments);
        assert_eq!(entry("home/a/list.toml").2, b"text");
    }

    #[test]
    fn a_kernel_without_modules_has_an_empty_directory() {
        let entries = listed(&archive(b"ELF", &[], &[]).unwrap());
        let modules = entries.iter().find(|entry| entry.0 == "midflight/modules").unwrap();
        assert_eq!(modules.1, 0o040755);
        assert!(!entries.iter().any(|entry| entry.0.starts_with("midflight/modules/")));
    }

    #[test]
    fn no_arguments_are_no_arguments() {
        assert!(arguments(b"").is_empty());
    }

    #[test]
    fn a_stripped_program_runs_as_before() {
        let file = std::env::temp_dir().join(format!("midflight-stripped-{}", std::process::id()));
        let original = std::fs::read("/proc/self/exe").unwrap();
        let mut stripped = original.clone();
        strip(&mut stripped);
        assert!(stripped.len() < original.len());
        std::fs::copy("/proc/self/exe", &file).unwrap();
        std::fs::write(&file, stripped).unwrap();
        let listed = |program: &Path| {
            let output = std::process::Command::new(program).arg("--list").output();
            output.map(|output| (output.status.success(), output.stdout)).unwrap()
        };
        let (before, after) = (listed(&std::env::current_exe().unwrap()), listed(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(before == after && before.0);
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(!is_static(&std::fs::read("/bin/sh").unwrap()));
        assert!(!is_static(b"no program"));
    }
}
