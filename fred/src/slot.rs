//! The augmented CS and SS slots of the frame: the event information.

use crate::event::{EventType, InvalidEventType};
use core::fmt;

/// The quadword at offset 0x10: CS selector and, above it, the state that ERETS and ERETU restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct CsSlot(pub u64);

impl CsSlot {
    /// Bits that the manual defines; the others are 0.
    pub const DEFINED: u64 = 0x0007_FFFF;
    /// Bit 18: IBT was waiting for ENDBRANCH.
    pub const WFE: u64 = 1 << 18;

    /// A slot with the given selector and stack level (0..=3; higher bits are ignored).
    pub const fn new(selector: u16, stack_level: u8) -> Self {
        Self(selector as u64 | ((stack_level as u64 & 3) << 16))
    }

    /// The CS selector.
    pub const fn selector(self) -> u16 {
        self.0 as u16
    }

    /// The stack level when the event came, 0..=3.
    pub const fn stack_level(self) -> u8 {
        (self.0 >> 16) as u8 & 3
    }

    /// Whether IBT was waiting for ENDBRANCH.
    pub const fn wfe(self) -> bool {
        self.0 & Self::WFE != 0
    }
}

impl fmt::Display for CsSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} (selector {:#x}, SL {}", self.0, self.selector(), self.stack_level())?;
        if self.wfe() {
            f.write_str(", WFE")?;
        }
        reserved(f, self.0 & !Self::DEFINED)
    }
}

/// The quadword at offset 0x28: SS selector and, above it, what kind of event this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct SsSlot(pub u64);

impl SsSlot {
    /// Bits that the manual defines; the others are 0.
    pub const DEFINED: u64 = 0xF70F_00FF_0007_FFFF;
    /// Bit 16: blocking by STI was in effect.
    pub const STI: u64 = 1 << 16;
    /// Bit 17: SYSCALL, SYSENTER or INT n.
    pub const SOFTWARE: u64 = 1 << 17;
    /// Bit 18: the event is an NMI.
    pub const NMI: u64 = 1 << 18;
    /// Bit 56: the event came inside an enclave.
    pub const ENCLAVE: u64 = 1 << 56;
    /// Bit 57: the interrupted code was 64-bit (CS.L = 1).
    pub const LONG_MODE: u64 = 1 << 57;
    /// Bit 58: an exception met while another event was delivered.
    pub const NESTED: u64 = 1 << 58;

    const VECTOR_SHIFT: u32 = 32;
    const TYPE_SHIFT: u32 = 48;
    const LENGTH_SHIFT: u32 = 60;

    /// A slot with a selector, an event type and a vector; every other field 0.
    pub const fn new(selector: u16, event_type: EventType, vector: u8) -> Self {
        Self(
            selector as u64 | (vector as u64) << Self::VECTOR_SHIFT | (event_type as u64) << Self::TYPE_SHIFT,
        )
    }

    /// The slot with further flag bits (the associated constants) set.
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// The slot with an instruction length (0..=15 bytes; higher bits are ignored).
    pub const fn with_instruction_length(self, bytes: u8) -> Self {
        Self(self.0 & !(0xF << Self::LENGTH_SHIFT) | (bytes as u64 & 0xF) << Self::LENGTH_SHIFT)
    }

    /// The SS selector.
    pub const fn selector(self) -> u16 {
        self.0 as u16
    }

    /// The event's vector.
    pub const fn vector(self) -> u8 {
        (self.0 >> Self::VECTOR_SHIFT) as u8
    }

    /// The event's type.
    ///
    /// # Errors
    /// When the field holds a number that is no event type.
    pub fn event_type(self) -> Result<EventType, InvalidEventType> {
        EventType::try_from((self.0 >> Self::TYPE_SHIFT) as u8 & 0xF)
    }

    /// The length of the instruction that caused the event, in bytes; 0 for types 0, 2 and 3.
    pub const fn instruction_length(self) -> u8 {
        (self.0 >> Self::LENGTH_SHIFT) as u8
    }

    /// Whether all of `bits` are set.
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}

impl fmt::Display for SsSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} (selector {:#x}, vector {}, ", self.0, self.selector(), self.vector())?;
        match self.event_type() {
            Ok(event_type) => write!(f, "type {} {event_type}", event_type as u8)?,
            Err(InvalidEventType(number)) => write!(f, "type {number} invalid")?,
        }
        write!(f, ", length {}", self.instruction_length())?;
        for (bit, name) in [
            (Self::STI, "STI"),
            (Self::SOFTWARE, "software-initiated"),
            (Self::NMI, "NMI"),
            (Self::ENCLAVE, "enclave"),
            (Self::LONG_MODE, "64-bit mode"),
            (Self::NESTED, "nested"),
        ] {
            if self.has(bit) {
                write!(f, ", {name}")?;
            }
        }
        reserved(f, self.0 & !Self::DEFINED)
    }
}

fn reserved(f: &mut fmt::Formatter<'_>, bits: u64) -> fmt::Result {
    if bits != 0 {
        write!(f, ", reserved {bits:#x}")?;
    }
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::*;
    use EventType::{
        ExternalInterrupt, HardwareException, Nmi, Other, PrivilegedSoftwareException, SoftwareException,
        SoftwareInterrupt,
    };

    /// Slots seen on an independent implementation with ring-0 SS 0x10 and ring-3 SS 0x23. The
    /// values are literals: they judge this module's encoding.
    const GOLDEN: [(&str, SsSlot, u64); 12] = [
        ("#PF, ring 0", slot(0x10, HardwareException, 14), 0x0203_000E_0000_0010),
        ("#PF, ring 3", slot(0x23, HardwareException, 14), 0x0203_000E_0000_0023),
        (
            "#PF met while delivering #UD",
            slot(0x10, HardwareException, 14).with(SsSlot::NESTED),
            0x0603_000E_0000_0010,
        ),
        ("#DB", slot(0x10, HardwareException, 1), 0x0203_0001_0000_0010),
        ("#NM", slot(0x10, HardwareException, 7), 0x0203_0007_0000_0010),
        ("#DF", slot(0x10, HardwareException, 8), 0x0203_0008_0000_0010),
        ("INT3", slot(0x10, SoftwareException, 3).with_instruction_length(1), 0x1206_0003_0000_0010),
        (
            "INT1",
            slot(0x10, PrivilegedSoftwareException, 1).with_instruction_length(1),
            0x1205_0001_0000_0010,
        ),
        (
            "INT 0x80",
            slot(0x10, SoftwareInterrupt, 0x80).with(SsSlot::SOFTWARE).with_instruction_length(2),
            0x2204_0080_0002_0010,
        ),
        (
            "SYSCALL, ring 3",
            slot(0x23, Other, 1).with(SsSlot::SOFTWARE).with_instruction_length(2),
            0x2207_0001_0002_0023,
        ),
        ("NMI", slot(0x10, Nmi, 2).with(SsSlot::NMI), 0x0202_0002_0004_0010),
        ("interrupt 0x40", slot(0x10, ExternalInterrupt, 0x40), 0x0200_0040_0000_0010),
    ];

    const fn slot(selector: u16, event_type: EventType, vector: u8) -> SsSlot {
        SsSlot::new(selector, event_type, vector).with(SsSlot::LONG_MODE)
    }

    #[test]
    fn ss_slots_encode_to_the_golden_literals() {
        for (event, encoded, golden) in GOLDEN {
            assert_eq!(encoded.0, golden, "{event}");
        }
    }

    #[test]
    fn ss_slots_decode_from_the_golden_literals() {
        let int80 = SsSlot(0x2204_0080_0002_0010);
        assert_eq!(int80.selector(), 0x10);
        assert_eq!(int80.vector(), 0x80);
        assert_eq!(int80.event_type(), Ok(SoftwareInterrupt));
        assert_eq!(int80.instruction_length(), 2);
        assert!(int80.has(SsSlot::SOFTWARE | SsSlot::LONG_MODE) && !int80.has(SsSlot::NESTED));
        assert!(SsSlot(0x0603_000E_0000_0010).has(SsSlot::NESTED));
        assert_eq!(SsSlot(0x0001_0000_0000_0000).event_type(), Err(InvalidEventType(1)));
    }

    #[test]
    fn cs_slot_holds_selector_and_stack_level() {
        assert_eq!(CsSlot::new(0x08, 3).0, 0x0003_0008);
        assert_eq!(CsSlot(0x0006_0033).selector(), 0x33);
        assert_eq!(CsSlot(0x0006_0033).stack_level(), 2);
        assert!(CsSlot(0x0004_0000).wfe());
    }

    #[test]
    fn slots_are_written_in_words() {
        assert_eq!(
            std::format!("{}", SsSlot(0x0203_000E_0000_0010)),
            "0x0203000e00000010 (selector 0x10, vector 14, type 3 hardware exception, length 0, 64-bit mode)"
        );
        assert_eq!(
            std::format!("{}", SsSlot(0x0801_0000_0000_0000)),
            "0x0801000000000000 (selector 0x0, vector 0, type 1 invalid, length 0, reserved 0x800000000000000)"
        );
        assert_eq!(std::format!("{}", CsSlot(0x0001_0008)), "0x0000000000010008 (selector 0x8, SL 1)");
    }
}
