//! Event types (SDM vol. 3, "FRED event types") and vectors.

use core::fmt;

/// The event type, bits 51:48 of the frame's SS slot and bits 10:8 of VMX interruption information.
///
/// 1 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventType {
    /// External interrupt.
    ExternalInterrupt = 0,
    /// Non-maskable interrupt.
    Nmi = 2,
    /// Hardware exception, #DB other than INT1 included.
    HardwareException = 3,
    /// `INT n`, `CD 03` and `CD 04` included.
    SoftwareInterrupt = 4,
    /// `INT1` (F1).
    PrivilegedSoftwareException = 5,
    /// `INT3` (CC) and `INTO` (CE).
    SoftwareException = 6,
    /// SYSCALL (vector 1) and SYSENTER (vector 2).
    Other = 7,
}

/// A number that is no event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an event type: the manual defines 0 and 2..=7")]
pub struct InvalidEventType(pub u8);

impl EventType {
    /// Whether the event is one that an instruction asks for, and which therefore has an
    /// instruction length: types 4 to 7.
    pub const fn has_instruction_length(self) -> bool {
        self as u8 >= EventType::SoftwareInterrupt as u8
    }

    /// Whether the event is an exception: types 3, 5 and 6. The others are interrupts and system calls.
    pub const fn is_exception(self) -> bool {
        match self {
            Self::HardwareException | Self::PrivilegedSoftwareException | Self::SoftwareException => true,
            Self::ExternalInterrupt | Self::Nmi | Self::SoftwareInterrupt | Self::Other => false,
        }
    }

    /// The event type of an exception of which only the vector is known: INT3 and INTO raise #BP and #OF.
    /// INT1's #DB has type 5, which its vector does not say.
    pub const fn of_exception(vector: u8) -> Self {
        match vector {
            vector::BP | vector::OF => Self::SoftwareException,
            _ => Self::HardwareException,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExternalInterrupt => "external interrupt",
            Self::Nmi => "NMI",
            Self::HardwareException => "hardware exception",
            Self::SoftwareInterrupt => "software interrupt",
            Self::PrivilegedSoftwareException => "privileged software exception",
            Self::SoftwareException => "software exception",
            Self::Other => "other event",
        })
    }
}

impl TryFrom<u8> for EventType {
    type Error = InvalidEventType;

    fn try_from(number: u8) -> Result<Self, InvalidEventType> {
        Ok(match number {
            0 => Self::ExternalInterrupt,
            2 => Self::Nmi,
            3 => Self::HardwareException,
            4 => Self::SoftwareInterrupt,
            5 => Self::PrivilegedSoftwareException,
            6 => Self::SoftwareException,
            7 => Self::Other,
            other => return Err(InvalidEventType(other)),
        })
    }
}

/// What follows when an exception is met while another is delivered (SDM vol. 3, table "Interrupt and Exception
/// Classes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No #DF: the second exception is delivered.
    Benign,
    /// #DF when the second one is contributory too.
    Contributory,
    /// #PF and #VE: #DF when the second one is contributory or of this class.
    PageFault,
    /// #DF: shutdown when the second one is contributory, of class page fault, or #DF.
    DoubleFault,
}

/// Vectors of exceptions and NMI, and what depends on the vector alone.
pub mod vector {
    use super::Class;

    /// #DE, divide error.
    pub const DE: u8 = 0;
    /// #DB, debug.
    pub const DB: u8 = 1;
    /// NMI.
    pub const NMI: u8 = 2;
    /// #BP, breakpoint.
    pub const BP: u8 = 3;
    /// #OF, overflow.
    pub const OF: u8 = 4;
    /// #BR, bound range exceeded.
    pub const BR: u8 = 5;
    /// #UD, invalid opcode.
    pub const UD: u8 = 6;
    /// #NM, device not available.
    pub const NM: u8 = 7;
    /// #DF, double fault.
    pub const DF: u8 = 8;
    /// #TS, invalid TSS.
    pub const TS: u8 = 10;
    /// #NP, segment not present.
    pub const NP: u8 = 11;
    /// #SS, stack fault.
    pub const SS: u8 = 12;
    /// #GP, general protection.
    pub const GP: u8 = 13;
    /// #PF, page fault.
    pub const PF: u8 = 14;
    /// #MF, x87 floating-point error.
    pub const MF: u8 = 16;
    /// #AC, alignment check.
    pub const AC: u8 = 17;
    /// #MC, machine check.
    pub const MC: u8 = 18;
    /// #XM, SIMD floating-point error.
    pub const XM: u8 = 19;
    /// #VE, virtualization exception.
    pub const VE: u8 = 20;
    /// #CP, control protection.
    pub const CP: u8 = 21;

    /// Whether the exception pushes an error code (SDM vol. 3, table 6-1).
    pub const fn has_error_code(vector: u8) -> bool {
        matches!(vector, DF | TS | NP | SS | GP | PF | AC | CP)
    }

    /// Whether the exception has event data (SDM vol. 3 ch. 8, "FRED event data"); the frame holds 0 for
    /// the others. An NMI has some where the processor reports NMI sources.
    pub const fn has_event_data(vector: u8) -> bool {
        matches!(vector, PF | DB | NM)
    }

    /// Whether the exception is a fault and sets RF in the RFLAGS it saves (SDM vol. 3, table 6-1): #BP and
    /// #OF are traps, #DF and #MC aborts, and no #DB sets RF.
    pub const fn sets_rf(vector: u8) -> bool {
        !matches!(vector, DB | NMI | BP | OF | DF | MC)
    }

    /// The class of the hardware exception.
    pub const fn class(vector: u8) -> Class {
        match vector {
            DE | TS | NP | SS | GP | CP => Class::Contributory,
            PF | VE => Class::PageFault,
            DF => Class::DoubleFault,
            _ => Class::Benign,
        }
    }

    /// The mnemonic of an exception's vector, `NMI` for 2, `None` above the defined ones.
    pub const fn name(vector: u8) -> Option<&'static str> {
        Some(match vector {
            DE => "#DE",
            DB => "#DB",
            NMI => "NMI",
            BP => "#BP",
            OF => "#OF",
            BR => "#BR",
            UD => "#UD",
            NM => "#NM",
            DF => "#DF",
            TS => "#TS",
            NP => "#NP",
            SS => "#SS",
            GP => "#GP",
            PF => "#PF",
            MF => "#MF",
            AC => "#AC",
            MC => "#MC",
            XM => "#XM",
            VE => "#VE",
            CP => "#CP",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn types_have_the_manuals_numbers() {
        assert_eq!(EventType::try_from(3), Ok(EventType::HardwareException));
        assert_eq!(EventType::try_from(7), Ok(EventType::Other));
        assert_eq!(EventType::try_from(1), Err(InvalidEventType(1)));
        assert_eq!(EventType::try_from(8), Err(InvalidEventType(8)));
        assert_eq!(EventType::PrivilegedSoftwareException as u8, 5);
    }

    #[test]
    fn software_events_have_a_length() {
        assert!(!EventType::HardwareException.has_instruction_length());
        assert!(EventType::SoftwareInterrupt.has_instruction_length());
    }

    #[test]
    fn exceptions_are_types_3_5_and_6() {
        let types = (0..=7).filter_map(|number| EventType::try_from(number).ok());
        let exceptions: Vec<u8> = types.filter(|one| one.is_exception()).map(|one| one as u8).collect();
        assert_eq!(exceptions, [3, 5, 6]);
        let software: Vec<u8> = (0..32).filter(|v| EventType::of_exception(*v) as u8 == 6).collect();
        assert_eq!(software, [3, 4]);
        assert_eq!(EventType::of_exception(14) as u8, 3);
    }

    #[test]
    fn what_a_vector_decides_is_the_manuals() {
        let which = |holds: fn(u8) -> bool| (0..32).filter(|v| holds(*v)).collect::<Vec<u8>>();
        assert_eq!(which(vector::has_error_code), [8, 10, 11, 12, 13, 14, 17, 21]);
        assert_eq!(which(vector::has_event_data), [1, 7, 14]);
        assert_eq!(which(|v| !vector::sets_rf(v)), [1, 2, 3, 4, 8, 18]);
        assert_eq!(which(|v| vector::class(v) == Class::Contributory), [0, 10, 11, 12, 13, 21]);
        assert_eq!(which(|v| vector::class(v) == Class::PageFault), [14, 20]);
        assert_eq!(which(|v| vector::class(v) == Class::DoubleFault), [8]);
    }
}
