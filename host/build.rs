//! Embeds the images that `make images` leaves in `target/images`, or in `MIDFLIGHT_IMAGES`.
//!
//! Without them the build succeeds all the same: such a midflight carries no image and says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=MIDFLIGHT_IMAGES");
    let directory = images_directory();
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut table = String::from("&[\n");
    for file in images(&directory)? {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap_or_default();
        let _ = writeln!(table, "    ({:?}, include_bytes!({:?})),", name, fs::canonicalize(&file)?);
    }
    table.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("embedded_images.rs"), table)
}

fn images_directory() -> PathBuf {
    match env::var_os("MIDFLIGHT_IMAGES") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/images"),
    }
}

/// The files of the directory, sorted; none when it does not exist.
fn images(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
