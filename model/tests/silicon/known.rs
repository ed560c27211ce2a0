//! Where processors, or the hypervisors below them, are known to differ beyond what the manuals call
//! undefined. A difference that no row excuses ends the test with the row that it would be.
//!
//! The model follows the vendor in one thing: the status flags of a repeated comparison that is interrupted.
//! Cases that are not generated are in [`crate::left_out`].

use crate::mnemonics::{COMPARED, COMPARISONS};
use crate::row::{AMD, ANY, Ended, INTEL, LA57, LASS, OTHER, Part, Row, UNDER_HYPERVISOR};
use crate::undefined::STATUS;
use crate::when::When;
use iced_x86::Mnemonic as M;

const RF: u64 = 1 << 16;
const RCX: u8 = 1;
const RBP: u8 = 5;
const RSI: u8 = 6;
const RDI: u8 = 7;

#[rustfmt::skip]
const STRINGS: &[M] = &[
    M::Movsb, M::Movsw, M::Movsd, M::Movsq, M::Stosb, M::Stosw, M::Stosd, M::Stosq,
    M::Lodsb, M::Lodsw, M::Lodsd, M::Lodsq, M::Scasb, M::Scasw, M::Scasd, M::Scasq,
    M::Cmpsb, M::Cmpsw, M::Cmpsd, M::Cmpsq,
];
const BIT_TESTS: &[M] = &[M::Bt, M::Bts, M::Btr, M::Btc];

pub(crate) const KNOWN: &[Row] = &[
    Row {
        of: COMPARISONS,
        when: When::Always,
        ended: Ended::Interrupted,
        on: OTHER,
        parts: &[Part::Flags(STATUS)],
        reason: "the model has what Intel's manual says and AMD's processors do; a third vendor's may be either",
        reference: "SDM vol. 2, REP: \"the EFLAGS value is restored to the state prior to the execution\"",
    },
    Row {
        of: STRINGS,
        when: When::Always,
        ended: Ended::BetweenIterations,
        on: AMD,
        parts: &[Part::Flags(RF)],
        reason: "Intel's processors push RF set; AMD's manual does not say, and family 0x19 pushes it clear",
        reference: "SDM vol. 3, \"Instruction-Breakpoint Exception Condition\"; measured",
    },
    Row {
        of: STRINGS,
        when: When::Always,
        ended: Ended::BetweenIterations,
        on: UNDER_HYPERVISOR,
        parts: &[Part::Flags(RF)],
        reason: "KVM intercepts each #DB of a guest and injects it again: RF is what it makes of it",
        reference: "vmx_update_exception_bitmap, arch/x86/kvm/vmx/vmx.c",
    },
    Row {
        of: STRINGS,
        when: When::NoIteration,
        ended: Ended::Completed,
        on: INTEL,
        parts: &[Part::Upper(RCX), Part::Upper(RSI), Part::Upper(RDI)],
        reason: "with a count of 0 in ECX, Intel's processors clear the upper half of some of the registers",
        reference: "string_registers_quirk, arch/x86/kvm/emulate.c; the manuals do not say",
    },
    Row {
        of: STRINGS,
        when: When::NarrowAddress,
        ended: Ended::Faulted,
        on: INTEL,
        parts: &[Part::Upper(RCX), Part::Upper(RSI), Part::Upper(RDI)],
        reason: "the same registers where an iteration with 32-bit addresses faults: whether they were written",
        reference: "string_registers_quirk, arch/x86/kvm/emulate.c; the manuals do not say",
    },
    Row {
        of: &[M::Cmpxchg],
        when: When::Unequal(4),
        ended: Ended::Completed,
        on: INTEL,
        parts: &[Part::ResultUpper],
        reason: "whether a 32-bit register that is not equal is written, and so extended, or left alone",
        reference: "SDM vol. 2, CMPXCHG: Operation has DEST := TEMP; APM vol. 3 writes rAX alone",
    },
    Row {
        of: &[M::Enter],
        when: When::Always,
        ended: Ended::Faulted,
        on: ANY,
        parts: &[Part::Memory, Part::WhichFault],
        reason: "what was pushed when the fault was met stays; which of its accesses is tried first is not said",
        reference: "SDM vol. 2, ENTER: Operation; vol. 3, \"Priority among concurrent events\"",
    },
    Row {
        of: &[M::Enter],
        when: When::AlignmentChecked,
        ended: Ended::Anyhow,
        on: ANY,
        parts: &[Part::Everything],
        reason: "#AC is not among its exceptions, and its accesses are checked all the same by some",
        reference: "SDM vol. 2, ENTER: 64-Bit Mode Exceptions",
    },
    Row {
        of: &[M::Enter],
        when: When::OperandSizePrefix,
        ended: Ended::Completed,
        on: INTEL,
        parts: &[Part::Register(RBP)],
        reason: "with a 16-bit operand: BP by the Description, RBP by the Operation",
        reference: "SDM vol. 2, ENTER: Description, Operation",
    },
    Row {
        of: BIT_TESTS,
        when: When::BitInPart,
        ended: Ended::Anyhow,
        on: ANY,
        parts: &[Part::Everything],
        reason: "the processor may access the whole operand, or the byte with the bit",
        reference: "SDM vol. 2, BT: \"It may do so even when only a single byte needs to be accessed\"",
    },
    Row {
        of: COMPARED,
        when: When::AlignmentOrPageFault,
        ended: Ended::Faulted,
        on: ANY,
        parts: &[Part::WhichFault],
        reason: "an access that is not aligned and not allowed: which of the two is reported",
        reference: "SDM vol. 3, \"Priority among concurrent events\": one class, its order is the processor's",
    },
    Row {
        of: &[M::Cmpxchg16b],
        when: When::AlignmentChecked,
        ended: Ended::Faulted,
        on: ANY,
        parts: &[Part::WhichFault],
        reason: "an operand that is not aligned: #GP, or #AC, which its page lists as well",
        reference: "SDM vol. 2, CMPXCHG8B/CMPXCHG16B: 64-Bit Mode Exceptions",
    },
    Row {
        of: &[M::Int1],
        when: When::Always,
        ended: Ended::Completed,
        on: UNDER_HYPERVISOR,
        parts: &[Part::Rip, Part::Flags(RF)],
        reason: "a hypervisor that takes the #DB gives it back with RIP at the instruction",
        reference: "measured on family 0x19 under KVM; on hardware RIP is after it, SDM vol. 2, INT1",
    },
    Row {
        of: &[M::Pause],
        when: When::SingleStep,
        ended: Ended::Anyhow,
        on: UNDER_HYPERVISOR,
        parts: &[Part::Everything],
        reason: "PAUSE may exit, and the hypervisor that steps over it owes the trap",
        reference: "SDM vol. 3, \"Instructions that cause VM exits conditionally\"",
    },
    Row {
        of: COMPARED,
        when: When::BeyondFourLevels,
        ended: Ended::Anyhow,
        on: LA57,
        parts: &[Part::Everything],
        reason: "the kernel uses five-level paging, the model has four: the address is canonical for one of them",
        reference: "SDM vol. 1, \"Canonical addressing\"",
    },
    Row {
        of: COMPARED,
        when: When::UpperHalf,
        ended: Ended::Anyhow,
        on: LASS,
        parts: &[Part::WhichFault],
        reason: "linear-address-space separation makes #GP of a user access to the upper half",
        reference: "SDM vol. 3, \"Linear-address-space separation\"",
    },
];
