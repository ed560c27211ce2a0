use super::*;
use std::io::Write;

/// A log that other programs have written to before.
struct Written {
    file: File,
    path: std::path::PathBuf,
}

impl Written {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("midflight-{}-{name}", std::process::id()));
        let file = File::create(&path).unwrap();
        let mut written = Self { file, path };
        written.write("4,1,1,-;WARNING: CPU: 0 PID: 1 at before/the/run.c:1 nobody+0x1/0x2\n");
        written
    }

    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    fn said(name: &str, text: &str) -> KernelSaid {
        let mut written = Self::new(name);
        let log = KernelLog::watch(&written.path).unwrap();
        written.write(text);
        log.finish()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// As Linux 6.18 wrote it on a real machine, with the lines around it.
const SPLAT: &str = "\
6,1090,1392000000,-;kvm-pvm: deliver[1]: vec=8 err=0x0 type=1 cpl=0 rip=0x100341\n\
4,1091,1392062208,-;------------[ cut here ]------------\n\
4,1092,1392062255,-;WARNING: CPU: 0 PID: 28254 at virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+0xe2/0xf0\n \
SUBSYSTEM=x\n\
4,1093,1392062312,-;CPU: 0 UID: 0 PID: 28254 Comm: midflight Not tainted 6.18.44 #1 PREEMPT(none) \n\
4,1094,1392062321,-;RIP: 0010:kvm_dirty_ring_push+0xe2/0xf0\n\
4,1095,1392062900,-;---[ end trace 0000000000000000 ]---\n";

#[test]
fn a_warn_is_one_warning() {
    let said = Written::said("splat", SPLAT);
    let warning = "------------[ cut here ]------------\n\
                   WARNING: CPU: 0 PID: 28254 at virt/kvm/dirty_ring.c:225 kvm_dirty_ring_push+0xe2/0xf0";
    let warning = KernelWarning { text: warning.to_owned(), during: Vec::new() };
    assert_eq!(said, KernelSaid { warnings: vec![warning], unwatched: None });
}

#[test]
fn a_warn_keeps_its_text() {
    let text = "4,1,1,-;------------[ cut here ]------------\n4,2,1,-;refcount_t: underflow; use-after-free.\n\
                4,3,1,-;WARNING: CPU: 1 PID: 7 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110\n";
    let said = Written::said("text", text);
    assert_eq!(said.warnings.len(), 1);
    assert!(said.warnings[0].text.contains("\nrefcount_t: underflow; use-after-free.\nWARNING: CPU: 1"));
    // One that is never finished is not lost, and swallows no more than it may.
    let endless =
        format!("{CUT}{}", "4,2,1,-;something\n".repeat(20), CUT = "4,1,1,-;".to_owned() + CUT_HERE + "\n");
    assert_eq!(Written::said("endless", &endless).warnings[0].text.lines().count(), MOST_LINES);
    let open = format!("4,1,1,-;{CUT_HERE}\n");
    assert_eq!(Written::said("open", &open).warnings[0].text, CUT_HERE);
}

#[test]
fn what_kernels_write_when_something_is_wrong_is_a_warning() {
    for text in [
        "1,1,1,-;BUG: unable to handle page fault for address: ffffffffdeadbeef",
        "3,1,1,-;BUG: KASAN: slab-out-of-bounds in kvm_vcpu_ioctl+0x1/0x2 [kvm]",
        "0,1,1,-;watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [midflight:123]",
        "2,1,1,-;kernel BUG at arch/x86/kvm/x86.c:1234!",
        "1,1,1,-;Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP",
        "4,1,1,-;unchecked MSR access error: WRMSR to 0x1cc (tried to write 0x1)",
        "3,1,1,-;rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "3,1,1,-;INFO: task midflight:77 blocked for more than 120 seconds.",
        "3,1,1,-;kvm [1234]: vcpu0, guest rIP: 0x1002f3 vmx: unexpected exit reason 0x4a",
        "0,1,1,-;traps: PANIC: double fault, error_code: 0x0",
        // Written by root: the facility is LOG_USER.
        "12,1,1,-;WARNING: midflight test",
    ] {
        let said = Written::said("forms", &format!("{text}\n"));
        let said: Vec<&str> = said.warnings.iter().map(|warning| warning.text.as_str()).collect();
        assert_eq!(said, [text.split_once(';').unwrap().1], "{text}");
    }
}

#[test]
fn what_drivers_say_is_none() {
    for text in [
        // Of kvm_pvm: facts about the guest, errors by level.
        "3,1,1,-;kvm-pvm: INTERNAL_ERROR in batch emul: rip=0x1003fb cpl=0 cr3=0x115000",
        "4,1,1,-;__pvm_handle_exit: 20 callbacks suppressed",
        "6,1,1,-;kvm-pvm: trace dump vcpu0 (#DF/escalation): not printed",
        "4,1,1,-;kvm_amd: SEV disabled in nested host",
        "4,1,1,-;a sentence that says WARNING: in its middle",
        // No warning by its level.
        "6,1,1,-;WARNING: midflight test",
        "4,1,1,- WARNING: no record",
        " WARNING: a detail of a record;",
    ] {
        assert_eq!(Written::said("chatter", &format!("{text}\n")), KernelSaid::default(), "{text}");
    }
}

#[test]
fn the_log_is_followed_and_kept_within_bounds() {
    let mut written = Written::new("bounds");
    let mut log = KernelLog::watch(&written.path).unwrap();
    for number in 0..1000 {
        // A line that comes in two pieces is one.
        written.write("4,1,1,-;BUG: num");
        log.follow();
        written.write(&format!("ber {number}\n"));
    }
    let said = log.finish();
    assert_eq!((said.warnings.len(), said.warnings[0].text.as_str()), (MOST, "BUG: number 0"));
    assert_eq!(said.warnings[MOST - 1].text, "and 951 more");
}

#[test]
fn a_log_that_cannot_be_read_is_no_silence() {
    let said = KernelLog::watch_if_readable(Path::new("/no/such/log")).finish();
    assert!(said.unwatched.unwrap().starts_with("/no/such/log: No such file"));
    let said = KernelLog::watch_if_readable(Path::new("/proc")).finish();
    assert!(said.unwatched.unwrap().contains("directory"));
}

#[test]
fn a_warning_is_of_the_scenarios_that_ran_when_it_came() {
    let mut written = Written::new("during");
    let mut log = KernelLog::watch(&written.path).unwrap();
    let mut warn = |text: &str| written.write(&format!("4,1,1,-;BUG: {text}\n"));
    log.begins(0, "pf/a".to_owned());
    log.begins(1, "pf/b".to_owned());
    warn("both");
    log.ends(0);
    warn("one");
    log.begins(0, "pf/c".to_owned());
    log.ends(1);
    log.ends(0);
    warn("none");
    let said = log.finish();
    let during: Vec<(&str, String)> =
        said.warnings.iter().map(|one| (one.text.as_str(), one.during.join(" "))).collect();
    let expected = [("BUG: both", "pf/a pf/b"), ("BUG: one", "pf/b"), ("BUG: none", "")];
    assert_eq!(during, expected.map(|(text, ids)| (text, ids.to_owned())));
}

#[test]
fn a_mark_is_a_record_that_is_no_warning() {
    let written = Written::new("marks");
    let log = KernelLog::watch(&written.path).unwrap();
    Marks::new(&written.path).unwrap().begins("pf/a:idt:cold").unwrap();
    assert!(std::fs::read_to_string(&written.path).unwrap().ends_with("<6>midflight: pf/a:idt:cold\n"));
    assert_eq!(log.finish(), KernelSaid::default());
    assert!(Marks::new(Path::new("/no/such/log")).is_err());
}
