//! KVM's event queue as `kvm_vcpu_events` shows it, for people.

use fred::event::vector;
use kvm_bindings::{KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_vcpu_events};

/// The queue as the uAPI shows it.
pub fn queue(events: &kvm_vcpu_events) -> String {
    let mut shown = Vec::new();
    if events.exception.injected != 0 || events.exception.pending != 0 {
        shown.push(exception(events));
    }
    if events.interrupt.injected != 0 {
        shown.push(format!("interrupt {:#x} injected", events.interrupt.nr));
    }
    if events.nmi.injected != 0 || events.nmi.pending != 0 {
        shown.push(format!("NMI injected={} pending={}", events.nmi.injected, events.nmi.pending));
    }
    if shown.is_empty() {
        shown.push("nothing shown".to_owned());
    }
    if let Some(shadow) = shadow(events.interrupt.shadow) {
        shown.push(format!("in the interrupt shadow of {shadow}"));
    }
    if events.nmi.masked != 0 {
        shown.push("NMIs blocked".to_owned());
    }
    shown.join(", ")
}

fn exception(events: &kvm_vcpu_events) -> String {
    let exception = &events.exception;
    let error_code = match exception.has_error_code {
        0 => String::new(),
        _ => format!(" error_code={:#x}", exception.error_code),
    };
    let payload = match events.exception_has_payload {
        0 => " no payload".to_owned(),
        _ => format!(" payload={:#x}", events.exception_payload),
    };
    let name = vector::name(exception.nr).unwrap_or("vector");
    let (pending, injected) = (exception.pending, exception.injected);
    format!("{name} ({}) pending={pending} injected={injected}{error_code}{payload}", exception.nr)
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
        assert_eq!(queue(&events), "nothing shown");
        events.exception.nr = 14;
        events.exception.injected = 1;
        events.exception.has_error_code = 1;
        events.exception.error_code = 2;
        assert_eq!(queue(&events), "#PF (14) pending=0 injected=1 error_code=0x2 no payload");
        events.exception_has_payload = 1;
        events.exception_payload = 0x1000;
        assert!(queue(&events).ends_with("payload=0x1000"));
    }

    #[test]
    fn what_keeps_interrupts_and_nmis_out_is_shown() {
        let mut events = kvm_vcpu_events::default();
        for (bits, words) in [(1, "MOV SS"), (2, "STI"), (3, "STI or MOV SS")] {
            events.interrupt.shadow = bits;
            let expected = format!("nothing shown, in the interrupt shadow of {words}");
            assert_eq!(queue(&events), expected);
        }
        events.nmi.masked = 1;
        assert!(queue(&events).ends_with("STI or MOV SS, NMIs blocked"));
        (events.interrupt.shadow, events.nmi.injected) = (0, 1);
        assert_eq!(queue(&events), "NMI injected=1 pending=0, NMIs blocked");
    }
}
