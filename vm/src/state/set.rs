//! KVM_SET_*, and which field is the cause where one is refused.
//!
//! A machine that refuses a state that it, or another, has returned is wrong, and its author needs to know
//! which field it refuses. So the refused state is tried again, each time with one field set to the vCPU's
//! present value. Where no single field is the cause, each is tried alone.

use crate::blame::Blame;
use crate::difference::Value;
use crate::msr;
use crate::refusal::{Refusal, RefusedField};
use crate::{Msr, Vcpu, VcpuError, Xsave};
use kvm_bindings::{
    kvm_debugregs, kvm_dtable, kvm_mp_state, kvm_regs, kvm_segment, kvm_sregs, kvm_sregs2, kvm_vcpu_events,
    kvm_xcrs,
};
use std::ops::Range;

/// A field of `S`, or a group of fields that have a meaning only together.
struct Field<S> {
    name: &'static str,
    copy: Box<Copy<S>>,
    show: Box<Show<S>>,
}

/// Gives the first state the second one's value.
type Copy<S> = dyn Fn(&mut S, &S);
/// Its value.
type Show<S> = dyn Fn(&S) -> Value;

/// Fields by name; each is shown as a number.
macro_rules! fields {
    ($state:ty: $($name:literal $field:ident $([$index:literal])? $(. $inner:ident)*),* $(,)?) => {
        vec![$(Field {
            name: $name,
            copy: Box::new(|to: &mut $state, from: &$state| {
                to.$field $([$index])? $(.$inner)* = from.$field $([$index])? $(.$inner)*;
            }),
            show: Box::new(|state: &$state| Value::from(state.$field $([$index])? $(.$inner)*)),
        }),*]
    };
}

/// Those of both forms of the system registers.
macro_rules! system_fields {
    ($state:ty) => {{
        let mut all = fields![$state:
            "CR0" cr0, "CR2" cr2, "CR3" cr3, "CR4" cr4, "CR8" cr8, "IA32_EFER" efer,
            "IA32_APIC_BASE" apic_base
        ];
        system_fields!($state, all segment: "CS" cs, "DS" ds, "ES" es, "FS" fs, "GS" gs, "SS" ss, "TR" tr, "LDTR" ldt);
        system_fields!($state, all table: "GDTR" gdt, "IDTR" idt);
        all
    }};
    ($state:ty, $all:ident $show:ident: $($name:literal $field:ident),*) => {
        $($all.push(Field {
            name: $name,
            copy: Box::new(|to: &mut $state, from: &$state| to.$field = from.$field),
            show: Box::new(|state: &$state| $show(&state.$field)),
        });)*
    };
}

/// A function for each KVM_SET_*, with what gets and sets its structure, and the structure's fields.
macro_rules! setters {
    ($($call:literal $name:ident $put:ident $(($by_value:tt))?: $state:ty = $fields:expr;)*) => {
        $(
            #[doc = concat!($call, ".")]
            ///
            /// # Errors
            /// [`VcpuError::Refused`] with the field that is refused; any other when the call cannot be made.
            pub fn $name(vcpu: &mut dyn Vcpu, wanted: &$state) -> Result<(), VcpuError> {
                let put = |vcpu: &mut dyn Vcpu, state: &$state| vcpu.$put($($by_value)? state);
                set(vcpu, $call, wanted, $fields, |vcpu| vcpu.$name(), put)
            }
        )*
    };
}

setters! {
    "KVM_SET_REGS" regs set_regs: kvm_regs = |_| fields![kvm_regs:
        "RAX" rax, "RBX" rbx, "RCX" rcx, "RDX" rdx, "RSI" rsi, "RDI" rdi, "RSP" rsp, "RBP" rbp,
        "R8" r8, "R9" r9, "R10" r10, "R11" r11, "R12" r12, "R13" r13, "R14" r14, "R15" r15,
        "RIP" rip, "RFLAGS" rflags
    ];
    "KVM_SET_SREGS" sregs set_sregs: kvm_sregs = |_| system_fields!(kvm_sregs);
    "KVM_SET_SREGS2" sregs2 set_sregs2: kvm_sregs2 = |_| {
        let mut all = system_fields!(kvm_sregs2);
        all.extend(fields![kvm_sregs2:
            "flags" flags, "PDPTR0" pdptrs[0], "PDPTR1" pdptrs[1], "PDPTR2" pdptrs[2], "PDPTR3" pdptrs[3]
        ]);
        all
    };
    "KVM_SET_DEBUGREGS" debug_regs set_debug_regs: kvm_debugregs = |_| fields![kvm_debugregs:
        "DR0" db[0], "DR1" db[1], "DR2" db[2], "DR3" db[3], "DR6" dr6, "DR7" dr7, "flags" flags
    ];
    "KVM_SET_XCRS" xcrs set_xcrs: kvm_xcrs = |_| fields![kvm_xcrs:
        "nr_xcrs" nr_xcrs, "flags" flags, "XCR0" xcrs[0].value
    ];
    "KVM_SET_XSAVE" xsave set_xsave: Xsave = xsave_fields;
    "KVM_SET_MP_STATE" mp_state set_mp_state (*): kvm_mp_state = |_| fields![kvm_mp_state: "MP state" mp_state];
    "KVM_SET_VCPU_EVENTS" events set_events: kvm_vcpu_events = |_| fields![kvm_vcpu_events:
        "exception injected" exception.injected, "exception pending" exception.pending,
        "exception vector" exception.nr, "exception has error code" exception.has_error_code,
        "exception error code" exception.error_code, "exception has payload" exception_has_payload,
        "exception payload" exception_payload, "interrupt injected" interrupt.injected,
        "interrupt vector" interrupt.nr, "interrupt soft" interrupt.soft,
        "interrupt shadow" interrupt.shadow, "NMI injected" nmi.injected, "NMI pending" nmi.pending,
        "NMI masked" nmi.masked, "SIPI vector" sipi_vector, "SMM" smi.smm, "SMI pending" smi.pending,
        "triple fault pending" triple_fault.pending, "flags" flags
    ];
}

/// The regions of an XSAVE area (SDM vol. 1, "Legacy Region of an XSAVE Area", "XSAVE Header").
fn xsave_fields(area: &Xsave) -> Vec<Field<Xsave>> {
    let part = |(name, range): (&'static str, Range<usize>)| {
        let shown = range.clone();
        Field {
            name,
            copy: Box::new(move |to: &mut Xsave, from: &Xsave| {
                if let (Some(to), Some(from)) = (to.0.get_mut(range.clone()), from.0.get(range.clone())) {
                    to.copy_from_slice(from);
                }
            }),
            show: Box::new(move |area: &Xsave| {
                let bytes = area.0.get(shown.clone()).unwrap_or_default();
                Value::Bytes { bytes: bytes.iter().take(SHOWN).copied().collect(), at: shown.start }
            }),
        }
    };
    [
        ("x87 control", 0..24),
        ("MXCSR", 24..28),
        ("MXCSR_MASK", 28..32),
        ("x87 registers", 32..160),
        ("XMM registers", 160..416),
        ("software's bytes", 416..512),
        ("XSTATE_BV", 512..520),
        ("XCOMP_BV", 520..528),
        ("the header's reserved bytes", 528..576),
        ("the extended region", 576..area.0.len()),
    ]
    .map(part)
    .into()
}

/// KVM_SET_MSRS, whose result says at which MSR it stopped.
///
/// # Errors
/// As [`regs`].
pub fn msrs(vcpu: &mut dyn Vcpu, wanted: &[Msr]) -> Result<(), VcpuError> {
    let Err(error) = vcpu.set_msrs(wanted) else { return Ok(()) };
    let VcpuError::Msr { index, value } = error else { return Err(error) };
    let has = vcpu.msrs(&[index]).ok().and_then(|msrs| msrs.first().map(|msr| msr.value));
    let field = RefusedField {
        name: msr::name(index),
        refused: Value::from(value),
        accepted: has.map_or(Value::Nothing, Value::from),
    };
    Err(refused("KVM_SET_MSRS", vec![field], &error))
}

/// Bytes of a region that are shown.
const SHOWN: usize = 16;

fn set<S: Clone + PartialEq>(
    vcpu: &mut dyn Vcpu,
    call: &'static str,
    wanted: &S,
    fields: impl FnOnce(&S) -> Vec<Field<S>>,
    get: impl Fn(&mut dyn Vcpu) -> Result<S, VcpuError>,
    put: impl Fn(&mut dyn Vcpu, &S) -> Result<(), VcpuError>,
) -> Result<(), VcpuError> {
    let Err(error) = put(vcpu, wanted) else { return Ok(()) };
    if error.blame() != Blame::Machine {
        return Err(error);
    }
    // A refused call has left the vCPU's earlier state.
    let Ok(has) = get(vcpu) else { return Err(error) };
    let with = |base: &S, field: &Field<S>, from: &S| {
        let mut state = base.clone();
        (field.copy)(&mut state, from);
        state
    };
    let differing: Vec<Field<S>> =
        fields(wanted).into_iter().filter(|field| with(wanted, field, &has) != *wanted).collect();
    let mut accepted = |state: S| put(vcpu, &state).is_ok();
    let mut refused: Vec<&Field<S>> =
        differing.iter().filter(|field| accepted(with(wanted, field, &has))).collect();
    if refused.is_empty() {
        refused = differing.iter().filter(|field| !accepted(with(&has, field, wanted))).collect();
    }
    let fields = refused.into_iter().map(|field| RefusedField {
        name: field.name.to_owned(),
        refused: (field.show)(wanted),
        accepted: (field.show)(&has),
    });
    Err(self::refused(call, fields.collect(), &error))
}

fn refused(call: &str, fields: Vec<RefusedField>, error: &VcpuError) -> VcpuError {
    Box::new(Refusal { call: call.to_owned(), fields, error: error.to_string() }).into()
}

fn segment(segment: &kvm_segment) -> Value {
    let kvm_segment { base, limit, selector, type_, present, dpl, db, s, l, g, unusable, .. } = *segment;
    group([
        ("selector", selector.into()),
        ("base", base),
        ("limit", limit.into()),
        ("type", type_.into()),
        ("S", s.into()),
        ("DPL", dpl.into()),
        ("P", present.into()),
        ("L", l.into()),
        ("D/B", db.into()),
        ("G", g.into()),
        ("unusable", unusable.into()),
    ])
}

fn table(table: &kvm_dtable) -> Value {
    group([("base", table.base), ("limit", table.limit.into())])
}

fn group<const N: usize>(parts: [(&str, u64); N]) -> Value {
    Value::Group(parts.map(|(name, part)| (name.to_owned(), part)).into())
}
