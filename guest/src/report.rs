//! Verdicts in the mailbox, and lines on the serial port.

use crate::judge::Told;
use crate::serial;
use core::arch::asm;
use core::sync::atomic::{Ordering::SeqCst, compiler_fence};
use protocol::delivery::Delivery;
use protocol::doorbell::Doorbell;
use protocol::field::Field;
use protocol::mailbox::{DELIVERIES, HostFlags, MAGIC, MISMATCHES, Mailbox, Mismatch, RETURNED, Verdict};

/// Reads a number of the mailbox.
macro_rules! mail {
    ($field:ident) => {
        // SAFETY: the mailbox is a static; the host changes it only at doorbells.
        unsafe { (&raw const (*$crate::layout::MAILBOX.get()).$field).read_volatile() }
    };
}
/// Reads an array of the mailbox. Not volatile, which would unroll the copy; doorbells are fences.
macro_rules! mail_array {
    ($field:ident) => {
        // SAFETY: as above.
        unsafe { (&raw const (*$crate::layout::MAILBOX.get()).$field).read() }
    };
}
/// Writes a number of the mailbox.
macro_rules! set_mail {
    ($field:ident = $value:expr) => {{
        let value = $value;
        // SAFETY: as above.
        unsafe { (&raw mut (*$crate::layout::MAILBOX.get()).$field).write_volatile(value) }
    }};
}
/// Writes an array of the mailbox, or one item of it.
macro_rules! set_mail_array {
    ($field:ident $([$index:expr])? = $value:expr) => {{
        let value = $value;
        // SAFETY: as above.
        unsafe { (&raw mut (*$crate::layout::MAILBOX.get()).$field $([$index])?).write(value) }
    }};
}
pub(crate) use {mail, mail_array};

/// What the host has said.
pub(crate) fn host() -> HostFlags {
    HostFlags::from_bits_truncate(mail!(host))
}

/// Says whose mailbox it is.
pub(crate) fn introduce() {
    set_mail!(magic = MAGIC);
    set_mail!(version = protocol::VERSION);
}

/// Rings the doorbell. The general registers are 0 while it rings, that two machines can be compared there: what the
/// compiler keeps in them may depend on the processor.
pub(crate) fn ring(doorbell: Doorbell) {
    hold(doorbell);
    // SAFETY: nobody but the host listens there; it reads and writes the mailbox while OUT lasts, which this block may
    // do as far as the compiler knows. RBX and RBP, which a block cannot name, are saved and restored.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "xor ebx, ebx",
            "xor ebp, ebp",
            "out dx, eax",
            "pop rbp",
            "pop rbx",
            in("edx") u32::from(protocol::port::DOORBELL),
            in("eax") doorbell.encode(),
            inout("rcx") 0_u64 => _,
            inout("rsi") 0_u64 => _,
            inout("rdi") 0_u64 => _,
            inout("r8") 0_u64 => _,
            inout("r9") 0_u64 => _,
            inout("r10") 0_u64 => _,
            inout("r11") 0_u64 => _,
            inout("r12") 0_u64 => _,
            inout("r13") 0_u64 => _,
            inout("r14") 0_u64 => _,
            inout("r15") 0_u64 => _,
        );
    }
}

/// Waits for a host that has nothing at the doorbell's port.
fn hold(doorbell: Doorbell) {
    if host().contains(HostFlags::HOLD) {
        // The host reads and writes the mailbox while the guest waits.
        compiler_fence(SeqCst);
        set_mail!(waiting = doorbell.encode());
        // No PAUSE: at each TCG takes the lock that QEMU's control channel waits for.
        while mail!(waiting) != 0 {}
        compiler_fence(SeqCst);
    }
}

/// Forgets the last case; deliveries and mismatches count for nothing when their numbers are 0. What the host writes (`disturbances`) is its own to clear.
pub(crate) fn clear() {
    set_mail!(entries = 0);
    set_mail!(verdict = Verdict::None as u32);
    set_mail!(compared = 0);
    set_mail!(mismatch_count = 0);
    set_mail_array!(reason = Mailbox::EMPTY.reason);
}

/// Records comparisons of deliveries, counted from 0.
pub(crate) struct Recorder;

impl Told for Recorder {
    #[inline]
    fn compared(&mut self, delivery: u32, field: Field, expected: u64, got: u64) {
        set_mail!(compared = mail!(compared) + 1);
        if expected != got {
            let count = mail!(mismatch_count);
            set_mail!(mismatch_count = count + 1);
            if let Some(index) = ((count as usize) < MISMATCHES).then_some(count as usize) {
                set_mail_array!(
                    mismatches[index] = Mismatch { field: field as u32, delivery, expected, got }
                );
            }
        }
    }

    #[inline]
    fn all_same(&mut self, _: u32, fields: &[Field], _: &[u64]) {
        set_mail!(compared = mail!(compared) + fields.len() as u32);
    }
}

/// What was captured, where the mailbox holds it.
pub(crate) fn deliveries() -> &'static mut [Delivery; DELIVERIES] {
    // SAFETY: no act is running, so no stub writes there, and the host changes the mailbox only at doorbells;
    // the other fields are written through pointers to them alone.
    unsafe { &mut (*crate::layout::MAILBOX.get()).deliveries }
}

/// Records a verdict without a reason.
pub(crate) fn verdict(verdict: Verdict) {
    set_mail!(verdict = verdict as u32);
}

/// Records a verdict with a reason, which is cut to the mailbox's place for it.
pub(crate) fn verdict_because(verdict: Verdict, reason: core::fmt::Arguments<'_>) {
    let mut place = Reason { bytes: Mailbox::EMPTY.reason, length: 0 };
    // A cut reason is still a reason.
    let _ = core::fmt::write(&mut place, reason);
    set_mail_array!(reason = place.bytes);
    self::verdict(verdict);
}

struct Reason {
    bytes: [u8; 96],
    length: usize,
}

impl core::fmt::Write for Reason {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            let place = self.bytes.get_mut(self.length).ok_or(core::fmt::Error)?;
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

/// Prints what the mailbox says about a case that has been judged.
pub(crate) fn print(image: &str, case: &str) {
    if !serial::answers() {
        return;
    }
    let reason = mail_array!(reason);
    let reason = protocol::text::read(&reason).unwrap_or_default();
    match Verdict::from_number(mail!(verdict)) {
        Some(Verdict::Pass) => serial::line(format_args!("PASS: {image}/{case}")),
        Some(Verdict::Skip) => serial::line(format_args!("SKIP: {image}/{case}: {reason}")),
        Some(Verdict::Fail) if !reason.is_empty() => {
            serial::line(format_args!("FAIL: {image}/{case}: {reason}"));
        }
        Some(Verdict::Fail) => {
            let mismatches = mail_array!(mismatches);
            for mismatch in mismatches.iter().take(mail!(mismatch_count) as usize) {
                let Mismatch { field, delivery, expected, got } = *mismatch;
                let field = Field::from_number(field).map_or("?", Field::name);
                let when = if delivery == RETURNED { protocol::field::RETURNED } else { "" };
                serial::line(format_args!(
                    "FAIL: {image}/{case}: {field}{when} expected {expected:#x}, got {got:#x}"
                ));
            }
        }
        _ => serial::line(format_args!("ERROR: {image}/{case}: {reason}")),
    }
}

/// Prints each captured delivery as a FRAME line.
pub(crate) fn print_frames(image: &str, case: &str, delivery: &str) {
    for (n, d) in deliveries().iter().enumerate().take(mail!(entries) as usize) {
        let [q0, q1, q2, q3, q4, q5, q6, q7] = d.frame;
        serial::line(format_args!(
            "FRAME {image}/{case} {n} {delivery} {q0:016x} {q1:016x} {q2:016x} {q3:016x} {q4:016x} {q5:016x} \
             {q6:016x} {q7:016x} {:016x} {:016x} {:016x}",
            d.cr2, d.dr6, d.xfd_err
        ));
    }
}
