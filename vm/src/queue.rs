//! KVM's event queue as `kvm_vcpu_events` shows it, for people.

use fred::event::vector;
use kvm_bindings::kvm_vcpu_events;
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
        if shown { Ok(()) } else { f.write_str("nothing shown") }
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
}
