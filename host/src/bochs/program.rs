//! The program: which Bochs it is, and a guest in it.

use super::configuration::{Configuration, Dialect, Display};
use super::error::BochsError;
use super::memory::Disk;
use crate::bounded::{self, Ended};
use crate::process::{Child, MemoryFile, find, not_found};
use kvm::any_port::any_port;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The program looked for in PATH.
pub const PROGRAM: &str = "bochs";

/// What a guest runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// The CPU model.
    pub cpu: &'a str,
    /// Instructions a second, by which its clocks run.
    pub ips: u32,
    /// Memory in MiB.
    pub megabytes: u32,
    /// Further lines of the configuration.
    pub more: &'a str,
}

/// A Bochs by what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub program: PathBuf,
    /// Its version as it prints it: `Bochs x86 Emulator 2.7`.
    pub version: String,
    /// The CPU models that it lists, in its order: older ones come first.
    pub models: Vec<String>,
    /// Whether it has a debugger, which must be told to continue.
    debugger: bool,
}

/// A guest that runs. It is killed when this is dropped.
pub(crate) struct Running {
    /// The process. What the guest prints on port 0xE9 is on its standard output, Bochs' log on the other.
    pub(crate) child: Child,
    /// What it reads, and may read again after a reset.
    pub(crate) files: Vec<MemoryFile>,
}

impl Program {
    /// Looks for Bochs, as a shell does, and asks what it is; each of two questions may take `limit`.
    ///
    /// # Errors
    /// [`BochsError::Missing`]; [`BochsError::Unusable`] with what it did instead.
    pub fn find(program: &Path, limit: Duration) -> Result<Self, BochsError> {
        let found = find(program).ok_or_else(|| BochsError::Missing(not_found(program)))?;
        let mut this = Self { program: found, version: String::new(), models: Vec::new(), debugger: false };
        let said = this.asked(&["--help", "cpu"], limit)?;
        this.version =
            version(&said).ok_or_else(|| this.unusable("given `--help cpu` it says no version of Bochs"))?;
        this.models = models(&said);
        if this.models.is_empty() {
            return Err(this.unusable("given `--help cpu` it lists no CPU models"));
        }
        this.debugger =
            this.asked(&["--help"], limit)?.lines().any(|line| line.trim_start().starts_with("-rc "));
        Ok(this)
    }

    /// What it prints when it is given `arguments`.
    fn asked(&self, arguments: &[&str], limit: Duration) -> Result<String, BochsError> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        let given = arguments.join(" ");
        let mut child = Child::start(command)
            .map_err(|error| self.unusable(&format!("it cannot be started: {error}")))?;
        let Ended { output, errors, .. } = bounded::run(&mut child, Instant::now() + limit)
            .map_err(|error| self.unusable_after(&format!("`{given}`"), error.into(), limit))?;
        Ok(output + "\n" + &errors)
    }

    pub(crate) fn unusable(&self, why: &str) -> BochsError {
        BochsError::Unusable { program: self.program.display().to_string(), why: why.to_owned() }
    }

    /// What is wrong with it when it was given something and did not end well.
    pub(crate) fn unusable_after(&self, given: &str, error: BochsError, limit: Duration) -> BochsError {
        match error {
            BochsError::Timeout { .. } => {
                let seconds = limit.as_secs_f64();
                self.unusable(&format!("given {given} it did not end within {seconds} s and was killed"))
            }
            BochsError::EndRequested => error,
            other => self.unusable(&format!("given {given}: {other}")),
        }
    }

    /// Starts a guest.
    ///
    /// # Errors
    /// When a file or the process cannot be made.
    pub(crate) fn start(&self, dialect: Dialect, machine: &Machine<'_>, disk: &Disk) -> io::Result<Running> {
        // Bochs takes no VGA BIOS of less than a sector.
        let [rom, vga, disk_file] = [&firmware::rom()[..], &[0; 512], &disk.bytes].map(MemoryFile::new);
        let (rom, vga, disk_file) = (rom?, vga?, disk_file?);
        let Machine { cpu, ips, megabytes, more } = *machine;
        let configuration = Configuration {
            dialect,
            cpu,
            ips,
            megabytes,
            roms: [&rom.path(), &vga.path()],
            disk: &disk_file.path(),
            cylinders: disk.cylinders,
            more,
        };
        let configuration = MemoryFile::new(configuration.to_string().as_bytes())?;
        // The debugger stops before the first instruction, and where a triple fault has reset the processor.
        let go = MemoryFile::new(b"c\nc\n")?;
        let mut command = Command::new(&self.program);
        command.args(["-q", "-f", &configuration.path()]);
        if self.debugger {
            command.args(["-rc", &go.path()]);
        }
        match dialect.display {
            Display::NoGui => {}
            // Two that start at the same time bind one port; listening then fails for one of them, and it ends.
            Display::Rfb => any_port(&mut command),
        }
        Ok(Running { child: Child::start(command)?, files: vec![rom, vga, disk_file, configuration, go] })
    }

    /// Runs a guest to its end.
    ///
    /// # Errors
    /// When it does not come to an end before `deadline`.
    pub(crate) fn run(
        &self,
        dialect: Dialect,
        machine: &Machine<'_>,
        disk: &Disk,
        deadline: Instant,
    ) -> Result<Ended, BochsError> {
        let started = self.start(dialect, machine, disk);
        let mut running = started.map_err(BochsError::system("starting Bochs"))?;
        Ok(bounded::run(&mut running.child, deadline)?)
    }
}

/// `Bochs x86 Emulator 2.7` of the banner, and of a snapshot after a release what it was built from, too.
fn version(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim).skip_while(|line| !line.starts_with("Bochs x86 Emulator "));
    let version = lines.next()?.to_owned();
    let built = lines.next().filter(|line| line.contains("snapshot after"));
    Some(built.map_or(version.clone(), |built| format!("{version}, {}", built.replacen("Built", "built", 1))))
}

/// The lines after `Supported CPU models:`.
fn models(said: &str) -> Vec<String> {
    let listed = said.lines().map(str::trim).skip_while(|line| *line != "Supported CPU models:").skip(1);
    let listed = listed.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    listed.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Supported CPU models:\n\nbx_generic\ntigerlake\n\n00000000000i[SIM   ] quit_sim\n\
        =====\n                Bochs x86 Emulator 2.7\n    Built from SVN snapshot on August  1, 2021\n";

    #[test]
    fn what_it_says_of_itself_is_read() {
        assert_eq!(version(SAID).as_deref(), Some("Bochs x86 Emulator 2.7"));
        assert_eq!(models(SAID), ["bx_generic", "tigerlake"]);
        let snapshot = "  Bochs x86 Emulator 3.0.devel\n  Built from GitHub snapshot after release 3.0\n";
        assert_eq!(
            version(snapshot).unwrap(),
            "Bochs x86 Emulator 3.0.devel, built from GitHub snapshot after release 3.0"
        );
        assert_eq!((version("QEMU emulator version 7.2"), models("QEMU")), (None, Vec::new()));
    }

    #[test]
    fn what_is_no_bochs_is_a_sentence() {
        let found = |program: &str| {
            Program::find(Path::new(program), Duration::from_secs(5)).unwrap_err().to_string()
        };
        assert!(found("no-such-bochs").starts_with("no-such-bochs is not here: install Bochs"));
        assert!(found("/etc/passwd").starts_with("/etc/passwd cannot be executed: install"));
        assert_eq!(
            found("true"),
            format!(
                "{} cannot be used: given `--help cpu` it says no version of Bochs",
                find(Path::new("true")).unwrap().display()
            )
        );
    }
}
