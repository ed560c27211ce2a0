//! The `midflight` binary under test, and what a run of it left.

use midflight::image::Image;
use midflight::images::EMBEDDED;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// It ended with this exit code and printed each of these texts.
    #[track_caller]
    pub(crate) fn printed(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            assert!(self.stdout.contains(text), "{text}: {self:?}");
        }
    }

    /// It refused what it was given: exit code 2, the sentence, and nothing that looks like a result.
    #[track_caller]
    pub(crate) fn refused(&self, sentence: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (2, ""), "{self:?}");
        assert!(self.stderr.contains(sentence) && !self.stderr.contains("panicked"), "{self:?}");
    }

    /// It ended with this exit code; the JSON objects that it printed, a line each, and the last one, which is
    /// of the whole run.
    #[track_caller]
    pub(crate) fn objects(&self, code: i32) -> (Vec<Value>, Value) {
        assert_eq!(self.code, code, "{self:?}");
        let mut objects: Vec<Value> =
            self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = objects.pop().unwrap();
        (objects, summary)
    }
}

/// The binary, to be started.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_midflight"))
}

/// Runs `midflight` with arguments, with a hard bound.
pub(crate) fn midflight<A: AsRef<OsStr>>(arguments: &[A]) -> Ran {
    run(program().args(arguments).stdin(Stdio::null()))
}

/// Starts a command whose output [`finish`] gives.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command to its end, with a hard bound.
pub(crate) fn run(command: &mut Command) -> Ran {
    finish(start(command))
}

/// Reads what is a pipe to its end; nothing where there is none.
fn text(pipe: Option<impl Read + Send + 'static>) -> impl FnOnce() -> String {
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut text)).map(|_| text)
    });
    || reader.join().unwrap().unwrap()
}

/// Waits for a child with a hard bound.
pub(crate) fn finish(mut child: Child) -> Ran {
    let (stdout, stderr) = (text(child.stdout.take()), text(child.stderr.take()));
    let bound = Instant::now() + Duration::from_secs(600);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > bound {
            child.kill().unwrap();
            panic!("midflight did not end within ten minutes");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran { code: status.code().unwrap_or(-1), stdout: stdout(), stderr: stderr() }
}

/// An embedded image's bytes; `None` in a build without images, where the test has nothing to do.
pub(crate) fn embedded(name: &str) -> Option<Vec<u8>> {
    let found = EMBEDDED.iter().find(|(file, _)| *file == name);
    if found.is_none() {
        eprintln!("skipped, nothing tested: this build carries no image {name}");
    }
    found.map(|(_, bytes)| bytes.to_vec())
}

/// The same, parsed.
pub(crate) fn image(name: &str) -> Option<Image> {
    embedded(name).map(|bytes| Image::parse(name, &bytes).unwrap())
}

/// Every embedded image, parsed; none in a build without images.
pub(crate) fn images() -> Vec<Image> {
    EMBEDDED.iter().map(|(name, bytes)| Image::parse(name, bytes).unwrap()).collect()
}

/// A file of a test's own, in the directory that cargo gives integration tests; its path.
pub(crate) fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// An empty directory of a test's own.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What lies in a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
