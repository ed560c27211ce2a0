//! Why a series fails, as far as somebody has said it: the reason and the source of each prediction.

use midflight::report::difference::Difference;
use midflight::report::outcome::Report;
use protocol::field::Field;
use vm::Value;

/// What somebody said of a series, and how it shows.
pub(crate) struct Cause {
    /// The name, after the series'.
    pub(crate) name: &'static str,
    /// A sentence for reports.
    pub(crate) reason: &'static str,
    /// Where it was said.
    pub(crate) reference: &'static str,
    /// Whether a field that differs shows it.
    shows: fn(&Difference) -> bool,
}

/// Of the series v9; the first that shows is the cause.
const CAUSES: [Cause; 4] = [
    Cause {
        name: "migration",
        reason: "event data is no part of kvm_vcpu_events: a vCPU into which an injected exception is restored has none",
        reference: "Sean Christopherson, \"Re: [PATCH v9 12/22] KVM: VMX: Virtualize FRED event_data\", 4 Mar 2026",
        shows: |d| d.field.of_judge() == Some(Field::EventData) && d.got == Value::Number(0),
    },
    Cause {
        name: "stale",
        reason: "event data is not reset: an event without any that KVM injects, itself queued or injected again, \
                 gets the last exception's",
        reference: "Xin Li, \"[PATCH v9 12/22] KVM: VMX: Virtualize FRED event_data\", 26 Oct 2025: \
                    kvm_multiple_exception does not reset it, vmx_inject_irq and vmx_inject_nmi do not write it",
        shows: |d| d.field.of_judge() == Some(Field::EventData) && d.expected == Value::Number(0),
    },
    Cause {
        name: "int1",
        reason: "an intercepted INT1 is queued as a hardware exception, without an instruction length",
        reference: "David Woodhouse, \"Re: [PATCH v9 00/22] Enable FRED with KVM VMX\", 23 Apr 2026, int1_fred_test",
        shows: |d| {
            let upper = |value: &Value| match value {
                Value::Number(number) => number >> 32,
                _ => 0,
            };
            // The highest digit is the length, in which a prefix counts.
            let (expected, got) = (upper(&d.expected), upper(&d.got));
            let is_retyped = expected >> 28 != 0 && (expected & 0xFFF_FFFF, got) == (0x205_0001, 0x203_0001);
            d.field.of_judge() == Some(Field::Ss) && is_retyped
        },
    },
    Cause {
        name: "rf",
        reason: "without KVM_CAP_EXCEPTION_PAYLOAD a pending fault is saved as injected, and the step that sets RF is \
                 skipped where it is restored",
        reference: "kvm_vcpu_ioctl_x86_get_vcpu_events and kvm_check_and_inject_events, arch/x86/kvm/x86.c; \
                    measured on 6.18",
        shows: |d| {
            let lost = (&d.expected, &d.got) == (&Value::Number(0x1_0002), &Value::Number(2));
            d.field.of_judge() == Some(Field::Rflags) && lost
        },
    },
];

/// The causes of a failure; `None` where a field differs for a reason that nobody has given.
pub(crate) fn of(report: &Report) -> Option<Vec<&'static Cause>> {
    let cause = |difference: &Difference| CAUSES.iter().find(|cause| (cause.shows)(difference));
    let mut causes: Vec<&Cause> = report.differences.iter().map(cause).collect::<Option<_>>()?;
    causes.sort_by_key(|cause| CAUSES.iter().position(|one| one.name == cause.name));
    causes.dedup_by_key(|cause| cause.name);
    (!causes.is_empty()).then_some(causes)
}

/// Left out is what a storm meets by chance.
pub(crate) fn may_be_predicted(report: &Report) -> bool {
    !report.scenario.depends_on_time()
}
