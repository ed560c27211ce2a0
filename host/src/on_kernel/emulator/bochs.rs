//! Bochs: the firmware loads kernel, initrd and command line from a disk.

use super::{Kernel, Running};
use crate::bochs::error::BochsError;
use crate::bochs::linux::{self, Given};
use crate::bochs::program::{Machine, PROGRAM};
use crate::machines::bochs::{Bochs, TRY, TriedBochs};
use crate::on_kernel::OnKernelError;
use crate::on_kernel::outside::system;
use std::path::Path;

/// What a kernel must be told there: there is no firmware that describes the machine, and Bochs' clocks do not go by
/// the wall clock that Linux would check the TSC against.
pub(super) const APPEND: &str = "acpi=off tsc=reliable";
/// The newest CPU model of a Bochs without FRED whose extended state has a layout that Linux accepts.
const WITHOUT_FRED: &str = "broadwell_ult";

const MEGABYTES: u32 = 512;
/// The machine, but for the CPU model. Its clocks are about as fast as Bochs is on an idle host.
const MACHINE: Machine<'_> = Machine { cpu: "", ips: 100_000_000, megabytes: MEGABYTES, more: CONFIGURATION };
/// The second serial port has standard error for itself. Everything else goes to standard output, where a Bochs with a
/// debugger prints instructions at any time: that of each triple fault, a guest's too. What Bochs calls errors are MSRs
/// that Linux tries.
const CONFIGURATION: &str = "com1: enabled=1, mode=file, dev=/dev/stdout\n\
                             com2: enabled=1, mode=file, dev=/dev/stderr\n\
                             log: /dev/stdout\n\
                             error: action=ignore\n";

/// A Bochs that was tried.
#[derive(Debug)]
pub(in crate::on_kernel) struct ReadyBochs(TriedBochs);

impl ReadyBochs {
    pub(super) fn of(program: Option<&Path>, cpu: Option<&str>) -> Result<Self, OnKernelError> {
        let bochs = |cpu: Option<&str>| Bochs {
            program: program.unwrap_or(Path::new(PROGRAM)).to_owned(),
            cpu: cpu.map(str::to_owned),
        };
        let mut tried = bochs(cpu).tried(TRY)?;
        if cpu.is_none() && !tried.has_fred() && tried.lists(WITHOUT_FRED) {
            tried = bochs(Some(WITHOUT_FRED)).tried(TRY)?;
        }
        if tried.has_vmx() { Ok(Self(tried)) } else { Err(OnKernelError::NoVmx(tried.version)) }
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
        let disk = linux::disk(kernel.unpacked(), Given { initrd, command_line, memory_size })
            .map_err(|error| OnKernelError::Kernel { file: kernel.path.clone(), error })?;
        let running = self.0.start(&MACHINE, &disk).map_err(system("starting Bochs"))?;
        Ok(Running { child: running.child.swapped(), files: running.files })
    }
}

impl From<BochsError> for OnKernelError {
    fn from(error: BochsError) -> Self {
        Self::Bochs(error)
    }
}
