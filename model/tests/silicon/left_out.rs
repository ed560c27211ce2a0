//! Forms and cases that are not generated: the manuals say nothing about them, or contradict each other.

use crate::built::{self, Built};
use crate::mnemonics::COMPARISONS;
use crate::state::GS_BASE;
use crate::when::is_canonical;
use iced_x86::{Code, EncodingKind, FlowControl, MandatoryPrefix, Mnemonic as M, Register};

/// Forms that are no part of the comparison.
pub(crate) struct Forms {
    pub(crate) codes: &'static [Code],
    /// With a memory operand only.
    pub(crate) memory: bool,
    pub(crate) reason: &'static str,
    pub(crate) reference: &'static str,
}

pub(crate) const FORMS: &[Forms] = &[
    Forms {
        codes: &[Code::Jmp_rm16, Code::Call_rm16, Code::Retnw, Code::Retnw_imm16],
        memory: false,
        reason: "an operand-size prefix on a near branch: Intel ignores it, AMD makes the operand 16 bits",
        reference: "SDM vol. 2, JMP, CALL, RET: operand size is fixed; APM vol. 3, \"Operand-Size Override Prefix\"",
    },
    Forms {
        codes: &[
            Code::Jmp_m1616,
            Code::Jmp_m1632,
            Code::Jmp_m1664,
            Code::Call_m1616,
            Code::Call_m1632,
            Code::Call_m1664,
        ],
        memory: false,
        reason: "far pointers lead to descriptor tables, which the child's kernel keeps to itself",
        reference: "SDM vol. 2, JMP, CALL; a 64-bit offset is Intel's only",
    },
    Forms {
        codes: &[Code::Movsxd_r16_rm16],
        memory: true,
        reason: "Intel reads two bytes, AMD four",
        reference: "SDM vol. 2, MOVSX/MOVSXD; APM vol. 3, MOVSXD",
    },
];

/// Cases that are not generated.
pub(crate) struct Cases {
    pub(crate) applies: fn(&Built) -> bool,
    /// An instruction that it applies to in some state of the test's.
    pub(crate) example: &'static [u8],
    pub(crate) reason: &'static str,
    pub(crate) reference: &'static str,
}

pub(crate) const CASES: &[Cases] = &[
    Cases {
        applies: |built| near_branch(built) && built.has_prefix(0x66),
        example: &[0x66, 0xEB, 0x10],
        reason: "an operand-size prefix on a near branch: Intel ignores it, AMD makes the operand 16 bits",
        reference: "SDM vol. 2, JMP, CALL, RET: operand size is fixed; APM vol. 3, \"Operand-Size Override Prefix\"",
    },
    Cases {
        applies: reserved_repeat,
        example: &[0xF3, 0x01, 0xC8],
        reason: "a repeat prefix where none belongs, REPNE on a string instruction that compares nothing included",
        reference: "SDM vol. 2, \"Instruction prefixes\": such use is reserved",
    },
    Cases {
        applies: |built| {
            let vex = built.instruction.code().encoding() == EncodingKind::VEX;
            vex && built.after_prefixes() & 0xF0 == 0x40
        },
        example: &[0x48, 0xC4, 0xE2, 0x78, 0xF2, 0xC1],
        reason: "REX before VEX is #UD, and the decoder that makes the cases takes it for the instruction",
        reference: "SDM vol. 2, \"VEX and the REX prefix\"",
    },
    Cases {
        applies: |built| {
            let case = &built.case;
            case.mapped_code().len() < case.length && !built::is_valid(case.code())
        },
        example: &[0xF0, 0x01, 0xC8],
        reason: "LOCK where it makes #UD, at the end of mapped code: how many bytes are fetched",
        reference: "SDM vol. 3, \"Priority among concurrent events\": fetch before decode, of what is not said",
    },
    Cases {
        applies: |built| built.instruction.mnemonic() == M::Pause && built.case.length > 2,
        example: &[0xF3, 0x41, 0x90],
        reason: "a prefix on PAUSE: with REX.B it may be XCHG",
        reference: "SDM vol. 2, NOP, PAUSE, XCHG",
    },
    Cases {
        applies: |built| {
            let gs = built.instruction.memory_segment() == Register::GS;
            gs && built
                .first_accesses()
                .iter()
                .any(|access| !is_canonical(access.address.wrapping_sub(GS_BASE), 48))
        },
        example: &[0x65, 0x48, 0x8B, 0x03],
        reason: "a segment base beside an offset that is not canonical by itself: which of them is checked",
        reference: "SDM vol. 1, \"Canonical addressing\"; APM vol. 2, \"Canonical Address Form\"",
    },
    Cases {
        applies: |built| {
            let exchange = built.instruction.mnemonic() == M::Xchg;
            let locked = exchange || built.instruction.has_lock_prefix();
            locked
                && built.memory_access().is_some_and(|access| access.address % 64 + access.size as u64 > 64)
        },
        example: &[0x48, 0x87, 0x02],
        reason: "a locked access to two cache lines: #AC or #DB where a kernel has the processor report them",
        reference: "SDM vol. 3, \"Features to disable bus locks\"; split_lock_detect of Linux",
    },
    Cases {
        applies: Built::two_may_fault,
        example: &[0x48, 0xA5],
        reason: "two accesses of one instruction, or an access and the target of CALL, that fault: which is reported",
        reference: "SDM vol. 3, \"Priority among concurrent events\": one class, its order is the processor's",
    },
];

fn near_branch(built: &Built) -> bool {
    !matches!(
        built.instruction.flow_control(),
        FlowControl::Next | FlowControl::Interrupt | FlowControl::Exception
    )
}

fn reserved_repeat(built: &Built) -> bool {
    let i = &built.instruction;
    let mandatory =
        matches!(i.code().op_code().mandatory_prefix(), MandatoryPrefix::PF2 | MandatoryPrefix::PF3);
    let repeated = built.has_prefix(0xF2) || built.has_prefix(0xF3);
    if i.is_string_instruction() {
        return built.has_prefix(0xF2) && !COMPARISONS.contains(&i.mnemonic());
    }
    let legacy = i.code().encoding() == EncodingKind::Legacy;
    let pause = i.mnemonic() == M::Pause;
    repeated && legacy && !mandatory && !pause
}
