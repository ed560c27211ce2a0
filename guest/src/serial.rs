//! COM1, for people. Where nothing answers there, text goes nowhere.

use core::cell::UnsafeCell;
use core::fmt;
use protocol::port::COM1;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::LSR;
use uart_16550::{Config, Uart16550};

/// How often one byte is offered, or the port asked whether it has sent all of them, before it counts
/// as dead.
pub(crate) const ATTEMPTS: u32 = 1 << 20;

struct Port(UnsafeCell<Option<Uart16550<PioBackend>>>);

// SAFETY: one processor, and no handler prints while a line is being printed.
unsafe impl Sync for Port {}

static PORT: Port = Port(UnsafeCell::new(None));

/// Sets the port up; without a scratch register it counts as absent.
pub(crate) fn init() {
    // SAFETY: nothing else drives COM1.
    let Ok(mut uart) = (unsafe { Uart16550::new_port(COM1) }) else { return };
    if uart.init(Config::DEFAULT).is_ok() {
        // SAFETY: see `Port`.
        unsafe { *PORT.0.get() = Some(uart) };
    }
}

/// Prints a line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
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
