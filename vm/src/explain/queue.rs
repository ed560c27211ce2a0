//! KVM's event queue as `kvm_vcpu_events` shows it, for people.

use fred::event::vector;
use kvm_bindings::{KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_vcpu_events};
use std::fmt;

/// The queue as the uAPI shows it, for people.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a>(pub &'a kvm_vcpu_events);

impl fmt::Display for Queue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.0;
        let exception = &events.exception;
        let mut shown = false;
        if exception.injected != 0 || exception.pending != 0 {
            let name = vector::name(exception.nr).unwrap_or("vector");
            write!(f, "{name} ({})", exception.nr)?;
            write!(f, " pending={} injected={}", exception.pending, exception.injected)?;
            if exception.has_error_code != 0 {
                write!(f, " error_code={:#x}", exception.error_code)?;
            }
            match events.exception_has_payload {
                0 => f.write_str(" no payload")?,
                _ => write!(f, " payload={:#x}", events.exception_payload)?,
            }
            shown = true;
        }
        if events.interrupt.injected != 0 {
            write!(f, "{}interrupt {:#x} injected", if shown { ", " } else { "" }, events.interrupt.nr)?;
            shown = true;
        }
        if events.nmi.injected != 0 || events.nmi.pending != 0 {
            let separator = if shown { ", " } else { "" };
            write!(f, "{separator}NMI injected={} pending={}", events.nmi.injected, events.nmi.pending)?;
            shown = true;
        }
        if !shown {
            f.write_str("nothing shown")?;
        }
        if let Some(shadow) = shadow(events.interrupt.shadow) {
            write!(f, ", in the interrupt shadow of {shadow}")?;
        }
        if events.nmi.masked != 0 {
            f.write_str(", NMIs blocked")?;
        }
        Ok(())
    }
}

/// `interrupt.shadow` in words: SVM has one bit for both and shows it as both.
fn shadow(bits: u8) -> Option<&'static str> {
    let has = |bit: u32| u32::from(bits) & bit != 0;
    match (has(KVM_X86_SHADOW_INT_STI), has(KVM_X86_SHADOW_INT_MOV_SS)) {
        (true, true) => Some("STI or MOV SS"),
        (true, false) => Some("STI"),
        (false, true) => Some("MOV SS"),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_prints_what_it_holds() {
        let mut events = kvm_vcpu_events::default();
        assert_eq!(Queue(&events).to_string(), "nothing shown");
        events.exception.nr = 14;
        events.exception.injected = 1;
        events.exception.has_error_code = 1;
        events.exception.error_code = 2;
        assert_eq!(Queue(&events).to_string(), "#PF (14) pending=0 injected=1 error_code=0x2 no payload");
        events.exception_has_payload = 1;
        events.exception_payload = 0x1000;
        assert!(Queue(&events).to_string().ends_with("payload=0x1000"));
    }

    #[test]
    fn what_keeps_interrupts_and_nmis_out_is_shown() {
        let mut events = kvm_vcpu_events::default();
        for (bits, words) in [(1, "MOV SS"), (2, "STI"), (3, "STI or MOV SS")] {
            events.interrupt.shadow = bits;
            let expected = format!("nothing shown, in the interrupt shadow of {words}");
            assert_eq!(Queue(&events).to_string(), expected);
        }
        events.nmi.masked = 1;
        assert!(Queue(&events).to_string().ends_with("STI or MOV SS, NMIs blocked"));
        (events.interrupt.shadow, events.nmi.injected) = (0, 1);
        assert_eq!(Queue(&events).to_string(), "NMI injected=1 pending=0, NMIs blocked");
    }
}
