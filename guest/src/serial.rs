//! COM1 and the debug console, for people: text goes to each that answers, and nowhere if none does.

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use protocol::port::{COM1, DEBUG_CONSOLE};
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::LSR;
use uart_16550::{Config, Uart16550};
use x86_64::instructions::port::Port as IoPort;

/// How often one byte is offered, or the port asked whether it has sent all of them, before it counts
/// as dead.
pub(crate) const ATTEMPTS: u32 = 1 << 20;

struct Port(UnsafeCell<Option<Uart16550<PioBackend>>>);

// SAFETY: one processor, and no handler prints while a line is being printed.
unsafe impl Sync for Port {}

static PORT: Port = Port(UnsafeCell::new(None));

/// Whether the debug console answers. It takes a byte at once, where an emulated COM1 may take a millisecond.
static DEBUG: AtomicBool = AtomicBool::new(false);

/// Sets the ports up; a COM1 without a scratch register counts as absent.
pub(crate) fn init() {
    // SAFETY: reading the debug console changes nothing, nor does reading where there is none.
    let answer = unsafe { IoPort::<u8>::new(DEBUG_CONSOLE).read() };
    DEBUG.store(u16::from(answer) == DEBUG_CONSOLE, Relaxed);
    // SAFETY: nothing else drives COM1.
    let Ok(mut uart) = (unsafe { Uart16550::new_port(COM1) }) else { return };
    if uart.init(Config::DEFAULT).is_ok() {
        // SAFETY: see `Port`.
        unsafe { *PORT.0.get() = Some(uart) };
    }
}

/// Whether a line would get anywhere.
pub(crate) fn answers() -> bool {
    // SAFETY: see `Port`.
    DEBUG.load(Relaxed) || unsafe { (*PORT.0.get()).is_some() }
}

/// Prints a line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if DEBUG.load(Relaxed) {
        // The console takes anything.
        let _ = fmt::write(&mut Debug, text);
        let _ = fmt::Write::write_str(&mut Debug, "\n");
    }
    // SAFETY: see `Port`.
    let port = unsafe { &mut *PORT.0.get() };
    let dead = match port {
        Some(uart) => {
            let mut writer = Writer(uart);
            fmt::write(&mut writer, text).is_err() || fmt::Write::write_str(&mut writer, "\n").is_err()
        }
        None => false,
    };
    if dead {
        *port = None;
    }
}

/// Waits until the port has sent everything: what it still holds when the machine ends is lost.
pub(crate) fn drain() {
    // SAFETY: see `Port`.
    let port = unsafe { &mut *PORT.0.get() };
    if let Some(uart) = port
        && !(0..ATTEMPTS).any(|_| uart.lsr().contains(LSR::TRANSMITTER_EMPTY))
    {
        *port = None;
    }
}

struct Writer<'a>(&'a mut Uart16550<PioBackend>);

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let mut offers = 0..ATTEMPTS;
            if !offers.any(|_| self.0.try_send_byte(byte).is_ok()) {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

struct Debug;

impl fmt::Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the console has answered.
        text.bytes().for_each(|byte| unsafe { IoPort::<u8>::new(DEBUG_CONSOLE).write(byte) });
        Ok(())
    }
}
