//! The event that a saved guest has in flight, as QEMU saves it.

use super::saved::{Saved, SavedError};
use ::vm::explain::{QueuedException, ShownQueue};

/// An event in flight: `env` of `CPUX86State`, target/i386/cpu.h of QEMU. `Default` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// The vector of an exception: injected, or pending where QEMU saves that it is.
    pub exception: Option<u8>,
    /// Whether that exception is saved as pending.
    pub pending: bool,
    /// Its error code, if it has one; 0 where QEMU does not save it.
    pub error_code: Option<u32>,
    /// The vector of an interrupt.
    pub interrupt: Option<u8>,
    /// Whether that is one of INT n.
    pub soft: bool,
    /// An NMI whose delivery has begun.
    pub nmi_injected: bool,
    /// An NMI that waits: in KVM, or in QEMU, which has not given it to its accelerator yet.
    pub nmi_pending: bool,
    /// An SMI that waits.
    pub smi_pending: bool,
    /// A triple fault that KVM has met and QEMU has not been told of.
    pub triple_fault: bool,
    /// Whether NMIs are blocked.
    pub nmis_blocked: bool,
    /// Whether the processor is in system-management mode.
    pub smm: bool,
    /// Whether interrupts are held back for an instruction, by STI or MOV SS: QEMU does not tell the two apart.
    pub shadow: bool,
}

/// `CPU_INTERRUPT_SMI` of target/i386/cpu.h.
const CPU_INTERRUPT_SMI: u64 = 0x40;
/// `CPU_INTERRUPT_NMI` there.
const CPU_INTERRUPT_NMI: u64 = 0x200;
/// `HF_INHIBIT_IRQ_MASK` of `env.hflags`.
const HF_INHIBIT_IRQ: u64 = 1 << 3;
/// `HF_SMM_MASK` there.
const HF_SMM: u64 = 1 << 19;
/// `HF2_NMI_MASK` of `env.hflags2`.
const HF2_NMI: u64 = 1 << 2;

impl InFlight {
    /// What is in flight in `saved`. Fails where this QEMU does not say.
    pub fn of(saved: &Saved) -> Result<Self, SavedError> {
        let field = |name: &'static str| saved.get(name, 0).ok_or(SavedError::NoField(name));
        // Fields that QEMU saves only where they are not 0, or that this version does not know.
        let option = |name: &str| saved.get(name, 0).unwrap_or(0);
        let has_error_code = field("env.has_error_code")? != 0;
        let exception = vector(field("env.exception_nr")?);
        let request = field("interrupt_request")?;
        Ok(Self {
            exception,
            pending: option("env.exception_pending") != 0,
            error_code: (exception.is_some() && has_error_code).then(|| option(ERROR_CODE) as u32),
            interrupt: vector(field("env.interrupt_injected")?),
            soft: field("env.soft_interrupt")? != 0,
            nmi_injected: field("env.nmi_injected")? != 0,
            nmi_pending: field("env.nmi_pending")? != 0 || request & CPU_INTERRUPT_NMI != 0,
            smi_pending: request & CPU_INTERRUPT_SMI != 0,
            triple_fault: option("env.triple_fault_pending") != 0,
            nmis_blocked: option("env.hflags2") & HF2_NMI != 0,
            smm: option("env.hflags") & HF_SMM != 0,
            shadow: option("env.hflags") & HF_INHIBIT_IRQ != 0,
        })
    }

    /// Whether there is any event: what holds others back is none.
    pub fn is_any(&self) -> bool {
        Self { nmis_blocked: false, smm: false, shadow: false, ..*self } != Self::default()
    }

    /// Puts an exception into `saved` as injected. Fails where this QEMU has no field for it.
    pub fn put_exception(saved: &mut Saved, vector: u8, error_code: Option<u32>) -> Result<(), SavedError> {
        saved.set("env.exception_nr", 0, vector.into())?;
        saved.set("env.has_error_code", 0, error_code.is_some().into())?;
        match error_code {
            Some(code) if saves_error_code(saved) => saved.set(ERROR_CODE, 0, code.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Puts an NMI into `saved` that waits. Fails where this QEMU has no field for it.
    pub fn put_nmi(saved: &mut Saved) -> Result<(), SavedError> {
        saved.set("env.nmi_pending", 0, 1)
    }

    /// As the uAPI shows a queue.
    pub fn queue(&self) -> ShownQueue {
        ShownQueue {
            exception: self.exception.map(|vector| QueuedException {
                vector,
                pending: self.pending.into(),
                injected: (!self.pending).into(),
                error_code: self.error_code,
                payload: None,
            }),
            interrupt: self.interrupt,
            nmi_injected: self.nmi_injected.into(),
            nmi_pending: self.nmi_pending.into(),
            nmis_blocked: self.nmis_blocked,
            shadow: self.shadow.into(),
        }
    }
}

const ERROR_CODE: &str = "env.error_code";

/// Whether an exception's error code is in a stream.
pub fn saves_error_code(saved: &Saved) -> bool {
    saved.get(ERROR_CODE, 0).is_some()
}

/// -1 is none.
fn vector(number: u64) -> Option<u8> {
    u8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::stream;
    use super::*;

    #[test]
    fn what_is_in_flight_is_found() {
        let of = |exception, error, request| {
            InFlight::of(&Saved::read(stream(exception, error, request)).unwrap()).unwrap()
        };
        assert_eq!(of(-1, 1, 0), InFlight::default());
        let fault = InFlight { exception: Some(14), error_code: Some(0), ..InFlight::default() };
        assert_eq!(of(14, 1, 0), fault);
        assert_eq!(fault.queue().exception.map(|one| (one.vector, one.injected)), Some((14, 1)));
        assert_eq!(of(-1, 0, 0x200), InFlight { nmi_pending: true, ..InFlight::default() });
        assert_eq!(of(-1, 0, 0x40), InFlight { smi_pending: true, ..InFlight::default() });
        assert_eq!(of(-1, 0, 0x2), InFlight::default());
    }

    #[test]
    fn an_exception_is_put() {
        let mut saved = Saved::read(stream(-1, 0, 0)).unwrap();
        InFlight::put_exception(&mut saved, 13, Some(0x40)).unwrap();
        let found = InFlight::of(&saved).unwrap();
        assert_eq!((found.exception, found.error_code), (Some(13), Some(0)), "it has no place for the code");
        assert!(!saves_error_code(&saved));
        InFlight::put_nmi(&mut saved).unwrap();
        assert_eq!(InFlight::of(&saved).unwrap(), InFlight { nmi_pending: true, ..found });
    }
}
