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
}

/// A word of the command line that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError<'a> {
    /// `delivery=` with neither `fred` nor `idt`.
    Delivery(&'a str),
    /// `frames=` with neither `0` nor `1`.
    Frames(&'a str),
}

impl core::fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (option, value, choices) = match self {
            Self::Delivery(value) => ("delivery", value, "fred or idt"),
            Self::Frames(value) => ("frames", value, "0 or 1"),
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
            _ => {}
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_among_foreign_words() {
        let line = "/boot/pf delivery=idt  virtio_mmio.device=512@0xfeb00000:5 case=fetch-nx frames=1 quiet";
        assert_eq!(
            parse(line),
            Ok(Options { delivery: Some(DeliveryMode::Idt), case: Some("fetch-nx"), frames: true })
        );
        assert_eq!(parse(""), Ok(Options { delivery: None, case: None, frames: false }));
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
    }
}
