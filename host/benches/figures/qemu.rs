//! What a migrated scenario costs on QEMU's TCG, and what QEMU's own migration of the same guest costs there, driven by
//! the fewest commands: a second QEMU starts, takes the guest over and runs it.

use crate::{Result, median};
use midflight::image::Image;
use midflight::machines::qemu::{Accelerator, PROGRAM, Qemu, TRY};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often each is measured, in turns: what else the host does then slows both.
const TURNS: usize = 5;
/// How many of QEMU's own migrations a turn has.
const BARE: usize = 8;
/// Longer than QEMU takes for anything here.
const LIMIT: Duration = Duration::from_secs(20);

/// Medians in ms: a scenario `none` of `image`, and QEMU's own migration of a guest with that image. `None` where there
/// is no QEMU.
pub(crate) fn against_bare(image: &Image) -> Result<Option<[f64; 2]>> {
    let qemu = Qemu { accelerators: vec![Accelerator::Tcg], ..Qemu::default() };
    if qemu.tried(TRY).is_err() {
        return Ok(None);
    }
    let directory = std::env::temp_dir().join(format!("midflight-figures-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let measured = in_turns(image, &directory);
    std::fs::remove_dir_all(&directory)?;
    measured.map(Some)
}

fn in_turns(image: &Image, directory: &Path) -> Result<[f64; 2]> {
    let file = directory.join("image");
    std::fs::write(&file, &image.file)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.extend(scenarios(&image.name)?);
        let mut source = Guest::start(&file, &[])?;
        for turn in 0..BARE {
            // A guest that was paused by a migration does not migrate again.
            source.command("cont", json!({}))?;
            bare.push(migrated(&mut source, &file, &directory.join(turn.to_string()))?);
        }
    }
    Ok([median(ours), median(bare)])
}

/// How long each scenario `none` of an image took, without the first, which boots the guest.
fn scenarios(image: &str) -> Result<Vec<Duration>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
    command.args(["run", &format!("{image}/*:idt:none"), "--machine", "qemu", "--accel", "tcg"]);
    let ran = command.args(["--jobs", "1", "--format", "json"]).output()?;
    let mut took = Vec::new();
    for line in String::from_utf8(ran.stdout)?.lines() {
        let report: Value = serde_json::from_str(line)?;
        match (
            report.get("outcome").and_then(Value::as_str),
            report.get("duration_us").and_then(Value::as_u64),
        ) {
            (Some("pass" | "known"), Some(duration)) => took.push(Duration::from_micros(duration)),
            (Some("error" | "fail"), _) => return Err(format!("a scenario failed: {line}").into()),
            (Some(_) | None, _) => {}
        }
    }
    if took.len() < 2 {
        return Err(format!(
            "{image} has no two scenarios that ran: {}",
            String::from_utf8_lossy(&ran.stderr)
        )
        .into());
    }
    Ok(took.split_off(1))
}

/// QEMU's own migration, through a unix socket, to a QEMU that starts for it, until that runs the guest and has ended.
fn migrated(source: &mut Guest, file: &Path, socket: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let uri = format!("unix:{}", socket.display());
    let mut destination = Guest::start(file, &["-incoming", &uri])?;
    source.command("migrate", json!({ "uri": uri }))?;
    source.wait("query-migrate", |status| status == "completed")?;
    destination.wait("query-status", |status| status != "inmigrate")?;
    destination.command("cont", json!({}))?;
    drop(destination);
    Ok(begun.elapsed())
}

/// A QEMU with the image, paused. It has no device by which its guest could end it.
struct Guest {
    child: Child,
    input: UnixStream,
    output: BufReader<UnixStream>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.input.shutdown(Shutdown::Both);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Guest {
    fn start(file: &Path, more: &[&str]) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(LIMIT))?;
        let mut command = Command::new(PROGRAM);
        command.args(["-machine", "microvm", "-accel", "tcg", "-cpu", "max", "-m", "8M", "-S"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"]);
        command.arg("-kernel").arg(file).args(["-append", "delivery=idt"]).args(more);
        let child =
            command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut guest = Self { child, output: BufReader::new(ours.try_clone()?), input: ours };
        guest.line()?;
        guest.command("qmp_capabilities", json!({}))?;
        Ok(guest)
    }

    fn command(&mut self, command: &str, arguments: Value) -> Result<Value> {
        writeln!(self.input, "{}", json!({ "execute": command, "arguments": arguments }))?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if answer.get("error").is_some() {
                return Err(format!("{command}: {answer}").into());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks until the status is the one that is waited for.
    fn wait(&mut self, question: &'static str, is_it: impl Fn(&str) -> bool) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let answer = self.command(question, json!({}))?;
            match answer.get("status").and_then(Value::as_str) {
                Some("failed") => return Err(format!("QEMU's own migration failed: {answer}").into()),
                Some(status) if is_it(status) => return Ok(()),
                Some(_) | None => std::thread::sleep(Duration::from_micros(100)),
            }
        }
        Err(format!("{question}: QEMU was late").into())
    }
}
