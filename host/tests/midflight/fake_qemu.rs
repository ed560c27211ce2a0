//! Programs that are called as QEMU is and are none, in a PATH of a test's own.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What `--version` prints.
pub(crate) const VERSION: &str = "QEMU emulator version 99.0 (of a test)";

/// A script that starts as QEMU would, and what it does in the places that a test has its own idea of.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// Asked for its version.
    pub(crate) version: &'static str,
    /// Given the guest by which it is tried.
    pub(crate) tried: &'static str,
    /// Given an image.
    pub(crate) image: &'static str,
}

impl Script {
    /// One that is tried and found good, and never ends with an image.
    pub(crate) const HANGS_WITH_AN_IMAGE: Self =
        Self { version: "echo \"$version\"; exit", tried: "exit 33", image: "exec sleep 1000" };
}

/// A PATH in which `script` comes first. Before it does anything it adds its arguments, as a line, to the
/// file `called` in `directory`.
pub(crate) fn path(directory: &Path, script: Script) -> OsString {
    let Script { version, tried, image } = script;
    let called = directory.join("called");
    let text = format!(
        "#!/bin/sh\nversion='{VERSION}'\necho \"$@\" >>'{}'\ncase \"$*\" in\n--version) {version} ;;\n*delivery=*) {image} ;;\n\
         *) {tried} ;;\nesac\n",
        called.display()
    );
    let _ = std::fs::remove_file(called);
    let file = directory.join(midflight::machines::qemu::PROGRAM);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = directory.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// The arguments that the script in `directory` was given, a line for each time.
pub(crate) fn calls(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("called")).unwrap_or_default()
}
