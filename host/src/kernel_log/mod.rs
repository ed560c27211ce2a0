//! The kernel's log during a run: green with a new WARN is not green.
//!
//! `/dev/kmsg` gives one record for each read: `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, then lines
//! that begin with a blank and hold details (Documentation/ABI/testing/dev-kmsg). What another
//! program makes the kernel log in the meantime cannot be distinguished from what this run caused.

mod forms;
mod marks;

pub use marks::Marks;

use forms::{BEGINNINGS, CUT_HERE, LEAST_SEVERE, MOST_LINES, PARTS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Where the kernel's log is.
pub const DEVICE: &str = "/dev/kmsg";

/// As long as a record can be: CONSOLE_EXT_LOG_MAX of kernel/printk/printk.c. A shorter buffer is
/// refused.
const RECORD: usize = 8192;
/// The most records read at once; a kernel that writes faster than this cannot be followed anyway.
const AT_ONCE: usize = 1 << 16;
/// The most warnings kept.
const MOST: usize = 50;

/// What the kernel said during a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSaid {
    /// Its warnings, oldest first, with several lines where the kernel wrote several records. At most
    /// 50, the last of which then says how many more there were.
    pub warnings: Vec<KernelWarning>,
    /// Why not everything that it said is known; `None` when it is.
    pub unwatched: Option<String>,
}

/// A warning of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelWarning {
    /// What it says.
    pub text: String,
    /// The scenarios that ran when it came: any of them may have caused it.
    pub during: Vec<String>,
}

impl fmt::Display for KernelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, during } = self;
        f.write_str(text)?;
        if during.is_empty() { Ok(()) } else { write!(f, "\nit came while {} ran", during.join(" and ")) }
    }
}

/// The kernel's log from some moment on.
#[derive(Debug, Default)]
pub struct KernelLog {
    source: Option<File>,
    /// The beginning of a line whose end has not been read.
    rest: Vec<u8>,
    /// The records after [`CUT_HERE`].
    open: Option<Vec<String>>,
    said: KernelSaid,
    /// Warnings that are not kept.
    more: usize,
    /// The scenario that each thread runs.
    running: BTreeMap<usize, String>,
}

impl KernelLog {
    /// Watches `file` (usually [`DEVICE`]): what was written before is not looked at. Fails when it cannot be
    /// read.
    pub fn watch(file: &Path) -> io::Result<Self> {
        let mut source = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
        if source.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        source.seek(SeekFrom::End(0))?;
        Ok(Self { source: Some(source), ..Self::default() })
    }

    /// Watches `file` where it can be read; where it cannot, [`finish`](Self::finish) says so.
    pub fn watch_if_readable(file: &Path) -> Self {
        Self::watch(file).unwrap_or_else(|error| {
            let unwatched = Some(format!("{}: {error}", file.display()));
            Self { said: KernelSaid { unwatched, ..KernelSaid::default() }, ..Self::default() }
        })
    }

    /// Reads what was written since. To be called now and then: the kernel overwrites its oldest
    /// records.
    pub fn follow(&mut self) {
        let mut record = [0; RECORD];
        for _ in 0..AT_ONCE {
            let Some(source) = &mut self.source else { return };
            match source.read(&mut record) {
                Ok(0) => return,
                Ok(length) => self.take(&record[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.said.unwatched =
                        Some("the kernel overwrote records before they were read".to_owned());
                }
                Err(error) => {
                    self.said.unwatched = Some(error.to_string());
                    self.source = None;
                }
            }
        }
    }

    /// A thread begins a scenario: what comes from now on came while it ran.
    pub fn begins(&mut self, thread: usize, scenario: String) {
        self.follow();
        self.running.insert(thread, scenario);
    }

    /// The scenario of a thread has ended.
    pub fn ends(&mut self, thread: usize) {
        self.follow();
        self.running.remove(&thread);
    }

    /// Reads the last of it, and says what there was.
    pub fn finish(mut self) -> KernelSaid {
        self.follow();
        self.close();
        if self.more > 0 {
            let text = format!("and {} more", self.more);
            self.said.warnings.push(KernelWarning { text, during: Vec::new() });
        }
        self.said
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some((level, text)) = parse(line.trim_end()) {
                self.record(level, text);
            }
        }
        // No line is as long; whoever writes one has no log of a kernel.
        self.rest.truncate(RECORD);
    }

    fn record(&mut self, level: u8, text: &str) {
        if level > LEAST_SEVERE {
            return;
        }
        if text == CUT_HERE {
            self.close();
            self.open = Some(vec![text.to_owned()]);
            return;
        }
        let is_warning = is_warning(text);
        let Some(lines) = &mut self.open else {
            if is_warning {
                self.keep(text.to_owned());
            }
            return;
        };
        lines.push(text.to_owned());
        if is_warning || lines.len() == MOST_LINES {
            self.close();
        }
    }

    fn close(&mut self) {
        if let Some(lines) = self.open.take() {
            self.keep(lines.join("\n"));
        }
    }

    fn keep(&mut self, text: String) {
        if self.said.warnings.len() < MOST - 1 {
            let during = self.running.values().cloned().collect();
            self.said.warnings.push(KernelWarning { text, during });
        } else {
            self.more += 1;
        }
    }
}

/// Level and text of a record; `None` for a line that begins none.
fn parse(line: &str) -> Option<(u8, &str)> {
    let (head, text) = line.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    // The facility is above: root may write records, too.
    Some(((priority & 7) as u8, text))
}

fn is_warning(text: &str) -> bool {
    let begins = |text: &str| BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
    // `watchdog: BUG: soft lockup`: one word with a colon may come first.
    let after_name = text.split_once(": ").filter(|(name, _)| !name.contains(' ')).map(|(_, rest)| rest);
    begins(text) || after_name.is_some_and(begins) || PARTS.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests;
