//! `midflight save` and `midflight resume`, and what goes wrong between them.

use crate::binary::{Ran, directory, embedded, file, files, finish, midflight, program, run};
use crate::marked::soon;
use crate::this_host;
use midflight::image::Image;
use midflight::migration::receive;
use midflight::report::outcome::{Outcome, Report};
use midflight::stream::{SectionKind, VERSION, Writer, base_of};
use std::fs::File;
use std::io::{Write, pipe};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// On the model, FRED, with registers rewritten: only event data that travelled can be right.
const ON_MODEL: &str = "pf/read-unmapped:fred:block@frame:migrate-process+disturb";
/// What every KVM can do.
const ON_KVM: &str = "pf/read-unmapped:idt:cancel:migrate-process+disturb";

fn machines() -> impl Iterator<Item = (&'static str, &'static str)> {
    this_host::machines().into_iter().map(|name| (name, if name == "kvm" { ON_KVM } else { ON_MODEL }))
}

/// The guest of the scenario, in a file; `None` in a build without images.
fn saved(name: &str, id: &str, options: &[&str]) -> Option<String> {
    embedded("pf")?;
    let path = directory(&format!("saved-{name}")).join("guest");
    let file = path.display().to_string();
    let ran = midflight(&[&["save", id, "--output", &file], options].concat());
    assert!(ran.code == 0 && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains(&format!("SAVED: {id} on ")), "{ran:?}");
    assert_eq!(files(path.parent().unwrap()), [path]);
    Some(file)
}

/// `resume` with `stream` as its standard input, which ends after it.
fn resume(stream: &[u8], options: &[&str]) -> Ran {
    // Tests run beside each other.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let input = file(&format!("resume-input-{}", CALLS.fetch_add(1, Ordering::Relaxed)), stream);
    resume_from(File::open(input).unwrap(), options)
}

/// `resume` with this as its standard input.
fn resume_from(input: impl Into<Stdio>, options: &[&str]) -> Ran {
    run(program().arg("resume").args(options).stdin(input))
}

/// `save` with this as its standard output.
fn save_to(output: impl Into<Stdio>, arguments: &[&str]) -> Child {
    let mut command = program();
    command.arg("save").args(arguments).stdout(output).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_guest_continues_after_a_pipe() {
    let Some(_) = embedded("pf") else { return };
    for (machine, id) in machines() {
        let (from, to) = pipe().unwrap();
        let save = save_to(to, &[id, "--machine", machine]);
        // It takes the machine that the guest was on.
        resume_from(from, &[])
            .printed(0, &["1 passed, 0 failed, 0 known issues, 0 skipped, 0 errors; 1 cuts proved"]);
        let saved = finish(save);
        let said = saved.stderr.contains(&format!("SAVED: {id} on {machine}"));
        assert!(saved.code == 0 && said, "{saved:?}");
    }
}

#[test]
fn a_guest_continues_out_of_a_file_as_often_as_one_likes() {
    for (machine, id) in machines() {
        let Some(path) = saved(&format!("file-{machine}"), id, &["--machine", machine]) else { return };
        for format in ["json", "human", "junit", "json"] {
            let ran = midflight(&["resume", &path, "--format", format]);
            assert_eq!(ran.code, 0, "{ran:?}");
            if format == "json" {
                let report = &ran.objects(0).0[0];
                assert_eq!((&report["id"], &report["outcome"]), (&id.into(), &"pass".into()));
                assert!(report["compared"].as_u64() > Some(0) && report["cut"].is_string(), "{report}");
                assert_eq!(report["saved_on"]["midflight"], midflight::version::VERSION);
            }
        }
    }
}

#[test]
fn event_data_that_was_lost_fails_the_resumed_guest() {
    let behaviour = ["--behaviour", "kernel-only-event-data"];
    let Some(path) = saved("lost", ON_MODEL, &behaviour) else { return };
    let ran = midflight(&["resume", &path]);
    ran.printed(
        1,
        &[
            "event data expected 0x8000001a58, got 0x",
            "on model (kernel-only-event-data)",
            "    the uAPI did not carry: event data",
            "    the guest was saved under Linux ",
        ],
    );
    assert!(ran.stdout.lines().any(|line| line.ends_with(&format!(" resume {path}"))), "{ran:?}");
}

#[test]
fn another_machine_than_the_guests_is_refused() {
    let Some(_) = this_host::kvm() else { return };
    let Some(path) = saved("another", ON_KVM, &["--machine", "kvm"]) else { return };
    midflight(&["resume", &path, "--machine", "model"]).refused("it was cut on kvm, and this is model");
}

#[test]
fn what_is_no_whole_guest_is_refused_before_anything_is_restored() {
    let Some(path) = saved("damaged", ON_MODEL, &["--machine", "model"]) else { return };
    let good = std::fs::read(path).unwrap();
    let changed = |at: usize, bit: u8| {
        let mut stream = good.clone();
        stream[at] ^= bit;
        stream
    };
    let newer = {
        let mut header = good[..12].to_vec();
        header[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
        let check = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(&header);
        [&header, check.to_le_bytes().as_slice(), &good[20..]].concat()
    };
    let mut nonsense = Vec::new();
    Writer::new(&mut nonsense).unwrap().section(SectionKind::Report, &[0; 100]).unwrap();
    let last = good.len() - 1;
    for (stream, sentence) in [
        (changed(last, 1), "the stream is damaged in, or before, its section end"),
        (changed(40, 1), "the stream is damaged in, or before, its section report"),
        (good[..last].to_vec(), "it was truncated"),
        (good[..60].to_vec(), "it was truncated"),
        (good[..5].to_vec(), "it was truncated"),
        (Vec::new(), "no guest was received: the input ended without a byte"),
        ([good.as_slice(), b"\n"].concat(), "something follows the end of the stream"),
        (newer, "which is newer than this midflight's"),
        (nonsense, "the stream's section report makes no sense"),
        (b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n".to_vec(), "this is not a midflight stream"),
    ] {
        resume(&stream, &["--machine", "model"]).refused(sentence);
    }
    assert_eq!(resume(&good, &[]).code, 0);
}

#[test]
fn what_a_guest_says_of_itself_is_not_believed() {
    let Some(path) = saved("forged", ON_MODEL, &["--machine", "model"]) else { return };
    let good = receive(File::open(path).unwrap()).unwrap();
    let resumed = |forge: &dyn Fn(&mut Report)| {
        let mut guest = good.clone();
        forge(&mut guest.report);
        let (image, mut stream) = (Image::parse("pf", &guest.image).unwrap(), Vec::new());
        guest.write(&base_of(&image), &mut stream).unwrap();
        resume(&stream, &[])
    };
    for case in ["db/single-step", "pf/no-such-case"] {
        let id = format!("{case}:fred:block@frame:migrate-process");
        resumed(&|report| report.scenario = id.parse().unwrap())
            .refused(&format!("its image pf has no case {case}"));
    }
    let sentence = "it was cut on somewhere, and this is model";
    resumed(&|report| report.machine = "somewhere".to_owned()).refused(sentence);
    resumed(&|report| (report.cut, report.outcome) = (None, Outcome::Pass))
        .printed(2, &["the guest says pass and no cut was proved"]);
}

#[test]
fn an_input_that_sends_nothing_or_does_not_end_is_waited_for_until_a_deadline() {
    let Some(path) = saved("late", ON_MODEL, &["--machine", "model"]) else { return };
    for stream in [Vec::new(), std::fs::read(&path).unwrap()] {
        let (from, mut to) = pipe().unwrap();
        let feeding = to.try_clone().unwrap();
        let fed = std::thread::spawn(move || (&feeding).write_all(&stream));
        let start = Instant::now();
        resume_from(from, &["--wait", "0.7"]).refused("timeout: no whole guest was received within 0.7 s");
        assert!(start.elapsed().as_secs() < 20);
        fed.join().unwrap().unwrap();
        // A process that another test starts has the pipe until its exec.
        soon("somebody still reads", || to.write_all(b"x").is_err());
    }
    // What never ends, and is no guest.
    let zeros = ["resume", "/dev/zero", "--wait", "30"];
    midflight(&zeros).refused("this is not a midflight stream");
}

#[test]
fn a_reader_that_reads_nothing_is_waited_for_until_a_deadline() {
    let Some(_) = embedded("pf") else { return };
    let (from, mut to) = pipe().unwrap();
    // As much as a pipe takes.
    to.write_all(&[0; 1 << 16]).unwrap();
    finish(save_to(to, &[ON_MODEL, "--machine", "model", "--wait", "0.5"]))
        .refused("the guest cannot be written: timed out");
    drop(from);
}

#[test]
fn a_terminal_is_neither_written_to_nor_read_from() {
    let terminal = || File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    for (arguments, sentence) in [
        (["save", ON_MODEL].as_slice(), "standard output, which is a terminal: send it to a file"),
        (["resume"].as_slice(), "standard input, which is a terminal: give the file"),
    ] {
        let mut command = program();
        command.args(arguments).stdin(terminal()).stdout(terminal()).stderr(Stdio::piped());
        finish(command.spawn().unwrap()).refused(sentence);
    }
}

#[test]
fn a_file_holds_a_whole_guest_or_is_not_touched() {
    let Some(_) = embedded("pf") else { return };
    let directory = directory("whole");
    let path = directory.join("guest");
    let save = |id: &str| midflight(&["save", id, "--machine", "model", "-o", path.to_str().unwrap()]);
    std::fs::write(&path, b"somebody's").unwrap();
    // There is no such access: nothing is cut.
    let uncut = save("pf/read-unmapped:fred:access@4000:migrate-process");
    assert_eq!(uncut.code, 2, "{uncut:?}");
    assert!(uncut.stderr.contains("the delivery was not cut"), "{uncut:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
    assert_eq!(save(ON_MODEL).code, 0);
    assert!(std::fs::read(&path).unwrap().starts_with(b"midflght"));
    assert_eq!(files(&directory), std::slice::from_ref(&path));
    midflight(&["save", ON_MODEL, "--machine", "model", "-o", "/no/such/directory/guest"])
        .refused("the guest cannot be written");
}

#[test]
fn a_stop_that_the_machine_cannot_do_is_a_skip_and_nothing_is_written() {
    let (Some(_), Some(_)) = (embedded("pf"), this_host::kvm()) else { return };
    let ran = midflight(&["save", "pf/read-unmapped:idt:access@3:migrate-process", "--machine", "kvm"]);
    assert!(ran.code == 0 && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("1 skipped") && ran.stderr.contains("nothing tested"), "{ran:?}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let Some(_) = embedded("pf") else { return };
    for (arguments, sentence) in [
        (vec!["save"], "required"),
        (vec!["save", ON_MODEL, "--machine", "qemu"], "qemu takes none"),
        (vec!["save", ON_MODEL, "--machine", "kvm", "--behaviour", "stock"], "--behaviour is for the model"),
        (vec!["save", "pf/read-unmapped:fred:block@frame:migrate"], "does not leave"),
        (vec!["save", "pf/read-unmapped:idt:storm=1:migrate-process"], "sent back"),
        (vec!["save", "pf/read-unmapped:fred:block@frame:migrate-process+again=2"], "sent back"),
        (vec!["resume", "/no/such/file"], "/no/such/file: No such file"),
        (vec!["migrate", "--listen", "-"], "midflight migrate is now midflight save and midflight resume"),
        (vec!["migrate", ON_MODEL, "--to", "tcp:1"], "midflight save ID | ssh there midflight resume"),
    ] {
        midflight(&arguments).refused(sentence);
    }
}
