//! Process 1 on the kernel under test: prepares it, runs midflight, reports, powers off.

use super::emulator::{INIT_ARGUMENT, RECORD_PORT};
use super::fred;
use super::initrd::{self, ARGUMENTS, MODULES, MOUNTS};
use super::modules::VENDOR_MODULES;
use super::record::{Encoder, Record};
use super::signature;
use super::squeeze::Squeeze;
use super::untraced::untraced;
use kvm::DEVICE;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, init_module, reboot};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The most bytes of output in a record.
const CHUNK: usize = 4096;
/// How many records may wait for the serial port, while scenarios run, before midflight has to: 4 MiB.
const QUEUED: usize = 1024;
/// How often midflight is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long its outputs may stay open after it has ended and nothing comes through them: a worker that hangs in
/// KVM has them too.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bits per second; an emulator does not care, but the driver waits by it.
const SPEED: u32 = 115_200;

/// What failed, as a sentence for outside.
struct Failure(String);

fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("{what} failed: {error}"))
}

/// In process 1 on a kernel under test: runs the whole test, powers off, never returns. Otherwise:
/// nothing.
pub fn init_if_asked() {
    if std::process::id() == 1 && std::env::args_os().any(|argument| argument == INIT_ARGUMENT) {
        init();
    }
}

fn init() {
    let mut port = None;
    let last = match work(&mut port) {
        Ok(last) => last,
        Err(Failure(why)) => Record::Failed(why),
    };
    match &mut port {
        Some(port) => {
            drop(port.send(&last));
            let _ = tcdrain(&port.file);
        }
        // Standard error is the kernel's console, which is shown when no record comes.
        None => match &last {
            Record::Failed(why) => eprintln!("midflight: {why}"),
            Record::Ended(code) => eprintln!("midflight: the run ended with exit code {code}"),
            Record::Stage(_) | Record::Output(_) | Record::Errors(_) => {}
        },
    }
    let _ = reboot(RebootCommand::PowerOff);
    // A machine that cannot: with -no-reboot a restart ends the emulator, too.
    let _ = reboot(RebootCommand::Restart);
}

fn work(slot: &mut Option<Port>) -> Result<Record, Failure> {
    for (kind, target) in MOUNTS {
        mount(kind, target, kind, MountFlags::empty(), None).map_err(failed(format!("mounting {target}")))?;
    }
    let port = slot.insert(Port::open().map_err(failed(format!("opening {RECORD_PORT}")))?);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    port.send(&Record::Stage(format!("Linux {} is up; loading KVM", kernel.trim())))?;
    load_kvm()?;
    let arguments = initrd::arguments(&fs::read(ARGUMENTS).map_err(failed("reading the arguments"))?);
    let words = arguments.iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.filter(|word| !word.starts_with("--called-as=")).collect();
    port.send(&Record::Stage(format!("{}; midflight {}", kvm_description(), words.join(" "))))?;
    if let Some(lack) = fred::lack() {
        port.send(&Record::Stage(lack.to_owned()))?;
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(&arguments);
    let status = run(command, port)?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Record::Ended(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Record::Failed(format!("midflight was killed by signal {signal}{}", kernel_says()))
        }
    })
}

/// The serial port that records go to.
struct Port {
    file: File,
    encoder: Encoder,
}

impl Port {
    fn open() -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(RECORD_PORT)?;
        let mut settings = tcgetattr(&file)?;
        // Bytes are to arrive as they are: no CR before LF, no echo.
        settings.make_raw();
        settings.set_speed(SPEED)?;
        tcsetattr(&file, OptionalActions::Now, &settings)?;
        Ok(Self { file, encoder: Encoder::default() })
    }

    fn send(&mut self, record: &Record) -> Result<(), Failure> {
        let frame = self.encoder.frame(record).map_err(failed("framing a record"))?;
        self.file.write_all(&frame).map_err(failed(format!("writing to {RECORD_PORT}")))
    }
}

/// Loads the modules that this processor can use; none where KVM is built in.
fn load_kvm() -> Result<(), Failure> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").map_err(failed("reading /proc/cpuinfo"))?;
    let has = |flag: &str| cpuinfo.split_whitespace().any(|word| word == flag);
    let Some(vendor_module) = VENDOR_MODULES.into_iter().zip(["svm", "vmx"]).find(|(_, flag)| has(flag))
    else {
        return Err(Failure(
            "the emulated processor has neither SVM nor VMX: use QEMU 7.2 or later, or another -cpu".into(),
        ));
    };
    let mut files: Vec<PathBuf> = fs::read_dir(MODULES)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(failed("reading the modules"))?;
    files.sort();
    let command_line = fs::read_to_string("/proc/cmdline").map_err(failed("reading /proc/cmdline"))?;
    let mut loaded = false;
    for file in files {
        let name = module_name(&file);
        if VENDOR_MODULES.contains(&name.as_str()) && name != vendor_module.0 {
            continue;
        }
        let bytes = fs::read(&file).map_err(failed(format!("reading the module {name}")))?;
        let parameters = CString::new(parameters(&command_line, &name)).unwrap_or_default();
        load(&bytes, &parameters).map_err(|error| {
            let advice = "do kernel and modules belong together?";
            Failure(format!("the kernel refused the module {name}: {error}; {advice}{}", kernel_says()))
        })?;
        loaded |= name == vendor_module.0;
    }
    if Path::new(DEVICE).exists() {
        Ok(())
    } else if loaded {
        Err(Failure(format!("{} was loaded and there is no {DEVICE}{}", vendor_module.0, kernel_says())))
    } else {
        let advice = "give the directory of its modules with --modules";
        Err(Failure(format!(
            "{} is not in this kernel, nor among its modules: {advice}{}",
            vendor_module.0,
            kernel_says()
        )))
    }
}

/// What the kernel says of the first module that has no signature ([`load`]).
const UNSIGNED: &str = "module verification failed: signature";

/// Loads a module as quickly as can be; as it is where the kernel insists on its signature (`module_sig_check`).
fn load(module: &[u8], parameters: &CStr) -> Result<(), Errno> {
    match init_module(&untraced(signature::without(module)), parameters) {
        Err(Errno::KEYREJECTED | Errno::PERM) => init_module(module, parameters),
        other => other,
    }
}

/// A module's parameters on the kernel's command line, `kvm_amd.npt=0`: the kernel leaves them to whoever
/// loads modules, as modprobe does.
fn parameters(command_line: &str, module: &str) -> String {
    let of_module = |word: &str| {
        let (name, parameter) = word.split_once('.')?;
        (name.replace('-', "_") == module).then(|| parameter.to_owned())
    };
    command_line.split_whitespace().filter_map(of_module).collect::<Vec<_>>().join(" ")
}

/// `01-kvm_amd.ko` is `kvm_amd`.
fn module_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.split_once('-').map_or(stem.as_ref(), |(_, name)| name).to_owned()
}

/// Which KVM there is, and whether it has nested paging.
fn kvm_description() -> String {
    let parameter = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    for (module, paging) in [("kvm_amd", "npt"), ("kvm_intel", "ept")] {
        let on = parameter(format!("/sys/module/{module}/parameters/{paging}"));
        if !on.is_empty() {
            let without = if matches!(on.as_str(), "Y" | "1") { "with" } else { "WITHOUT" };
            return format!("{module} {without} {}", paging.to_uppercase());
        }
    }
    "KVM".to_owned()
}

/// Runs midflight and sends what it writes.
fn run(mut command: Command, port: &mut Port) -> Result<ExitStatus, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed("starting midflight"))?;
    let (sender, records) = sync_channel(QUEUED);
    if let Some(output) = child.stdout.take() {
        forward(output, Record::Output, sender.clone());
    }
    if let Some(errors) = child.stderr.take() {
        forward(errors, Record::Errors, sender.clone());
    }
    drop(sender);
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match records.recv_timeout(POLL_INTERVAL) {
            Ok(record) => {
                port.send(&record)?;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return match ended {
                    Some((status, _)) => Ok(status),
                    // As everything here, until whoever started the emulator ends it.
                    None => child.wait().map_err(failed("waiting for midflight")),
                };
            }
        }
        // Nothing was waiting to be sent.
        match ended {
            Some((status, at)) if at.elapsed() > LAST_WORDS => return Ok(status),
            Some(_) => {}
            None => {
                let status = child.try_wait().map_err(failed("waiting for midflight"))?;
                ended = status.map(|status| (status, Instant::now()));
            }
        }
    }
}

fn forward(mut from: impl Read + Send + 'static, record: fn(Vec<u8>) -> Record, to: SyncSender<Record>) {
    std::thread::spawn(move || {
        let mut chunk = [0; CHUNK];
        let mut squeeze = Squeeze::default();
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let Ok(piece) = squeeze.piece(&chunk[..length]) else { break };
            if to.send(record(piece)).is_err() {
                break;
            }
        }
    });
}

/// The kernel's last lines about KVM and modules, to append to a message.
fn kernel_says() -> String {
    const LINES: usize = 4;
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg") else {
        return String::new();
    };
    let mut lines = Vec::new();
    // A record each, until there is no more.
    let mut record = [0; 8192];
    while let Ok(length @ 1..) = log.read(&mut record) {
        let text = String::from_utf8_lossy(&record[..length]).into_owned();
        let message =
            text.split_once(';').map_or("", |(_, message)| message).lines().next().unwrap_or_default();
        let about = ["kvm", "module", "SVM", "VMX", "midflight", "Oops", "BUG"];
        if about.iter().any(|word| message.contains(word)) && !message.contains(UNSIGNED) {
            lines.push(message.to_owned());
        }
    }
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() { String::new() } else { format!("; the kernel says: {}", last.join(" / ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_module() {
        let line = "quiet kvm.x=1 kvm-amd.npt=0 kvm_amd.nested=1 kvm_amd -- midflight-init\n";
        assert_eq!(parameters(line, "kvm_amd"), "npt=0 nested=1");
        assert_eq!((parameters(line, "kvm"), parameters(line, "irqbypass")), ("x=1".into(), String::new()));
    }

    #[test]
    fn names_lose_their_number() {
        assert_eq!(module_name(Path::new("/midflight/modules/01-kvm_amd.ko")), "kvm_amd");
    }
}
