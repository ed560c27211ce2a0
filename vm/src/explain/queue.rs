//! KVM's event queue as `kvm_vcpu_events` shows it.

use fred::event::vector;
use kvm_bindings::{KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_vcpu_events};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The part of the queue that the uAPI shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShownQueue {
    /// A pending or injected exception.
    pub exception: Option<QueuedException>,
    /// The vector of an injected interrupt.
    pub interrupt: Option<u8>,
    /// `nmi.injected`.
    pub nmi_injected: u8,
    /// `nmi.pending`.
    pub nmi_pending: u8,
    /// `interrupt.shadow`.
    pub shadow: u8,
    /// Whether NMIs are blocked.
    pub nmis_blocked: bool,
}

/// An exception in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedException {
    /// Its vector.
    pub vector: u8,
    /// `exception.pending`.
    pub pending: u8,
    /// `exception.injected`.
    pub injected: u8,
    /// Its error code.
    pub error_code: Option<u32>,
    /// Its payload.
    pub payload: Option<u64>,
}

impl From<&kvm_vcpu_events> for ShownQueue {
    fn from(events: &kvm_vcpu_events) -> Self {
        let exception = &events.exception;
        Self {
            exception: (exception.injected != 0 || exception.pending != 0).then_some(QueuedException {
                vector: exception.nr,
                pending: exception.pending,
                injected: exception.injected,
                error_code: (exception.has_error_code != 0).then_some(exception.error_code),
                payload: (events.exception_has_payload != 0).then_some(events.exception_payload),
            }),
            interrupt: (events.interrupt.injected != 0).then_some(events.interrupt.nr),
            nmi_injected: events.nmi.injected,
            nmi_pending: events.nmi.pending,
            shadow: events.interrupt.shadow,
            nmis_blocked: events.nmi.masked != 0,
        }
    }
}

impl fmt::Display for QueuedException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vector: number, pending, injected, error_code, payload } = self;
        let name = vector::name(*number).unwrap_or("vector");
        write!(f, "{name} ({number}) pending={pending} injected={injected}")?;
        error_code.map_or(Ok(()), |code| write!(f, " error_code={code:#x}"))?;
        match payload {
            None => f.write_str(" no payload"),
            Some(payload) => write!(f, " payload={payload:#x}"),
        }
    }
}

impl fmt::Display for ShownQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exception, interrupt, nmi_injected, nmi_pending, shadow: bits, nmis_blocked } = self;
        let mut shown: Vec<String> = exception.iter().map(ToString::to_string).collect();
        shown.extend(interrupt.map(|vector| format!("interrupt {vector:#x} injected")));
        if *nmi_injected != 0 || *nmi_pending != 0 {
            shown.push(format!("NMI injected={nmi_injected} pending={nmi_pending}"));
        }
        if shown.is_empty() {
            shown.push("nothing shown".to_owned());
        }
        shown.extend(shadow(*bits).map(|of| format!("in the interrupt shadow of {of}")));
        if *nmis_blocked {
            shown.push("NMIs blocked".to_owned());
        }
        f.write_str(&shown.join(", "))
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
        assert_eq!(ShownQueue::from(&events).to_string(), "nothing shown");
        events.exception.nr = 14;
        events.exception.injected = 1;
        events.exception.has_error_code = 1;
        events.exception.error_code = 2;
        assert_eq!(
            ShownQueue::from(&events).to_string(),
            "#PF (14) pending=0 injected=1 error_code=0x2 no payload"
        );
        events.exception_has_payload = 1;
        events.exception_payload = 0x1000;
        assert!(ShownQueue::from(&events).to_string().ends_with("payload=0x1000"));
    }

    #[test]
    fn what_keeps_interrupts_and_nmis_out_is_shown() {
        let mut events = kvm_vcpu_events::default();
        for (bits, words) in [(1, "MOV SS"), (2, "STI"), (3, "STI or MOV SS")] {
            events.interrupt.shadow = bits;
            let expected = format!("nothing shown, in the interrupt shadow of {words}");
            assert_eq!(ShownQueue::from(&events).to_string(), expected);
        }
        events.nmi.masked = 1;
        assert!(ShownQueue::from(&events).to_string().ends_with("STI or MOV SS, NMIs blocked"));
        (events.interrupt.shadow, events.nmi.injected) = (0, 1);
        assert_eq!(ShownQueue::from(&events).to_string(), "NMI injected=1 pending=0, NMIs blocked");
    }
}
