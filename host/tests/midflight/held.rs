//! What processes have that is in no directory: sockets, and memory files (memfd).

use std::collections::BTreeSet;
use std::fs::{metadata, read_dir, read_link, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How the kernel names a memory file: `/proc/PID/fd` and `/proc/PID/maps`.
const MEMORY: &str = "/memfd:";

/// Sockets and memory files, by the numbers of their inodes, which the kernel does not use again soon.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) sockets: BTreeSet<u64>,
    pub(crate) memory: BTreeSet<u64>,
}

impl Held {
    /// Those that these processes have open.
    pub(crate) fn of(processes: &[u32]) -> Self {
        let mut held = Self::default();
        for open in processes.iter().flat_map(|pid| open_files(&format!("/proc/{pid}"))) {
            match open {
                Open::Socket(inode) => held.sockets.insert(inode),
                Open::Memory(inode) => held.memory.insert(inode),
            };
        }
        held
    }

    /// Whether no process has any of them, neither open nor mapped, and none of the sockets is waiting for a reader.
    pub(crate) fn is_gone(&self) -> bool {
        let sockets = read_to_string("/proc/net/unix").unwrap();
        // Num RefCount Protocol Flags Type St Inode Path
        let inode = |line: &str| line.split_ascii_whitespace().nth(6)?.parse().ok();
        let is_left = sockets.lines().filter_map(inode).any(|inode: u64| self.sockets.contains(&inode));
        !is_left && !processes().any(|process| self.is_in(&process))
    }

    fn is_in(&self, process: &str) -> bool {
        let has = |open: Open| match open {
            Open::Socket(inode) => self.sockets.contains(&inode),
            Open::Memory(inode) => self.memory.contains(&inode),
        };
        open_files(process).any(has) || mapped(process).iter().any(|inode| self.memory.contains(inode))
    }
}

enum Open {
    Socket(u64),
    Memory(u64),
}

/// The directories of all processes in /proc.
fn processes() -> impl Iterator<Item = String> {
    let names = read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.parse::<u32>().is_ok()).map(|name| format!("/proc/{name}"))
}

/// What a process has open; nothing of one that has ended.
fn open_files(process: &str) -> impl Iterator<Item = Open> + use<> {
    let entries = read_dir(format!("{process}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| open_file(entry.path()))
}

fn open_file(path: PathBuf) -> Option<Open> {
    let target = read_link(&path).ok()?;
    let target = target.to_str()?;
    if let Some(socket) = target.strip_prefix("socket:[") {
        return Some(Open::Socket(socket.strip_suffix(']')?.parse().ok()?));
    }
    let inode = || Some(metadata(&path).ok()?.ino());
    target.starts_with(MEMORY).then(inode)?.map(Open::Memory)
}

/// The memory files that a process has mapped: `START-END PERMISSIONS OFFSET DEVICE INODE PATH`.
fn mapped(process: &str) -> Vec<u64> {
    let maps = read_to_string(format!("{process}/maps")).unwrap_or_default();
    let lines = maps.lines().filter(|line| line.contains(MEMORY));
    lines.filter_map(|line| line.split_ascii_whitespace().nth(4)?.parse().ok()).collect()
}
