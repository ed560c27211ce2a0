//! Which instructions are plain.

use super::dispatch::conditional;
use iced_x86::{Instruction, Mnemonic as M, OpKind};

/// Whether an instruction changes general-purpose registers, status flags, memory and RIP at most, so
/// that the instruction boundary after it has nothing to do.
pub(crate) fn is_plain(instruction: &Instruction) -> bool {
    let special = (0..instruction.op_count()).any(|n| {
        let register = instruction.op_register(n);
        instruction.op_kind(n) == OpKind::Register && !register.is_gpr()
            || matches!(instruction.op_kind(n), OpKind::FarBranch16 | OpKind::FarBranch32)
    });
    let far = instruction.is_jmp_far_indirect() || instruction.is_call_far_indirect();
    let known = conditional(instruction).is_some() || PLAIN.contains(&instruction.mnemonic());
    !special && !far && known
}

/// Besides Jcc, SETcc and CMOVcc.
#[rustfmt::skip]
const PLAIN: &[M] = &[
    M::Add, M::Adc, M::Sub, M::Sbb, M::And, M::Or, M::Xor, M::Cmp, M::Test, M::Inc, M::Dec, M::Neg, M::Not,
    M::Mul, M::Imul, M::Div, M::Idiv, M::Xadd, M::Cmpxchg, M::Mov, M::Movzx, M::Movsx, M::Movsxd, M::Lea,
    M::Xchg, M::Push, M::Pop, M::Leave, M::Cbw, M::Cwde, M::Cdqe, M::Cwd, M::Cdq, M::Cqo, M::Bswap,
    M::Shl, M::Shr, M::Sar, M::Rol, M::Ror, M::Rcl, M::Rcr, M::Shld, M::Shrd,
    M::Bt, M::Bts, M::Btr, M::Btc, M::Bsf, M::Bsr, M::Tzcnt, M::Lzcnt, M::Popcnt,
    M::Jmp, M::Call, M::Ret, M::Nop,
];
