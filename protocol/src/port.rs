//! I/O ports that guest and host agree on.

/// The doorbell: 32-bit writes of [`crate::doorbell::Doorbell`] values.
///
/// Nothing answers there on a PC, on QEMU's machines or in KVM, so an image that runs alone may
/// ring it too.
pub const DOORBELL: u16 = 0x6D66;
/// A port that a case may read with IN or INS: the host answers with [`INPUT_BYTE`]s.
///
/// Nothing answers there on a PC, where it reads as all ones.
pub const INPUT: u16 = 0x6D70;
/// A port that a case may write with OUT or OUTS: the host takes anything.
///
/// Nothing answers there on a PC.
pub const OUTPUT: u16 = 0x6D74;
/// Written between the last handler and the judge: at this exit a hypervisor that still holds an event
/// delivers it a second time, before the entries are counted.
pub const SETTLE: u16 = 0x6D6A;
/// What every byte read from [`INPUT`] is on a machine of ours.
pub const INPUT_BYTE: u8 = 0xA5;
/// QEMU's isa-debug-exit, `iobase=0xf4,iosize=0x04`: see [`crate::exit`].
pub const EXIT: u16 = 0xF4;
/// Where Bochs and old QEMUs expect the bytes `Shutdown`.
pub const SHUTDOWN: u16 = 0x8900;
/// The debug console of Bochs and QEMU, which reads as its own number where it exists.
pub const DEBUG_CONSOLE: u16 = 0xE9;
/// COM1.
pub const COM1: u16 = 0x3F8;
