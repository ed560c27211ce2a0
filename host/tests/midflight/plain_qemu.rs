//! The lines of docs/images.md for one image under plain QEMU do what they say.

use crate::binary::{file, images};
use kvm::{DEVICE, KvmMachine};
use midflight::machines::qemu::{Qemu, TRY};
use std::path::Path;
use std::process::{Command, Stdio};

/// The lines of docs/images.md for one image under QEMU, as they stand there.
fn documented_lines() -> Vec<String> {
    let page = include_str!("../../../docs/images.md");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("-kernel target/images/pf")).map(str::to_owned).collect()
}

/// `soft` has instructions that some KVMs do not know: QEMU says so then, and stays paused.
#[test]
fn the_lines_for_plain_qemu_end() {
    let lines = documented_lines();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line.starts_with("timeout --foreground -k 5 60 "), "{line}");
        let kvm = line.contains("-accel kvm");
        let lacks_kvm = kvm && KvmMachine::open(Path::new(DEVICE)).is_err();
        if images().is_empty() || Qemu::default().tried(TRY).is_err() || lacks_kvm {
            eprintln!("skipped, it needs the images, QEMU and what it runs on: {line}");
            continue;
        }
        for image in images().iter().filter(|image| ["pf", "soft"].contains(&image.name.as_str())) {
            let mut line = line.replace("target/images/pf", &file(&image.name, &image.file));
            if kvm {
                // The whole limit elapses where the guest cannot continue.
                line = line.replace("-k 5 60", "-k 5 3");
            }
            let ran = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
            let says = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match ran.status.code() {
                Some(33 | 35) => assert!(says(&ran.stdout).contains("SUMMARY: "), "{line}"),
                Some(124) if kvm => {}
                other => panic!("{other:?}: {line}\n{}", says(&ran.stderr)),
            }
        }
    }
}
