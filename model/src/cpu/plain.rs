//! Which instructions are plain.

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
    !special && !far && PLAIN.contains(&instruction.mnemonic())
}

#[rustfmt::skip]
const PLAIN: &[M] = &[
    M::Add, M::Adc, M::Sub, M::Sbb, M::And, M::Or, M::Xor, M::Cmp, M::Test, M::Inc, M::Dec, M::Neg, M::Not,
    M::Mul, M::Imul, M::Div, M::Idiv, M::Xadd, M::Cmpxchg, M::Mov, M::Movzx, M::Movsx, M::Movsxd, M::Lea,
    M::Xchg, M::Push, M::Pop, M::Leave, M::Cbw, M::Cwde, M::Cdqe, M::Cwd, M::Cdq, M::Cqo, M::Bswap,
    M::Shl, M::Shr, M::Sar, M::Rol, M::Ror, M::Rcl, M::Rcr, M::Shld, M::Shrd,
    M::Bt, M::Bts, M::Btr, M::Btc, M::Bsf, M::Bsr, M::Tzcnt, M::Lzcnt, M::Popcnt,
    M::Cmovo, M::Cmovno, M::Cmovb, M::Cmovae, M::Cmove, M::Cmovne, M::Cmovbe, M::Cmova,
    M::Cmovs, M::Cmovns, M::Cmovp, M::Cmovnp, M::Cmovl, M::Cmovge, M::Cmovle, M::Cmovg,
    M::Seto, M::Setno, M::Setb, M::Setae, M::Sete, M::Setne, M::Setbe, M::Seta,
    M::Sets, M::Setns, M::Setp, M::Setnp, M::Setl, M::Setge, M::Setle, M::Setg,
    M::Jo, M::Jno, M::Jb, M::Jae, M::Je, M::Jne, M::Jbe, M::Ja,
    M::Js, M::Jns, M::Jp, M::Jnp, M::Jl, M::Jge, M::Jle, M::Jg,
    M::Jmp, M::Call, M::Ret, M::Nop,
];
