//! Instruction forms: a mnemonic with the kinds and sizes of its operands, as iced's opcode table
//! has them, memory and register operands apart.

use crate::mnemonics::COMPARED;
use iced_x86::{Code, CpuidFeature, EncodingKind, OpCodeOperandKind as K};
use std::collections::BTreeMap;

/// One form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) code: Code,
    /// Of an operand that can be either: memory.
    pub(crate) memory: bool,
}

/// Forms that this host has, and how many of those that it does not have, by the missing feature.
pub(crate) fn all() -> (Vec<Form>, BTreeMap<String, usize>) {
    let (mut forms, mut skipped) = (Vec::new(), BTreeMap::new());
    for code in Code::values() {
        if !COMPARED.contains(&code.mnemonic()) || !is_made(code) {
            continue;
        }
        let either = operands(code).iter().any(|kind| is_either(*kind));
        let missing = code.cpuid_features().iter().find(|feature| !host_has(**feature));
        for memory in [false, true] {
            // Intel reads two bytes of MOVSXD's 16-bit memory operand, AMD four.
            if memory && (!either || code == Code::Movsxd_r16_rm16) {
                continue;
            }
            match missing {
                Some(feature) => *skipped.entry(format!("{feature:?}")).or_insert(0) += 1,
                None => forms.push(Form { code, memory }),
            }
        }
    }
    (forms, skipped)
}

pub(crate) fn operands(code: Code) -> Vec<K> {
    let info = code.op_code();
    (0..info.op_count()).map(|n| info.op_kind(n)).collect()
}

/// Whether an operand is a register or memory.
pub(crate) fn is_either(kind: K) -> bool {
    matches!(kind, K::r8_or_mem | K::r16_or_mem | K::r32_or_mem | K::r64_or_mem)
}

fn is_made(code: Code) -> bool {
    let info = code.op_code();
    let encoding = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    // An operand-size prefix on a near branch means something else to each manufacturer.
    let branch = matches!(code, Code::Jmp_rm16 | Code::Call_rm16 | Code::Retnw | Code::Retnw_imm16);
    // Far pointers lead to descriptor tables, which the child's kernel keeps to itself.
    let name = format!("{code:?}");
    let far = name.starts_with("Jmp_m16") || name.starts_with("Call_m16");
    info.mode64() && encoding && !branch && !far && operands(code).iter().all(|kind| is_known(*kind))
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

/// Features beyond those of every 64-bit processor.
fn host_has(feature: CpuidFeature) -> bool {
    use CpuidFeature as F;
    use std::arch::is_x86_feature_detected as has;
    match feature {
        F::BMI1 => has!("bmi1"),
        F::BMI2 => has!("bmi2"),
        F::ADX => has!("adx"),
        F::MOVBE => has!("movbe"),
        F::LZCNT => has!("lzcnt"),
        F::POPCNT => has!("popcnt"),
        F::CMPXCHG16B => has!("cmpxchg16b"),
        F::PREFETCHW => has!("lzcnt"),
        _ => true,
    }
}
