//! The end of an image.

use protocol::exit::ImageExit;
use protocol::port::{EXIT, SHUTDOWN};
use x86_64::instructions::port::Port;

/// Ends the image by whichever way works here, once what it printed has left the serial port.
pub(crate) fn exit(how: ImageExit) -> ! {
    crate::serial::drain();
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
