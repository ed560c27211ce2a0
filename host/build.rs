//! Embeds the images that `make images` leaves in `target/images`, or those of `MIDFLIGHT_IMAGES`.
//!
//! `target/images` may hold what an older tree built, or somebody's file: what has no source is left out.
//! The directory that `MIDFLIGHT_IMAGES` names is the user's, who need not have the sources: all that it
//! holds is embedded, but for hidden files. A warning names each file that is left out, and each source
//! without an image. Without any image the build succeeds all the same: such a midflight says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where the sources of the images are, and where `make images` leaves these, from this crate.
const SOURCES: &str = "../tests/src/bin";
const IMAGES: &str = "../target/images";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=MIDFLIGHT_IMAGES");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chosen = match env::var_os("MIDFLIGHT_IMAGES") {
        Some(directory) => choose(Path::new(&directory), None)?,
        None => choose(&here.join(IMAGES), Some(&here.join(SOURCES)))?,
    };
    let mut table = String::from("&[\n");
    for file in &chosen.images {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap_or_default();
        let _ = writeln!(table, "    ({:?}, include_bytes!({:?})),", name, fs::canonicalize(file)?);
    }
    for directory in &chosen.watched {
        println!("cargo::rerun-if-changed={}", directory.display());
    }
    for warning in &chosen.warnings {
        println!("cargo::warning={warning}");
    }
    table.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("embedded_images.rs"), table)
}

/// What is embedded, and what is said about the rest.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The files, sorted.
    pub(crate) images: Vec<PathBuf>,
    /// Directories whose contents decide.
    pub(crate) watched: Vec<PathBuf>,
    /// A sentence for each file that is left out, and for each source without an image.
    pub(crate) warnings: Vec<String>,
}

/// The images in a directory; with `sources` only those that have one there.
pub(crate) fn choose(directory: &Path, sources: Option<&Path>) -> io::Result<Chosen> {
    let mut chosen = Chosen { watched: vec![directory.to_owned()], ..Chosen::default() };
    chosen.watched.extend(sources.map(Path::to_owned));
    let files = files(directory)?;
    let none = files.is_empty();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match sources.map(|sources| sources.join(format!("{name}.rs"))) {
            Some(source) if !source.is_file() => {
                let (file, source) = (file.display(), source.display());
                chosen
                    .warnings
                    .push(format!("{file} is not embedded: there is no {source}; `make images` removes it"));
            }
            None if name.starts_with('.') => {
                chosen.warnings.push(format!("{} is not embedded: it is hidden", file.display()));
            }
            Some(_) | None => chosen.images.push(file),
        }
    }
    // Where there is none at all, nobody has built them yet.
    for source in sources.filter(|_| !none).map_or(Ok(Vec::new()), files_of_rust)? {
        let image = directory.join(source.file_stem().unwrap_or_default());
        if !image.is_file() {
            chosen.warnings.push(format!("{} has no image: run `make images`", source.display()));
        }
    }
    Ok(chosen)
}

fn files_of_rust(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = files(directory)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    Ok(files)
}

/// The files of the directory, sorted; none when it does not exist.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
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
