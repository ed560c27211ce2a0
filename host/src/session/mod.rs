//! A guest that runs with its devices, from one thing worth knowing to the next.

pub mod boot;
pub mod devices;

use crate::image::Image;
use crate::session::devices::{DeviceAccess, Devices, DevicesState};
use protocol::disturbance::Disturbance;
use protocol::doorbell::Doorbell;
use protocol::mailbox::Mailbox;
use protocol::port;
use std::mem::offset_of;
use vm::{Exit, RunMode, Vcpu, VcpuError};
use zerocopy::IntoBytes;

/// A running guest.
#[expect(missing_debug_implementations, reason = "nobody prints a guest")]
pub struct Session<'i> {
    /// The VM it runs in. A guest that migrates gets another: its devices, and an interrupt that waits, stay.
    pub vcpu: Box<dyn Vcpu>,
    image: &'i Image,
    devices: Devices,
    /// An external interrupt that waits until the guest can take it: an interrupt controller's line.
    interrupt: Option<u8>,
    /// What comes when the guest waits in HLT.
    at_halt: Option<AtHalt>,
}

/// What the host does, once, when the guest waits in HLT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHalt {
    /// It injects an NMI.
    Nmi,
    /// It raises an external interrupt of this vector.
    Interrupt(u8),
}

/// Why the guest does not run at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The doorbell rang; the OUT is not completed yet.
    Doorbell(Doorbell),
    /// A read of [`port::INPUT`] was answered; the IN or INS is not completed yet.
    Input,
    /// A write to [`port::OUTPUT`] was taken; the OUT or OUTS is not completed yet.
    Output,
    /// The image ended itself with this byte.
    Ended(u8),
    /// Anything that is not I/O.
    Exit(Exit),
}

impl<'i> Session<'i> {
    /// A session on a VM that holds `image`.
    pub fn new(vcpu: Box<dyn Vcpu>, image: &'i Image) -> Self {
        Self { vcpu, image, devices: Devices::default(), interrupt: None, at_halt: None }
    }

    /// The image that runs.
    pub fn image(&self) -> &'i Image {
        self.image
    }

    /// Runs until something happens that the devices do not settle among themselves. Fails when KVM_RUN fails
    /// in a way that is no exit.
    pub fn advance(&mut self) -> Result<Stopped, VcpuError> {
        self.advance_in(RunMode::Normal)
    }

    /// As [`advance`](Self::advance), with KVM_RUN entered in `mode` each time. Whatever the guest does, this
    /// ends with the vCPU's deadline: each KVM_RUN looks at it. Fails as [`advance`](Self::advance).
    pub fn advance_in(&mut self, mode: RunMode) -> Result<Stopped, VcpuError> {
        loop {
            self.vcpu.request_interrupt_window(self.interrupt.is_some());
            let exit = self.vcpu.run(mode)?;
            if exit == Exit::InterruptWindow
                && let Some(vector) = self.interrupt.take()
            {
                self.vcpu.interrupt(vector)?;
                continue;
            }
            if exit == Exit::Halt
                && let Some(at_halt) = self.at_halt.take()
            {
                match at_halt {
                    AtHalt::Nmi => self.vcpu.nmi()?,
                    AtHalt::Interrupt(vector) => self.raise_interrupt(vector),
                }
                continue;
            }
            match self.devices.serve(&exit) {
                Some(DeviceAccess::Doorbell(doorbell)) => return Ok(Stopped::Doorbell(doorbell)),
                Some(DeviceAccess::Ended(byte)) => return Ok(Stopped::Ended(byte)),
                Some(DeviceAccess::Served(items)) => {
                    if let Exit::IoIn { .. } = exit {
                        self.vcpu.set_io_data(&items)?;
                    }
                    match exit {
                        Exit::IoIn { port: port::INPUT, .. } => return Ok(Stopped::Input),
                        Exit::IoOut { port: port::OUTPUT, .. } => return Ok(Stopped::Output),
                        _ => {}
                    }
                }
                None => return Ok(Stopped::Exit(exit)),
            }
        }
    }

    /// As [`advance`](Self::advance), past any number of [`Stopped::Input`] and [`Stopped::Output`]. Fails as
    /// [`advance`](Self::advance).
    pub fn advance_past_io(&mut self) -> Result<Stopped, VcpuError> {
        loop {
            match self.advance()? {
                Stopped::Input | Stopped::Output => {}
                other => return Ok(other),
            }
        }
    }

    /// When the guest next waits in HLT, this ends it.
    pub fn end_halt(&mut self, by: AtHalt) {
        self.at_halt = Some(by);
    }

    /// From now on an external interrupt waits, and the guest gets it as soon as it can take it.
    pub fn raise_interrupt(&mut self, vector: u8) {
        self.interrupt = Some(vector);
    }

    /// Completes the I/O exit that the guest is stopped at, without entering it. Fails when KVM_RUN fails in
    /// a way that is no exit.
    pub fn complete_io(&mut self) -> Result<Exit, VcpuError> {
        self.vcpu.run(RunMode::ImmediateExit)
    }

    /// The mailbox as it is now. Fails when it cannot be read.
    pub fn mailbox(&self) -> Result<Box<Mailbox>, VcpuError> {
        let mut mailbox = Box::new(Mailbox::EMPTY);
        self.vcpu.read_memory(self.image.mailbox, mailbox.as_mut().as_mut_bytes())?;
        Ok(mailbox)
    }

    /// How often a handler was entered since `Armed`. Fails when the mailbox cannot be read.
    pub fn entries(&self) -> Result<u32, VcpuError> {
        let mut bytes = [0; 4];
        self.vcpu.read_memory(self.image.mailbox + offset_of!(Mailbox, entries) as u64, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes the index of the next case for the guest, and for the judge that nothing was rewritten yet.
    /// Fails when the mailbox cannot be written.
    pub fn choose_case(&mut self, index: u16) -> Result<(), VcpuError> {
        self.note_disturbances(&[])?;
        let at = self.image.mailbox + offset_of!(Mailbox, case) as u64;
        self.vcpu.write_memory(at, &u32::from(index).to_le_bytes())
    }

    /// Writes for the judge which registers were rewritten while the delivery was stopped. Fails when the
    /// mailbox cannot be written.
    pub fn note_disturbances(&mut self, disturbances: &[Disturbance]) -> Result<(), VcpuError> {
        let list = self.image.mailbox + offset_of!(Mailbox, disturbances) as u64;
        self.vcpu.write_memory(list, disturbances.as_bytes())?;
        let count = self.image.mailbox + offset_of!(Mailbox, disturbance_count) as u64;
        self.vcpu.write_memory(count, &(disturbances.len() as u32).to_le_bytes())
    }

    /// What the guest has written on the serial line.
    pub fn serial_text(&self) -> String {
        self.devices.serial_text()
    }

    /// What the devices hold, and the interrupt that waits.
    pub fn devices_state(&self) -> DevicesState {
        self.devices.state(self.interrupt)
    }

    /// A session that continues where another one was stopped.
    /// Fails with a sentence when the devices cannot hold `devices`.
    pub fn resumed(vcpu: Box<dyn Vcpu>, image: &'i Image, devices: &DevicesState) -> Result<Self, String> {
        Ok(Self {
            vcpu,
            image,
            devices: Devices::from_state(devices)?,
            interrupt: devices.interrupt,
            at_halt: None,
        })
    }
}
