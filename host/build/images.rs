//! The images for a binary that nobody ran `make images` for: `cargo install --path host`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the images are built for.
const TARGET: &str = "x86_64-unknown-none";

/// Builds the images of the workspace in `root` under `scratch`; the directory that holds them. `cargo` and `rustc`
/// are the programs.
pub(crate) fn build(root: &Path, scratch: &Path, cargo: &str, rustc: &str) -> Result<PathBuf, String> {
    if !has_target(rustc) {
        return Err(format!(
            "midflight carries its guest images, and these are built for {TARGET}, which {rustc} does not have: run \
             `rustup target add {TARGET}` and repeat the command, or run `make build`"
        ));
    }
    let built = scratch.join("images");
    // The flags of the host's build are none of the images'.
    let mut command = Command::new(cargo);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command.args(["build", "--locked", "--profile", "guest", "--target", TARGET, "-p", "midflight-tests"]);
    let status = command.arg("--bins").arg("--target-dir").arg(&built).current_dir(root).status();
    match status {
        Ok(status) if status.success() => Ok(built.join(TARGET).join("guest")),
        Ok(_) => {
            Err("the guest images could not be built: what stands above says why; `make images` repeats it"
                .into())
        }
        Err(error) => Err(format!("the guest images could not be built: {cargo} cannot be run: {error}")),
    }
}

fn has_target(rustc: &str) -> bool {
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    asked.is_ok_and(|answer| {
        let directory = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        answer.status.success() && Path::new(&directory).is_dir()
    })
}
