//! Guests that do what no image does: each is ended and reported, and takes no more memory than an
//! honest one.

use crate::binary::{self, embedded, file};
use crate::patched::with_code;
use crate::this_host;
use std::process::Command;

const CASE: &str = "pf/read-unmapped:idt:none";

/// More address space than any run with one scenario needs, in KiB; most of it is what malloc sets
/// aside for each thread.
const MEMORY: u64 = 1 << 20;

/// What is said of one that does not end.
const RUNNING: &str = "timeout: after 2 s the guest was still running";

/// The case with `code` as its act, on every machine that is here, ends with the exit code `exit` and these
/// words; it has not a byte of address space more than [`MEMORY`].
#[track_caller]
fn ends(name: &str, code: &[u8], exit: i32, words: &str) {
    let Some(bytes) = with_code(code) else { return };
    let image = file(name, &bytes);
    for machine in this_host::machines() {
        let run = format!("run {CASE} --machine {machine} --timeout 2 --image {image}");
        let line = format!("ulimit -v {MEMORY}; exec {} {run}", env!("CARGO_BIN_EXE_midflight"));
        let ran = binary::run(Command::new("/bin/sh").args(["-c", &line]));
        eprintln!("on {machine}");
        ran.printed(exit, &[words]);
        assert!(!ran.stderr.contains("panicked") && !ran.stdout.contains(" 1 passed"), "{ran:?}");
        assert!(ran.stdout.len() + ran.stderr.len() < 16 << 10, "{ran:?}");
    }
}

#[test]
fn a_guest_that_faults_three_times_is_a_failure() {
    // push 0; push 0; lidt [rsp]; ud2
    let code = [0x6A, 0x00, 0x6A, 0x00, 0x0F, 0x01, 0x1C, 0x24, 0x0F, 0x0B];
    ends(
        "triple-fault",
        &code,
        1,
        "the guest was shut down, as by a triple fault (KVM_EXIT_SHUTDOWN), RIP at",
    );
}

#[test]
fn a_guest_that_spins_without_interrupts_is_ended() {
    // cli; jmp $
    ends("spin", &[0xFA, 0xEB, 0xFE], 2, RUNNING);
}

#[test]
fn a_guest_that_stops_for_ever_is_ended() {
    // cli; hlt
    ends("halt", &[0xFA, 0xF4], 1, "the guest came to a HLT (KVM_EXIT_HLT), RIP at");
}

#[test]
fn a_guest_that_floods_the_serial_port_is_ended() {
    // mov dx, 0x3F8; out dx, al; jmp to the out
    ends("flood", &[0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xEB, 0xFD], 2, RUNNING);
}

#[test]
fn a_guest_that_writes_outside_its_memory_is_ended() {
    // A page of 2 MiB after the memory: mov rax, cr3; twice mov rax, [rax]; and rax, -4096;
    // mov dword [rax + 8], 0x200083; mov ecx, 0x200000; mov [rcx], rcx; jmp $
    let code = [
        0x0F, 0x20, 0xD8, 0x48, 0x8B, 0x00, 0x48, 0x25, 0x00, 0xF0, 0xFF, 0xFF, 0x48, 0x8B, 0x00, 0x48, 0x25,
        0x00, 0xF0, 0xFF, 0xFF, 0xC7, 0x40, 0x08, 0x83, 0x00, 0x20, 0x00, 0xB9, 0x00, 0x00, 0x20, 0x00, 0x48,
        0x89, 0x09, 0xEB, 0xFE,
    ];
    ends(
        "outside",
        &code,
        1,
        "the guest wrote to guest-physical 0x200000, where no memory is (KVM_EXIT_MMIO), RIP at",
    );
}

#[test]
fn a_guest_that_rings_without_end_is_ended() {
    // mov edx, the doorbell's port; out dx, eax; jmp to the out. EAX says nothing that is a doorbell.
    let port = protocol::port::DOORBELL.to_le_bytes();
    ends("ring", &[0x66, 0xBA, port[0], port[1], 0x31, 0xC0, 0xEF, 0xEB, 0xFD], 2, RUNNING);
}

#[test]
fn the_memory_bound_is_one() {
    let Some(_) = embedded("pf") else { return };
    let line = format!("ulimit -v 4000; exec {} list", env!("CARGO_BIN_EXE_midflight"));
    assert_ne!(binary::run(Command::new("/bin/sh").args(["-c", &line])).code, 0);
}
