//! Instruction forms: a mnemonic with the kinds and sizes of its operands, as iced's opcode table
//! has them, with separate forms for memory and register operands.

use crate::left_out::FORMS;
use crate::mnemonics::COMPARED;
use iced_x86::{Code, CpuidFeature, EncodingKind, OpCodeOperandKind as K};
use std::arch::x86_64::__cpuid;

/// One form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) code: Code,
    /// Of an operand that can be either: memory.
    pub(crate) memory: bool,
}

/// Every form, in an order that is the same on every host.
pub(crate) fn every() -> Vec<Form> {
    let mut forms = Vec::new();
    for code in Code::values().filter(|code| COMPARED.contains(&code.mnemonic()) && could_be(*code)) {
        let either = operands(code).iter().any(|kind| is_either(*kind));
        for memory in [false, true] {
            if (either || !memory) && !is_left_out(code, memory) {
                forms.push(Form { code, memory });
            }
        }
    }
    forms
}

/// A feature of a form that this processor does not have.
pub(crate) fn missing(form: Form) -> Option<CpuidFeature> {
    form.code.cpuid_features().iter().copied().find(|feature| !host_has(*feature))
}

pub(crate) fn operands(code: Code) -> Vec<K> {
    let info = code.op_code();
    (0..info.op_count()).map(|n| info.op_kind(n)).collect()
}

/// Whether an operand is a register or memory.
pub(crate) fn is_either(kind: K) -> bool {
    matches!(kind, K::r8_or_mem | K::r16_or_mem | K::r32_or_mem | K::r64_or_mem)
}

/// Whether a form is one whose operands can be made, left out or not.
pub(crate) fn could_be(code: Code) -> bool {
    let info = code.op_code();
    let encoding = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    info.mode64() && encoding && operands(code).iter().all(|kind| is_known(*kind))
}

fn is_left_out(code: Code, memory: bool) -> bool {
    FORMS.iter().any(|forms| forms.codes.contains(&code) && (memory || !forms.memory))
}

fn is_known(kind: K) -> bool {
    is_either(kind)
        || matches!(
            kind,
            K::mem
                | K::mem_offs
                | K::r8_reg
                | K::r16_reg
                | K::r32_reg
                | K::r64_reg
                | K::r8_opcode
                | K::r16_opcode
                | K::r32_opcode
                | K::r64_opcode
                | K::r32_vvvv
                | K::r64_vvvv
                | K::al
                | K::cl
                | K::ax
                | K::dx
                | K::eax
                | K::rax
                | K::imm8
                | K::imm8_const_1
                | K::imm8sex16
                | K::imm8sex32
                | K::imm8sex64
                | K::imm16
                | K::imm32
                | K::imm32sex64
                | K::imm64
                | K::seg_rSI
                | K::es_rDI
                | K::seg_rBX_al
                | K::br64_1
                | K::br64_4
        )
}

/// Features beyond those of every 64-bit processor, by CPUID.
fn host_has(feature: CpuidFeature) -> bool {
    use CpuidFeature as F;
    use std::arch::is_x86_feature_detected as has;
    let extended = |bit: u32| __cpuid(0x8000_0001).ecx >> bit & 1 != 0;
    match feature {
        F::BMI1 => has!("bmi1"),
        F::BMI2 => has!("bmi2"),
        F::ADX => has!("adx"),
        F::MOVBE => has!("movbe"),
        F::LZCNT => has!("lzcnt"),
        F::POPCNT => has!("popcnt"),
        F::CMPXCHG16B => has!("cmpxchg16b"),
        F::PREFETCHW => extended(8),
        F::CLFSH => __cpuid(1).edx >> 19 & 1 != 0,
        _ => true,
    }
}
