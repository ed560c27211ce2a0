//! The end of an image.

use crate::image::IMAGE;
use crate::report::{print, ring, verdict_because};
use crate::serial;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use protocol::delivery::Delivery;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::mailbox::Verdict;
use protocol::port::{EXIT, SHUTDOWN};
use x86_64::instructions::port::Port;

/// The case that runs; [`NO_CASE`] between two.
pub(crate) static CURRENT: AtomicU32 = AtomicU32::new(NO_CASE);
/// No case.
pub(crate) const NO_CASE: u32 = u32::MAX;

/// Where the image goes when it ends; 0: nowhere, the machine ends.
pub(crate) static NEXT: AtomicU32 = AtomicU32::new(0);

/// An event came inside a stub.
pub(crate) const INSIDE_STUB: u32 = 1;
/// An event came while no act was running.
pub(crate) const UNEXPECTED: u32 = 2;
/// Events keep coming from one act.
pub(crate) const ENDLESS: u32 = 3;

/// Ends the image, once what it printed has left the serial port: by going on to what runs the next one, or by
/// whichever way works here.
pub(crate) fn exit(how: ImageExit) -> ! {
    // Not every machine can tell the value of the port.
    serial::line(format_args!("EXIT: {}", how.name()));
    serial::drain();
    let next = u64::from(NEXT.load(Relaxed));
    if next != 0 {
        // SAFETY: the command line promises a program there that needs neither memory nor registers of this image.
        unsafe { core::arch::asm!("jmp {}", in(reg) next, in("edi") how as u32, options(noreturn)) };
    }
    // SAFETY: these ports do nothing or end the machine.
    unsafe {
        // isa-debug-exit has four bytes of ports and takes the value of any width.
        Port::<u8>::new(EXIT).write(how as u8);
        for byte in *b"Shutdown" {
            Port::<u8>::new(SHUTDOWN).write(byte);
        }
    }
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// Where the capture goes with an event that no act raised: `kind` says why it is none, `delivery` is its record.
/// A right machine raises no such event, so the case fails.
pub(crate) extern "sysv64" fn event_error(kind: u32, delivery: &Delivery) -> ! {
    let what = match kind {
        INSIDE_STUB => "inside an entry stub",
        UNEXPECTED => "while no act was running",
        _ => "again and again",
    };
    end(
        (Verdict::Fail, ImageExit::Fail),
        format_args!("vector {} came {what}, RIP {:#x}", delivery.vector, delivery.frame[1]),
    )
}

/// Says that the image is wrong, or its environment, and ends.
pub(crate) fn error(what: core::fmt::Arguments<'_>) -> ! {
    end((Verdict::Error, ImageExit::Error), what)
}

/// Says why the image cannot go on, to whoever listens, and ends.
fn end((verdict, how): (Verdict, ImageExit), what: core::fmt::Arguments<'_>) -> ! {
    verdict_because(verdict, what);
    let index = CURRENT.load(Relaxed);
    match IMAGE.cases.get(index as usize) {
        Some(case) => {
            print(IMAGE.name, case.name);
            ring(Doorbell::Done(index as u16));
        }
        None => {
            let word = if verdict == Verdict::Fail { "FAIL" } else { "ERROR" };
            serial::line(format_args!("{word}: {}: {what}", IMAGE.name));
        }
    }
    exit(how)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => error(format_args!("panic at {}:{}", location.file(), location.line())),
        None => error(format_args!("panic")),
    }
}
