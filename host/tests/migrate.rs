//! `midflight migrate`: two midflights, and what goes wrong between them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod midflight_binary;
mod this_host;

use midflight_binary::{Ran, embedded, file, finish, midflight};
use std::fs::{create_dir_all, read_dir, remove_file};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// On the model, FRED, with registers rewritten: only event data that travelled can be right.
const ON_MODEL: &str = "pf/read-unmapped:fred:block@frame:migrate-process+disturb";
/// What every KVM can do.
const ON_KVM: &str = "pf/read-unmapped:idt:cancel:migrate-process+disturb";

/// An empty directory of a test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    create_dir_all(&path).unwrap();
    for file in read_dir(&path).unwrap() {
        remove_file(file.unwrap().path()).unwrap();
    }
    path
}

fn is_empty(directory: &Path) -> bool {
    read_dir(directory).unwrap().next().is_none()
}

fn spawn(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
    command.arg("migrate").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A listener that listens, with its address, and its token if it has one.
struct Listening {
    child: Child,
    errors: BufReader<ChildStderr>,
    address: String,
    token: Option<String>,
}

fn listen(arguments: &[&str]) -> Listening {
    let mut child = spawn(&[&["--listen"], arguments].concat());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let said = line.trim_end().strip_prefix("midflight: waiting for a guest at ");
    let said = said.unwrap_or_else(|| panic!("it says {line:?}"));
    let (address, token) = said.split_once(", token ").map_or((said, None), |(a, t)| (a, Some(t.to_owned())));
    let address = address.to_owned();
    Listening { child, errors, address, token }
}

impl Listening {
    fn send(&self, id: &str, machine: &str) -> Ran {
        let mut arguments = vec!["migrate", id, "--to", &self.address, "--machine", machine];
        arguments.extend(self.token.iter().flat_map(|token| ["--token", token]));
        midflight(&arguments)
    }

    fn end(mut self) -> Ran {
        let mut stderr = String::new();
        self.errors.read_to_string(&mut stderr).unwrap();
        // `finish` wants a pipe to read.
        self.child.stderr =
            Some(Command::new("true").stderr(Stdio::piped()).spawn().unwrap().stderr.take().unwrap());
        let ran = finish(self.child);
        Ran { stderr, ..ran }
    }

    /// A raw connection, as anybody on the network could make one.
    fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address.strip_prefix("tcp:").unwrap()).unwrap()
    }
}

fn machines() -> Vec<(&'static str, &'static str)> {
    let mut machines = vec![("model", ON_MODEL)];
    if this_host::kvm().is_some() {
        machines.push(("kvm", ON_KVM));
    }
    machines
}

fn passed(ran: &Ran, report: &str) {
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        report.contains("1 passed, 0 failed, 0 known issues, 0 skipped, 0 errors; 1 cuts proved"),
        "{ran:?}"
    );
}

#[test]
fn a_guest_goes_on_behind_a_unix_socket_that_only_its_user_reaches() {
    if embedded("pf").is_none() {
        return;
    }
    for (machine, id) in machines() {
        let directory = directory(&format!("migrate-unix-{machine}"));
        let socket = directory.join("socket");
        let listening = listen(&[&format!("unix:{}", socket.display()), "--machine", machine]);
        assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let sent = listening.send(id, machine);
        passed(&sent, &sent.stdout);
        let received = listening.end();
        passed(&received, &received.stdout);
        assert!(is_empty(&directory));
    }
}

#[test]
fn a_guest_goes_on_behind_tcp_on_loopback() {
    if embedded("pf").is_none() {
        return;
    }
    for (machine, id) in machines() {
        let listening = listen(&["tcp:0", "--machine", machine]);
        assert!(listening.address.starts_with("tcp:127.0.0.1:"), "{}", listening.address);
        let sent = listening.send(id, machine);
        passed(&sent, &sent.stdout);
        let received = listening.end();
        passed(&received, &received.stdout);
    }
}

#[test]
fn a_guest_goes_on_behind_a_pipe() {
    if embedded("pf").is_none() {
        return;
    }
    for (machine, id) in machines() {
        let (there, to_there) = std::io::pipe().unwrap();
        let (here, to_here) = std::io::pipe().unwrap();
        let start = |arguments: &[&str], input: std::io::PipeReader, output: std::io::PipeWriter| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_midflight"));
            command.arg("migrate").args(arguments).args(["--machine", machine]);
            command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap()
        };
        let listener = start(&["--listen", "-"], there, to_here);
        let sender = start(&[id, "--to", "-"], here, to_there);
        for child in [sender, listener] {
            let ended = child.wait_with_output().unwrap();
            let report = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(0), "{report}");
            assert!(report.contains("1 passed"), "{report}");
        }
    }
}

#[test]
fn a_verdict_of_fail_reaches_both_sides() {
    if embedded("pf").is_none() {
        return;
    }
    let listening = listen(&["tcp:0", "--behaviour", "kernel-only-event-data"]);
    let token = listening.token.as_deref().unwrap();
    let behaviour = "kernel-only-event-data";
    let sent = midflight(&[
        "migrate",
        ON_MODEL,
        "--to",
        &listening.address,
        "--token",
        token,
        "--behaviour",
        behaviour,
    ]);
    let again = format!(" migrate {ON_MODEL} --machine model --behaviour {behaviour} --to tcp:");
    let said = sent.stdout.lines().find_map(|line| line.trim_start().strip_prefix("again: "));
    // The next listener has another token, and this one's is nobody's business.
    assert!(said.is_some_and(|said| said.contains(&again) && !said.contains(token)), "{sent:?}");
    for ran in [sent, listening.end()] {
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.stdout.contains(" run pf/"), "{ran:?}");
        assert!(ran.stdout.contains("event data expected 0x8000001a58, got 0x"), "{ran:?}");
    }
}

#[test]
fn a_wrong_token_is_refused_on_both_sides() {
    if embedded("pf").is_none() {
        return;
    }
    let mut listening = listen(&["tcp:0", "--machine", "model"]);
    let token = listening.token.as_mut().unwrap();
    let last = token.pop().unwrap();
    token.push(if last == '0' { '1' } else { '0' });
    let sent = listening.send(ON_MODEL, "model");
    assert_eq!(sent.code, 2, "{sent:?}");
    assert!(sent.stdout.contains("refuses the guest: the token is not the one"), "{sent:?}");
    let received = listening.end();
    assert_eq!(received.code, 2, "{received:?}");
    assert!(received.stderr.contains("the token is not the one"), "{received:?}");
}

#[test]
fn no_token_is_refused_before_anything_else_is_read() {
    let listening = listen(&["tcp:0", "--machine", "model"]);
    let mut stream = listening.tcp();
    stream.write_all(&stream_of(midflight::stream::Kind::Errand, &[0; 100])).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let received = listening.end();
    assert_eq!(received.code, 2, "{received:?}");
    assert!(received.stderr.contains("errand where its section token belongs"), "{received:?}");
}

fn stream_of(kind: midflight::stream::Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    midflight::stream::Writer::new(&mut bytes).unwrap().section(kind, payload).unwrap();
    bytes
}

#[test]
fn a_listener_takes_one_connection() {
    if embedded("pf").is_none() {
        return;
    }
    let directory = directory("migrate-one");
    for address in ["tcp:0".to_owned(), format!("unix:{}", directory.join("socket").display())] {
        let listening = listen(&[&address, "--machine", "model", "--timeout", "3"]);
        let silent: Box<dyn Read> = match listening.address.strip_prefix("unix:") {
            None => Box::new(listening.tcp()),
            Some(path) => Box::new(UnixStream::connect(path).unwrap()),
        };
        // It has taken the first as soon as it greets it.
        let mut silent = silent.take(1);
        assert_eq!(silent.read(&mut [0]).unwrap(), 1);
        let second = listening.send(ON_MODEL, "model");
        assert_eq!(second.code, 2, "{second:?}");
        assert!(second.stdout.contains("nobody can be reached at"), "{second:?}");
        let received = listening.end();
        assert_eq!(received.code, 2, "{received:?}");
        assert!(received.stderr.contains("was silent for too long"), "{received:?}");
    }
    assert!(is_empty(&directory));
}

#[test]
fn a_damaged_or_cut_off_stream_is_refused() {
    let good = stream_of(midflight::stream::Kind::Errand, &[0; 100]);
    let mut damaged = good.clone();
    damaged[40] ^= 1;
    let others = [
        (damaged, "the stream is damaged in, or before, its section errand"),
        (good, "the stream's section errand makes no sense"),
        (b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n".to_vec(), "this is no midflight stream"),
        (stream_of(midflight::stream::Kind::Errand, &[0; 100])[..60].to_vec(), "it was cut off on the way"),
        (Vec::new(), "it was cut off on the way"),
    ];
    let directory = directory("migrate-damaged");
    for (bytes, sentence) in others {
        let socket = directory.join("socket");
        let listening = listen(&[&format!("unix:{}", socket.display()), "--machine", "model"]);
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let received = listening.end();
        assert_eq!(received.code, 2, "{received:?}");
        assert!(received.stderr.contains(sentence) && !received.stderr.contains("panicked"), "{received:?}");
        assert!(is_empty(&directory));
    }
}

#[test]
fn a_listener_that_nobody_comes_to_ends() {
    let directory = directory("migrate-nobody");
    let unix = format!("unix:{}", directory.join("socket").display());
    for address in [&unix, "tcp:0"] {
        let start = Instant::now();
        let ran = midflight(&["migrate", "--listen", address, "--machine", "model", "--wait", "0.5"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("timeout: nobody sent a guest to"), "{ran:?}");
        assert!(start.elapsed().as_secs() < 20);
    }
    assert!(is_empty(&directory));
}

#[test]
fn a_sender_whom_nobody_hears_says_so() {
    if embedded("pf").is_none() {
        return;
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = directory("migrate-deaf");
    let unix = format!("unix:{}", directory.join("socket").display());
    for address in [&unix, &format!("tcp:{port}")] {
        let token: &[&str] = if address.starts_with("tcp") { &["--token", "0"] } else { &[] };
        let ran = midflight(&[&["migrate", ON_MODEL, "--to", address, "--machine", "model"], token].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stdout.contains("is `midflight migrate --listen` running there?"), "{ran:?}");
    }
}

#[test]
fn another_machine_than_the_guests_is_refused() {
    if embedded("pf").is_none() || machines().len() < 2 {
        return;
    }
    let listening = listen(&["tcp:0", "--machine", "model"]);
    let sent = listening.send(ON_KVM, "kvm");
    assert_eq!(sent.code, 2, "{sent:?}");
    assert!(sent.stdout.contains("it was cut on kvm, and this is model"), "{sent:?}");
    assert_eq!(listening.end().code, 2);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    if embedded("pf").is_none() {
        return;
    }
    let occupied = file("migrate-occupied", b"a file of somebody's");
    let occupied_address = format!("unix:{}", occupied.display());
    for (arguments, sentence) in [
        (vec![], "required"),
        (vec!["--listen", "nowhere"], "unix:PATH"),
        (vec![ON_MODEL], "--to"),
        (vec![ON_MODEL, "--listen", "-"], "cannot be used with"),
        (vec![ON_MODEL, "--to", "tcp:1", "--machine", "model"], "needs the token"),
        (vec![ON_MODEL, "--to", "unix:x", "--token", "0", "--machine", "model"], "--token is for tcp"),
        (vec!["--listen", "tcp:0", "--machine", "qemu"], "QEMU takes none"),
        (vec!["--listen", &occupied_address, "--machine", "model"], "it exists; remove it"),
        (
            vec!["pf/read-unmapped:fred:block@frame:migrate", "--to", "unix:x", "--machine", "model"],
            "does not leave",
        ),
        (
            vec!["pf/read-unmapped:idt:storm=1:migrate-process", "--to", "unix:x", "--machine", "model"],
            "come back",
        ),
    ] {
        let ran = midflight(&[&["migrate"], arguments.as_slice()].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(sentence), "{arguments:?}: {ran:?}");
    }
    assert_eq!(std::fs::read(&occupied).unwrap(), b"a file of somebody's");
}
