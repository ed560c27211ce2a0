//! Embeds the images that `make images` leaves in `target/images`, or those of `MIDFLIGHT_IMAGES`.
//!
//! `target/images` may hold what an older tree built, or somebody's file: what has no source is left out.
//! The directory that `MIDFLIGHT_IMAGES` names is the user's, who need not have the sources: all that it
//! holds is embedded, but for hidden files. A warning names each file that is left out, and each source
//! without an image. Without any image a release build builds them, and another build succeeds all the same: such a
//! midflight says so. They are embedded compressed: all are alike but for their cases.

#[path = "build/images.rs"]
mod images;
#[path = "build/version.rs"]
pub(crate) mod version;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

/// Where the sources of the images are, and where `make images` leaves these, from the workspace's directory.
const SOURCES: &str = "tests/src/bin";
const IMAGES: &str = "target/images";

fn main() -> ExitCode {
    match embed_images().and_then(|()| tell_version()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn embed_images() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=MIDFLIGHT_IMAGES");
    let chosen = chosen(&workspace())?;
    let embedded = Path::new(&variable("OUT_DIR")?).join("embedded");
    fs::create_dir_all(&embedded)?;
    let mut table = String::from("&[\n");
    for file in &chosen.images {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap_or_default();
        let compressed = embedded.join(name).with_added_extension("gz");
        fs::write(&compressed, compress(&fs::read(file)?)?)?;
        let _ = writeln!(table, "    ({name:?}, include_bytes!({compressed:?})),");
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

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    compressed.write_all(bytes)?;
    compressed.finish()
}

fn chosen(root: &Path) -> io::Result<Chosen> {
    if let Some(directory) = env::var_os("MIDFLIGHT_IMAGES") {
        return choose(Path::new(&directory), None);
    }
    let sources = root.join(SOURCES);
    let chosen = choose(&root.join(IMAGES), Some(&sources))?;
    if !chosen.images.is_empty() || variable("PROFILE")? != "release" {
        return Ok(chosen);
    }
    let (cargo, rustc) = (variable("CARGO")?, variable("RUSTC")?);
    let scratch = variable("OUT_DIR")?;
    let built = images::build(root, Path::new(&scratch), &cargo, &rustc).map_err(io::Error::other)?;
    let mut built = built_of(&built, &sources)?;
    // `make images` may follow.
    built.watched.extend(chosen.watched);
    Ok(built)
}

/// The images of all sources, where cargo has put them.
fn built_of(built: &Path, sources: &Path) -> io::Result<Chosen> {
    let images = files_of_rust(sources)?
        .iter()
        .map(|source| built.join(source.file_stem().unwrap_or_default()))
        .collect();
    Ok(Chosen { images, watched: Vec::new(), warnings: Vec::new() })
}

/// The version with its commit, as `--version` prints it, and the date of the source.
fn tell_version() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let source = version::Source::of(&workspace());
    for file in &source.watched {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let date =
        version::date(env::var("SOURCE_DATE_EPOCH").ok().as_deref(), &source).map_err(io::Error::other)?;
    println!("cargo::rustc-env=MIDFLIGHT_VERSION={}{}", variable("CARGO_PKG_VERSION")?, source.in_brackets());
    println!("cargo::rustc-env=MIDFLIGHT_DATE={date}");
    Ok(())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
