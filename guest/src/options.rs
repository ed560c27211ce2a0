//! The command line.

/// How events are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Through the FRED entry points.
    Fred,
    /// Through the IDT.
    Idt,
}

impl DeliveryMode {
    /// The name on command lines and in FRAME lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fred => "fred",
            Self::Idt => "idt",
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// `delivery=fred|idt`; `None`: FRED if CPUID has it.
    pub delivery: Option<DeliveryMode>,
    /// `case=NAME`; `None`: every case.
    pub case: Option<&'a str>,
    /// `frames=1`: print each captured frame.
    pub frames: bool,
    /// `next=0xADDRESS`: where the image goes when it ends, in place of ending the machine. A program that runs one
    /// image after another is there, within the first 2 MiB.
    pub next: Option<u32>,
}

/// A word of the command line that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError<'a> {
    /// `delivery=` with neither `fred` nor `idt`.
    Delivery(&'a str),
    /// `frames=` with neither `0` nor `1`.
    Frames(&'a str),
    /// `next=` with no address, or one that is not mapped.
    Next(&'a str),
}

impl core::fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (option, value, choices) = match self {
            Self::Delivery(value) => ("delivery", value, "fred or idt"),
            Self::Frames(value) => ("frames", value, "0 or 1"),
            Self::Next(value) => ("next", value, "0x and an address below 0x200000 in hexadecimal"),
        };
        for part in [option, "=", value, " is unknown; use ", choices] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// Reads a command line.
///
/// Words that are none of the options are passed over: boot loaders put the image's path first
/// and QEMU's microvm adds its devices.
///
/// # Errors
/// When an option has a value it cannot have.
pub fn parse(line: &str) -> Result<Options<'_>, OptionError<'_>> {
    let mut options = Options::default();
    for word in line.split_ascii_whitespace() {
        let Some((option, value)) = word.split_once('=') else { continue };
        match (option, value) {
            ("delivery", "fred") => options.delivery = Some(DeliveryMode::Fred),
            ("delivery", "idt") => options.delivery = Some(DeliveryMode::Idt),
            ("delivery", _) => return Err(OptionError::Delivery(value)),
            ("case", _) => options.case = Some(value),
            ("frames", "0" | "1") => options.frames = value == "1",
            ("frames", _) => return Err(OptionError::Frames(value)),
            ("next", _) => options.next = Some(address(value).ok_or(OptionError::Next(value))?),
            _ => {}
        }
    }
    Ok(options)
}

/// An address in the first 2 MiB, `0x` and hexadecimal digits.
fn address(text: &str) -> Option<u32> {
    let value = u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    (value < 0x20_0000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_among_foreign_words() {
        let line = "/boot/pf delivery=idt  virtio_mmio.device=512@0xfeb00000:5 case=fetch-nx frames=1 quiet";
        assert_eq!(
            parse(line),
            Ok(Options {
                delivery: Some(DeliveryMode::Idt),
                case: Some("fetch-nx"),
                frames: true,
                next: None
            })
        );
        assert_eq!(parse(""), Ok(Options { delivery: None, case: None, frames: false, next: None }));
        assert_eq!(parse("next=0x180000").map(|o| o.next), Ok(Some(0x18_0000)));
        assert_eq!(parse("delivery=fred frames=0").map(|o| o.delivery), Ok(Some(DeliveryMode::Fred)));
    }

    #[test]
    fn wrong_values_are_sentences() {
        assert_eq!(parse("delivery=lidt"), Err(OptionError::Delivery("lidt")));
        assert_eq!(
            std::format!("{}", OptionError::Delivery("lidt")),
            "delivery=lidt is unknown; use fred or idt"
        );
        assert_eq!(parse("frames=yes"), Err(OptionError::Frames("yes")));
        for wrong in ["", "180000", "0x", "0x200000", "0x100000000", "0x18z"] {
            let line = std::format!("next={wrong}");
            assert_eq!(parse(&line), Err(OptionError::Next(wrong)));
        }
    }
}
