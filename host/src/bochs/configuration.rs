//! The file with Bochs' options: its manual's chapter "The configuration file bochsrc".

use super::memory::{HEADS, TRACK};
use std::fmt;

/// How options differ between builds of Bochs. Which of them one takes is found by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The display that shows nothing to nobody.
    pub display: Display,
    /// Whether sound must be sent nowhere. A Bochs that was built without sound refuses the option, and one with
    /// it may crash where there is no sound card.
    pub sound: bool,
}

/// A display that needs no screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// None at all.
    NoGui,
    /// VNC, for which nobody is waited.
    Rfb,
}

impl Dialect {
    /// All of them, the best one first.
    pub const ALL: [Self; 4] = [
        Self { display: Display::NoGui, sound: false },
        Self { display: Display::NoGui, sound: true },
        Self { display: Display::Rfb, sound: true },
        Self { display: Display::Rfb, sound: false },
    ];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.display {
            Display::NoGui => "display_library: nogui\n",
            Display::Rfb => "display_library: rfb, options=\"timeout=0\"\n",
        })?;
        f.write_str(if self.sound {
            "sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy\n"
        } else {
            ""
        })
    }
}

/// A PC, as Bochs is told to be one. What the guest prints on port 0xE9 is on Bochs' standard output; a triple
/// fault resets the processor, and the firmware says so.
#[derive(Clone, Copy, Debug)]
pub struct Configuration<'a> {
    /// How this Bochs wants it said.
    pub dialect: Dialect,
    /// The CPU model.
    pub cpu: &'a str,
    /// Instructions a second: how fast its clocks run, not how fast it is.
    pub ips: u32,
    /// Memory in MiB.
    pub megabytes: u32,
    /// The files of the firmware and of an empty VGA BIOS.
    pub roms: [&'a str; 2],
    /// The file of the disk.
    pub disk: &'a str,
    /// Its size.
    pub cylinders: usize,
    /// Further lines.
    pub more: &'a str,
}

impl fmt::Display for Configuration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dialect, cpu, ips, megabytes, roms: [firmware, vga], disk, cylinders, more } = self;
        write!(
            f,
            "config_interface: textconfig\n\
             {dialect}\
             romimage: file={firmware}\n\
             vgaromimage: file={vga}\n\
             megs: {megabytes}\n\
             cpu: model={cpu}, ips={ips}, reset_on_triple_fault=1, ignore_bad_msrs=1\n\
             clock: sync=none\n\
             ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
             ata0-master: type=disk, path={disk}, mode=flat, cylinders={cylinders}, heads={HEADS}, spt={TRACK}\n\
             boot: disk\n\
             parport1: enabled=0\n\
             port_e9_hack: enabled=1\n\
             speaker: enabled=0\n\
             log: /dev/stderr\n\
             panic: action=fatal\n\
             error: action=report\n\
             info: action=ignore\n\
             debug: action=ignore\n\
             {more}"
        )
    }
}
