//! QEMU, or a program that takes its options.

use super::{Kernel, Running};
use crate::on_kernel::OnKernelError;
use crate::on_kernel::outside::system;
use crate::process::{Child, MemoryFile, find, not_found};
use std::path::{Path, PathBuf};
use std::process::Command;

/// QEMU without acceleration, for it is to interpret SVM itself.
///
/// One thread, so that a run repeats; `pc`, which boots sooner than `q35`; a CPU model with SVM and
/// nested paging.
pub(super) const DEFAULT: &str = "qemu-system-x86_64 -accel tcg,thread=single -machine pc -cpu EPYC -m 512 \
     -display none -nodefaults -no-user-config -no-reboot";

/// A program that was found, and the arguments that were given.
#[derive(Debug)]
pub(in crate::on_kernel) struct ReadyQemu {
    program: PathBuf,
    given: Vec<String>,
}

impl ReadyQemu {
    /// What a command line, as one would type it, means.
    pub(super) fn of(line: &str) -> Result<Self, OnKernelError> {
        let words = shlex::split(line).unwrap_or_default();
        let Some((program, given)) = words.split_first() else {
            return Err(OnKernelError::EmulatorCommand(line.to_owned()));
        };
        let found = find(Path::new(program))
            .ok_or_else(|| OnKernelError::NoEmulator(not_found(Path::new(program))))?;
        Ok(Self { program: found, given: given.to_vec() })
    }

    pub(super) fn program(&self) -> String {
        self.program.display().to_string()
    }

    pub(super) fn start(&self, kernel: &Kernel, initrd: &[u8], line: &str) -> Result<Running, OnKernelError> {
        let initrd = MemoryFile::new(initrd).map_err(system("making the initrd"))?;
        let mut command = Command::new(&self.program);
        command.args(self.arguments(&kernel.path.to_string_lossy(), &initrd.path(), line));
        let child = Child::start(command).map_err(system("starting the emulator"))?;
        Ok(Running { child, files: vec![initrd] })
    }

    /// The arguments given, and kernel, initrd and serial ports: the first to standard error and the second to
    /// standard output.
    fn arguments(&self, kernel: &str, initrd: &str, line: &str) -> Vec<String> {
        let ours = ["-serial", "file:/dev/stderr", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd];
        let ours = ours.into_iter().chain(["-append", line]).map(str::to_owned);
        self.given.iter().cloned().chain(ours).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_first_and_keeps_its_words() {
        let qemu = ReadyQemu::of("sh -a 'b c' -m 1").unwrap();
        assert!(qemu.program.ends_with("sh") && qemu.program.is_absolute());
        let arguments = qemu.arguments("KERNEL", "INITRD", "LINE");
        assert_eq!(arguments[..4], ["-a", "b c", "-m", "1"]);
        assert_eq!(
            arguments[4..],
            [
                "-serial",
                "file:/dev/stderr",
                "-serial",
                "stdio",
                "-kernel",
                "KERNEL",
                "-initrd",
                "INITRD",
                "-append",
                "LINE"
            ]
        );
    }

    #[test]
    fn no_command_and_no_program_are_sentences() {
        let sentence = |line| ReadyQemu::of(line).unwrap_err().to_string();
        assert!(sentence("").starts_with("--emulator `` is not a command line"));
        assert!(sentence("qemu 'x").starts_with("--emulator `qemu 'x` is not a command line"));
        assert!(sentence("no-such-emulator -m 1").starts_with("no-such-emulator is not here: install QEMU"));
    }

    #[test]
    fn the_default_is_split_as_meant() {
        let words = shlex::split(DEFAULT).unwrap();
        assert_eq!(words[..3], ["qemu-system-x86_64", "-accel", "tcg,thread=single"]);
        assert_eq!(words.last().unwrap(), "-no-reboot");
    }
}
