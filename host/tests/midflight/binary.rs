//! The `midflight` binary under test.

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

/// Runs `midflight` with arguments, with a hard bound.
pub(crate) fn midflight<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Ran {
    command(env!("CARGO_BIN_EXE_midflight"), arguments)
}

/// Runs a program with arguments, with a hard bound.
pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(program: &str, arguments: &[A]) -> Ran {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits for a child with a hard bound; its output is small enough for a pipe or read on the way.
pub(crate) fn finish(mut child: Child) -> Ran {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let bound = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > bound {
            child.kill().unwrap();
            panic!("midflight did not end within three minutes");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: out.join().unwrap().unwrap(),
        stderr: err.join().unwrap().unwrap(),
    }
}

/// It refused what it was given: exit code 2, and the sentence.
pub(crate) fn refused(ran: &Ran, sentence: &str) {
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains(sentence) && !ran.stderr.contains("panicked"), "{ran:?}");
}

/// An embedded image's bytes; `None` in a build without images, where the test has nothing to do.
pub(crate) fn embedded(name: &str) -> Option<Vec<u8>> {
    let found = midflight::images::EMBEDDED.iter().find(|(file, _)| *file == name);
    if found.is_none() {
        eprintln!("skipped, nothing tested: this build carries no image {name}");
    }
    found.map(|(_, bytes)| bytes.to_vec())
}

/// A file of this test's own, in the directory that cargo gives integration tests.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
