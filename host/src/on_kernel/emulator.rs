//! The emulator's command line.

use super::OnKernelError;
use std::path::{Path, PathBuf};

/// The emulator where none is given: QEMU without acceleration, for it is to interpret SVM itself.
///
/// One thread, so that a run repeats; `pc`, which boots sooner than `q35`; a CPU model with SVM and
/// nested paging.
pub const DEFAULT_EMULATOR: &str = "qemu-system-x86_64 -accel tcg,thread=single -machine pc -cpu EPYC -m 512 \
     -display none -nodefaults -no-user-config -no-reboot";

/// The kernel's command line, before and after what the user adds. Messages go to the first serial port and records to the second.
/// Words after `--` are arguments of `/init`, and so are those that the kernel does not know, like
/// nokaslr, which is for its decompressor.
///
/// After a panic the kernel restarts at once, and `-no-reboot` makes that the emulator's end. The
/// mitigations only cost time here.
const KERNEL_COMMAND_LINE: [&str; 2] =
    ["console=ttyS0 panic=-1 nokaslr mitigations=off quiet", "-- midflight-init"];
/// So much of a command line Linux reads on x86, in bytes: COMMAND_LINE_SIZE without the NUL. It cuts off
/// the rest without a word.
const LONGEST: usize = 2047;
/// The argument by which process 1 knows that it is to test this kernel.
pub(super) const INIT_ARGUMENT: &str = "midflight-init";

/// The serial port for records, inside.
pub(super) const RECORD_PORT: &str = "/dev/ttyS1";

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// `emulator` with the arguments that the kernel under test needs: kernel, initrd and serial ports, the first
/// to standard error and the second to standard output.
pub(super) fn command_line(
    emulator: &str,
    kernel: &str,
    initrd: &str,
    append: &str,
) -> Result<CommandLine, OnKernelError> {
    let words = shlex::split(emulator).unwrap_or_default();
    let Some((program, given)) = words.split_first() else {
        return Err(OnKernelError::EmulatorCommand(emulator.to_owned()));
    };
    let program =
        crate::process::find(Path::new(program)).ok_or_else(|| OnKernelError::NoEmulator(program.clone()))?;
    let mut arguments = given.to_vec();
    let ours = ["-serial", "file:/dev/stderr", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd];
    arguments.extend(ours.map(str::to_owned));
    arguments.extend(["-append".to_owned(), for_kernel(append)?]);
    Ok(CommandLine { program, arguments })
}

fn for_kernel(append: &str) -> Result<String, OnKernelError> {
    let [before, after] = KERNEL_COMMAND_LINE;
    if append.split_whitespace().any(|word| word == "--") {
        return Err(OnKernelError::AppendEnds(append.to_owned()));
    }
    let line = [before, append.trim(), after].into_iter().filter(|part| !part.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST { Err(OnKernelError::AppendTooLong(line.len(), LONGEST)) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_first_and_keeps_its_words() {
        let line = command_line("sh -a 'b c' -m 1", "KERNEL", "INITRD", "").unwrap();
        assert!(line.program.ends_with("sh") && line.program.is_absolute());
        assert_eq!(line.arguments[..4], ["-a", "b c", "-m", "1"]);
        assert_eq!(
            line.arguments[4..12],
            ["-serial", "file:/dev/stderr", "-serial", "stdio", "-kernel", "KERNEL", "-initrd", "INITRD"]
        );
        assert!(line.arguments[13].ends_with(&format!("-- {INIT_ARGUMENT}")));
    }

    #[test]
    fn what_is_appended_comes_before_the_arguments_of_init() {
        let line = |append| command_line("sh", "KERNEL", "INITRD", append).unwrap().arguments.pop().unwrap();
        assert_eq!(line(""), KERNEL_COMMAND_LINE.join(" "));
        assert!(line(" fred=on kvm_amd.npt=0 ").ends_with(" quiet fred=on kvm_amd.npt=0 -- midflight-init"));
        assert!(line("a--b=--").contains("a--b=--"), "only a word of its own ends the kernel's");
        let wrong = |append: &str| command_line("sh", "", "", append).unwrap_err().to_string();
        assert!(wrong("x -- y").starts_with("--append `x -- y` holds `--`"));
        assert!(wrong(&"x".repeat(2000)).contains("and Linux reads 2047"));
    }

    #[test]
    fn no_command_and_no_program_are_sentences() {
        let sentence = |emulator| command_line(emulator, "", "", "").unwrap_err().to_string();
        assert!(sentence("").starts_with("--emulator `` is not a command line"));
        assert!(sentence("qemu 'x").starts_with("--emulator `qemu 'x` is not a command line"));
        assert!(sentence("no-such-emulator -m 1").starts_with("no-such-emulator is not here: install QEMU"));
    }

    #[test]
    fn the_default_is_split_as_meant() {
        let words = shlex::split(DEFAULT_EMULATOR).unwrap();
        assert_eq!(words[..3], ["qemu-system-x86_64", "-accel", "tcg,thread=single"]);
        assert_eq!(words.last().unwrap(), "-no-reboot");
    }
}
