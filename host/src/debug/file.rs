//! The image as the one file that gdb finds on its target: so symbols need no copy on gdb's side.

use super::stopped::StoppedGuest;
use gdbstub::common::Pid;
use gdbstub::target::TargetResult;
use gdbstub::target::ext::exec_file::ExecFile;
use gdbstub::target::ext::host_io::{
    FsKind, HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoFstat, HostIoFstatOps,
    HostIoOpen, HostIoOpenFlags, HostIoOpenMode, HostIoOpenOps, HostIoPread, HostIoPreadOps, HostIoResult,
    HostIoSetfs, HostIoSetfsOps, HostIoStat,
};

/// Its descriptor.
const DESCRIPTOR: u32 = 3;

/// Copies what lies at `offset`, as much as `to` takes; how much that is.
fn copy(from: &[u8], offset: u64, length: usize, to: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|start| from.get(start..)).unwrap_or_default();
    let count = rest.len().min(length).min(to.len());
    to[..count].copy_from_slice(&rest[..count]);
    count
}

impl StoppedGuest {
    fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl ExecFile for StoppedGuest {
    fn get_exec_file(
        &self,
        _: Option<Pid>,
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        Ok(copy(self.path().as_bytes(), offset, length, buffer))
    }
}

impl HostIo for StoppedGuest {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }

    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }

    fn support_setfs(&mut self) -> Option<HostIoSetfsOps<'_, Self>> {
        Some(self)
    }
}

impl HostIoOpen for StoppedGuest {
    fn open(&mut self, name: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        if flags.intersects(HostIoOpenFlags::O_WRONLY | HostIoOpenFlags::O_RDWR) {
            return Err(HostIoError::Errno(HostIoErrno::EROFS));
        }
        if name != self.path().as_bytes() {
            return Err(HostIoError::Errno(HostIoErrno::ENOENT));
        }
        Ok(DESCRIPTOR)
    }
}

impl HostIoClose for StoppedGuest {
    fn close(&mut self, _: u32) -> HostIoResult<(), Self> {
        Ok(())
    }
}

impl HostIoPread for StoppedGuest {
    fn pread(&mut self, _: u32, count: usize, offset: u64, buffer: &mut [u8]) -> HostIoResult<usize, Self> {
        Ok(copy(&self.file, offset, count, buffer))
    }
}

impl HostIoFstat for StoppedGuest {
    fn fstat(&mut self, _: u32) -> HostIoResult<HostIoStat, Self> {
        Ok(HostIoStat {
            st_dev: 0,
            st_ino: 1,
            st_mode: HostIoOpenMode::S_IFREG | HostIoOpenMode::S_IRUSR,
            st_nlink: 1,
            st_uid: 0,
            st_gid: 0,
            st_rdev: 0,
            st_size: self.file.len() as u64,
            st_blksize: 4096,
            st_blocks: self.file.len().div_ceil(512) as u64,
            st_atime: 0,
            st_mtime: 0,
            st_ctime: 0,
        })
    }
}

impl HostIoSetfs for StoppedGuest {
    fn setfs(&mut self, _: FsKind) -> HostIoResult<(), Self> {
        Ok(())
    }
}
