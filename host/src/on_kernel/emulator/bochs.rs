//! Bochs: the firmware loads kernel, initrd and command line from a disk.

use super::{Kernel, Running};
use crate::bochs::error::BochsError;
use crate::bochs::linux::{self, Given};
use crate::bochs::program::Machine;
use crate::machines::bochs::{Bochs, TRY, TriedBochs};
use crate::on_kernel::OnKernelError;
use crate::on_kernel::outside::system;
use std::path::Path;

/// What a kernel must be told there: there is no firmware that describes the machine, and Bochs' clocks do not go by
/// the wall clock that Linux would check the TSC against.
pub(super) const APPEND: &str = "acpi=off tsc=reliable";

const MEGABYTES: u32 = 512;
/// The guest's clocks run so fast that it takes no deadline for a hang.
const INSTRUCTIONS_PER_SECOND: u32 = 50_000_000;
/// The first serial port to standard error, the second to standard output, which has port 0xE9, too.
const SERIAL_PORTS: &str = "com1: enabled=1, mode=file, dev=/dev/stderr\n\
                            com2: enabled=1, mode=file, dev=/dev/stdout\n";

/// A Bochs that was tried.
#[derive(Debug)]
pub(in crate::on_kernel) struct ReadyBochs(TriedBochs);

impl ReadyBochs {
    pub(super) fn of(program: Option<&Path>, cpu: Option<&str>) -> Result<Self, OnKernelError> {
        Ok(Self(Bochs::named(program, cpu).tried(TRY)?))
    }

    /// `bochs 2.7 (tigerlake)`.
    pub(super) fn fact(&self) -> String {
        self.0.version.replacen("Bochs x86 Emulator", "bochs", 1)
    }

    pub(super) fn start(
        &self,
        kernel: &Kernel,
        initrd: &[u8],
        command_line: &str,
    ) -> Result<Running, OnKernelError> {
        let memory_size = u64::from(MEGABYTES) << 20;
        let disk = linux::disk(&kernel.bytes, Given { initrd, command_line, memory_size })
            .map_err(|error| OnKernelError::Kernel { file: kernel.path.clone(), error })?;
        let machine =
            |cpu| Machine { cpu, ips: INSTRUCTIONS_PER_SECOND, megabytes: MEGABYTES, more: SERIAL_PORTS };
        let running = self.0.start(machine, &disk).map_err(system("starting Bochs"))?;
        Ok(Running { child: running.child, files: running.files })
    }
}

impl From<BochsError> for OnKernelError {
    fn from(error: BochsError) -> Self {
        Self::Bochs(error)
    }
}
