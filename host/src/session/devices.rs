//! The devices of our machines: serial port, doorbell, input port, exit port.

use protocol::doorbell::Doorbell;
use protocol::port;
use serde::{Deserialize, Serialize};
use vm::Exit;
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, SerialState, Trigger};

/// How much serial output is kept; a guest that writes more is cut off there.
pub const SERIAL_LIMIT: usize = 64 << 10;

/// No interrupt line is wired: the images poll.
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = std::convert::Infallible;

    fn trigger(&self) -> Result<(), Self::E> {
        Ok(())
    }
}

/// Serial output, bounded.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = SERIAL_LIMIT - self.bytes.len().min(SERIAL_LIMIT);
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The meaning of a port access to the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceAccess {
    /// Served; an input's items are to be given to the guest.
    Served(Vec<u8>),
    /// The doorbell rang.
    Doorbell(Doorbell),
    /// The image ended itself with this byte.
    Ended(u8),
}

/// Every device.
#[expect(missing_debug_implementations, reason = "nobody prints a device")]
pub struct Devices {
    serial: Serial<NoInterrupt, NoEvents, Lines>,
}

impl Default for Devices {
    fn default() -> Self {
        Self { serial: Serial::new(NoInterrupt, Lines::default()) }
    }
}

/// The state of the devices, as it is migrated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesState {
    /// The serial port's registers: divisor (low, high), IER, IIR, LCR, LSR, MCR, MSR, scratch.
    pub serial: [u8; 9],
    /// Bytes that the guest has not read yet.
    #[serde(with = "serde_bytes")]
    pub serial_input: Vec<u8>,
    /// What the guest has written.
    #[serde(with = "serde_bytes")]
    pub serial_output: Vec<u8>,
    /// An external interrupt that waits until the guest can take it.
    pub interrupt: Option<u8>,
}

/// The serial port's FIFO, in bytes.
const SERIAL_FIFO: usize = 64;

impl DevicesState {
    /// Whether devices can hold this.
    /// Fails with a sentence about state that they cannot have.
    pub fn check(&self) -> Result<(), String> {
        for (what, length, most) in [
            ("input", self.serial_input.len(), SERIAL_FIFO),
            ("output", self.serial_output.len(), SERIAL_LIMIT),
        ] {
            if length > most {
                return Err(format!("{length} bytes of serial {what}, at most {most} are allowed"));
            }
        }
        Ok(())
    }
}

impl Devices {
    /// The state of the devices, for [`from_state`](Self::from_state).
    pub fn state(&self, interrupt: Option<u8>) -> DevicesState {
        let state = self.serial.state();
        DevicesState {
            serial: [
                state.baud_divisor_low,
                state.baud_divisor_high,
                state.interrupt_enable,
                state.interrupt_identification,
                state.line_control,
                state.line_status,
                state.modem_control,
                state.modem_status,
                state.scratch,
            ],
            serial_input: state.in_buffer,
            serial_output: self.serial.writer().bytes.clone(),
            interrupt,
        }
    }

    /// Devices with a saved state.
    /// Fails with a sentence when they cannot have it: see [`DevicesState::check`].
    pub fn from_state(state: &DevicesState) -> Result<Self, String> {
        state.check()?;
        let [low, high, ier, iir, lcr, lsr, mcr, msr, scratch] = state.serial;
        let registers = SerialState {
            baud_divisor_low: low,
            baud_divisor_high: high,
            interrupt_enable: ier,
            interrupt_identification: iir,
            line_control: lcr,
            line_status: lsr,
            modem_control: mcr,
            modem_status: msr,
            scratch,
            in_buffer: state.serial_input.clone(),
        };
        let lines = Lines { bytes: state.serial_output.clone() };
        match Serial::from_state(&registers, NoInterrupt, NoEvents, lines) {
            Ok(serial) => Ok(Self { serial }),
            Err(_) => Err("the serial port cannot hold its state".to_owned()),
        }
    }

    /// Serves an I/O exit; `None` when the exit is not for I/O.
    pub fn serve(&mut self, exit: &Exit) -> Option<DeviceAccess> {
        match exit {
            Exit::IoOut { port, size, data } => Some(self.output(*port, usize::from(*size), data)),
            Exit::IoIn { port, size, count } => {
                let items = usize::from(*size) * usize::try_from(*count).unwrap_or(0);
                Some(DeviceAccess::Served(self.input(*port, items)))
            }
            _ => None,
        }
    }

    /// What the guest has written on the serial line, at most [`SERIAL_LIMIT`] bytes.
    pub fn serial_text(&self) -> String {
        String::from_utf8_lossy(&self.serial.writer().bytes).into_owned()
    }

    fn output(&mut self, at: u16, size: usize, data: &[u8]) -> DeviceAccess {
        match (at, data.first()) {
            (port::DOORBELL, _) if size == 4 => {
                let value = data.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                match Doorbell::decode(value) {
                    Some(doorbell) => DeviceAccess::Doorbell(doorbell),
                    None => DeviceAccess::Served(Vec::new()),
                }
            }
            (port::EXIT, Some(byte)) => DeviceAccess::Ended(*byte),
            (port::COM1..COM1_END, _) => {
                for byte in data {
                    // The sink cannot fail and no interrupt line is wired.
                    let _ = self.serial.write((at - port::COM1) as u8, *byte);
                }
                DeviceAccess::Served(Vec::new())
            }
            _ => DeviceAccess::Served(Vec::new()),
        }
    }

    fn input(&mut self, at: u16, items: usize) -> Vec<u8> {
        match at {
            port::INPUT => vec![port::INPUT_BYTE; items],
            port::COM1..COM1_END => (0..items).map(|_| self.serial.read((at - port::COM1) as u8)).collect(),
            // Nothing is there: the bus floats.
            _ => vec![0xFF; items],
        }
    }
}

const COM1_END: u16 = port::COM1 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn out(port: u16, data: &[u8]) -> Exit {
        Exit::IoOut { port, size: data.len() as u8, data: data.to_vec() }
    }

    #[test]
    fn the_doorbell_decodes_and_other_ports_float() {
        let mut devices = Devices::default();
        let ring = out(port::DOORBELL, &Doorbell::Armed(2).encode().to_le_bytes());
        assert_eq!(devices.serve(&ring), Some(DeviceAccess::Doorbell(Doorbell::Armed(2))));
        assert_eq!(devices.serve(&out(port::EXIT, &[0x11])), Some(DeviceAccess::Ended(0x11)));
        let nowhere = Exit::IoIn { port: 0x1234, size: 2, count: 1 };
        assert_eq!(devices.serve(&nowhere), Some(DeviceAccess::Served(vec![0xFF, 0xFF])));
        let input = Exit::IoIn { port: port::INPUT, size: 1, count: 1 };
        assert_eq!(devices.serve(&input), Some(DeviceAccess::Served(vec![0xA5])));
        assert_eq!(devices.serve(&Exit::Halt), None);
    }

    #[test]
    fn serial_output_is_kept_up_to_a_limit() {
        let mut devices = Devices::default();
        for _ in 0..SERIAL_LIMIT + 10 {
            devices.serve(&out(port::COM1, b"x"));
        }
        assert_eq!(devices.serial_text().len(), SERIAL_LIMIT);
    }
}
