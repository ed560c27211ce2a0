//! Which kernel modules KVM needs, in load order, decompressed.
//!
//! A module names what it depends on in its own `.modinfo` section. So neither modules.dep nor
//! depmod is needed: a Debian package that is only unpacked, and a kernel's build tree, have neither.

use crate::decompress::decompress;
use goblin::elf::Elf;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules without which /dev/kvm stays away: one for each vendor.
pub(super) const VENDOR_MODULES: [&str; 2] = ["kvm_amd", "kvm_intel"];

/// The list of what would be modules and is in the kernel.
const BUILT_IN: &str = "modules.builtin";

/// Deeper directories are not looked into; /lib/modules/VERSION/kernel/drivers/… is six deep.
const DEEPEST: usize = 16;
/// No module is larger, in bytes; a longer decompressed one is refused.
const LARGEST: usize = 64 << 20;

/// A module, ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Its name, with `_` for `-`.
    pub(super) name: String,
    /// The ELF file.
    pub(super) bytes: Vec<u8>,
}

/// The modules are no use.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The directory has neither of the modules that drive the hardware, nor says that they are built in.
    #[error(
        "there is no kvm-amd and no kvm-intel module below {}, and its modules.builtin names neither: --modules \
         wants the directory of that kernel's modules, lib/modules/VERSION; leave it out where KVM is built \
         into the kernel", .0.display()
    )]
    NoKvm(PathBuf),
    /// A module that another needs is missing.
    #[error("{needed_by} needs the module {name}, and there is none below {}", directory.display())]
    Missing {
        /// The module.
        name: String,
        /// Who needs it.
        needed_by: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A directory or file cannot be read or decompressed.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Its name.
        file: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// A file is not a module.
    #[error("{} is not a kernel module: {why}", file.display())]
    NotAModule {
        /// Its name.
        file: PathBuf,
        /// Why not.
        why: String,
    },
}

/// The modules below `directory` that KVM needs, each after those that it depends on; none where KVM is
/// built into the kernel.
pub(super) fn find(directory: &Path) -> Result<Vec<Module>, ModuleError> {
    let mut files = BTreeMap::new();
    list(directory, DEEPEST, &mut files)?;
    let mut modules = Vec::new();
    for name in VENDOR_MODULES.iter().filter(|name| files.contains_key(**name)) {
        add(name, &files, directory, &mut Vec::new(), &mut modules)?;
    }
    if modules.is_empty() && !has_built_in(directory)? {
        return Err(ModuleError::NoKvm(directory.to_owned()));
    }
    Ok(modules)
}

/// Whether `modules.builtin`, which every kernel build leaves beside the modules, names a KVM.
fn has_built_in(directory: &Path) -> Result<bool, ModuleError> {
    let file = directory.join(BUILT_IN);
    let list = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        list => list.map_err(|error| ModuleError::Unreadable { file, error })?,
    };
    // Each line is a path: kernel/arch/x86/kvm/kvm-amd.ko.
    let name = |line: &str| module_name(line.rsplit('/').next().unwrap_or(line));
    Ok(list.lines().filter_map(name).any(|name| VENDOR_MODULES.contains(&name.as_str())))
}

/// Adds a module after its dependencies. `needed_by` are the modules that lead to it, which ends
/// circles.
fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    directory: &Path,
    needed_by: &mut Vec<String>,
    modules: &mut Vec<Module>,
) -> Result<(), ModuleError> {
    if modules.iter().any(|module| module.name == name) || needed_by.iter().any(|above| above == name) {
        return Ok(());
    }
    let Some(file) = files.get(name) else {
        return Err(ModuleError::Missing {
            name: name.to_owned(),
            needed_by: needed_by.last().cloned().unwrap_or_default(),
            directory: directory.to_owned(),
        });
    };
    let bytes = read(file)?;
    let depends = depends(&bytes).map_err(|why| ModuleError::NotAModule { file: file.clone(), why })?;
    needed_by.push(name.to_owned());
    for dependency in depends {
        add(&dependency, files, directory, needed_by, modules)?;
    }
    needed_by.pop();
    modules.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// Every module file below `directory`, by name.
fn list(directory: &Path, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> Result<(), ModuleError> {
    let unreadable = |error| ModuleError::Unreadable { file: directory.to_owned(), error };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // Not followed when it is a link: lib/modules/VERSION/build leads to the sources.
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && depth > 0 {
            list(&entry.path(), depth - 1, files)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(module_name) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The name of the module in a file of this name: `kvm-amd.ko.xz` holds `kvm_amd`.
fn module_name(file: &str) -> Option<String> {
    let (name, compression) = file.split_once(".ko")?;
    matches!(compression, "" | ".xz" | ".zst" | ".gz").then(|| name.replace('-', "_"))
}

fn read(file: &Path) -> Result<Vec<u8>, ModuleError> {
    let unreadable = |error| ModuleError::Unreadable { file: file.to_owned(), error };
    let bytes = fs::read(file).map_err(unreadable)?;
    decompress(&bytes, LARGEST).map_err(unreadable)
}

/// `depends` of the section `.modinfo`: strings `key=value`, each ended by a zero byte.
fn depends(module: &[u8]) -> Result<Vec<String>, String> {
    let elf = Elf::parse(module).map_err(|error| error.to_string())?;
    let section = elf
        .section_headers
        .iter()
        .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(".modinfo"))
        .and_then(|section| module.get(section.file_range()?))
        .ok_or("it has no .modinfo section")?;
    let list = section.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let list = std::str::from_utf8(list.unwrap_or_default()).map_err(|error| error.to_string())?;
    Ok(list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_give_module_names() {
        assert_eq!(module_name("kvm-amd.ko").as_deref(), Some("kvm_amd"));
        assert_eq!(module_name("irqbypass.ko.xz").as_deref(), Some("irqbypass"));
        assert_eq!(module_name("kvm.ko.zst").as_deref(), Some("kvm"));
        assert_eq!(module_name("kvm.ko.cmd"), None);
        assert_eq!(module_name("modules.dep"), None);
    }

    #[test]
    fn a_directory_without_kvm_is_a_sentence() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let error = find(&directory).unwrap_err().to_string();
        assert!(error.starts_with("there is no kvm-amd and no kvm-intel module below /"), "{error}");
    }

    #[test]
    fn a_kvm_that_is_built_in_needs_no_module() {
        let directory = std::env::temp_dir().join(format!("midflight-built-in-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let with = |list: &str| {
            fs::write(directory.join(BUILT_IN), list).unwrap();
            find(&directory)
        };
        let amd =
            with("kernel/fs/ext4/ext4.ko\nkernel/arch/x86/kvm/kvm.ko\nkernel/arch/x86/kvm/kvm-amd.ko\n");
        let intel = with("kernel/arch/x86/kvm/kvm-intel.ko\n");
        // kvm.ko alone drives no hardware.
        let neither = with("kernel/fs/ext4/ext4.ko\nkernel/arch/x86/kvm/kvm.ko\n");
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((amd.unwrap(), intel.unwrap()), (vec![], vec![]));
        assert!(matches!(neither, Err(ModuleError::NoKvm(_))), "{neither:?}");
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(depends(b"text").is_err());
        let this_program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(depends(&this_program).unwrap_err(), "it has no .modinfo section");
    }
}
