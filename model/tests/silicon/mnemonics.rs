//! The instructions that are compared.

use iced_x86::Mnemonic::{self, *};

/// Every form of these that 64-bit mode has and whose operands [`crate::forms`] can make.
#[rustfmt::skip]
pub(crate) const COMPARED: &[Mnemonic] = &[
    // Arithmetic and logic.
    Add, Adc, Sub, Sbb, And, Or, Xor, Cmp, Test, Inc, Dec, Neg, Not,
    Mul, Imul, Div, Idiv, Adcx, Adox, Xadd, Cmpxchg, Cmpxchg8b, Cmpxchg16b,
    // Moves.
    Mov, Movzx, Movsx, Movsxd, Movnti, Movbe, Lea, Xchg, Bswap, Xlatb,
    Push, Pop, Enter, Leave, Pushf, Pushfq, Popf, Popfq, Lahf, Sahf,
    Cbw, Cwde, Cdqe, Cwd, Cdq, Cqo,
    Cmovo, Cmovno, Cmovb, Cmovae, Cmove, Cmovne, Cmovbe, Cmova,
    Cmovs, Cmovns, Cmovp, Cmovnp, Cmovl, Cmovge, Cmovle, Cmovg,
    Seto, Setno, Setb, Setae, Sete, Setne, Setbe, Seta,
    Sets, Setns, Setp, Setnp, Setl, Setge, Setle, Setg,
    // Shifts and bits.
    Shl, Sal, Shr, Sar, Rol, Ror, Rcl, Rcr, Shld, Shrd,
    Bt, Bts, Btr, Btc, Bsf, Bsr, Tzcnt, Lzcnt, Popcnt,
    Andn, Bextr, Blsi, Blsmsk, Blsr, Bzhi, Mulx, Pdep, Pext, Rorx, Sarx, Shlx, Shrx,
    // Control flow.
    Jmp, Call, Ret, Loop, Loope, Loopne, Jecxz, Jrcxz,
    Jo, Jno, Jb, Jae, Je, Jne, Jbe, Ja, Js, Jns, Jp, Jnp, Jl, Jge, Jle, Jg,
    // Strings.
    Movsb, Movsw, Movsd, Movsq, Stosb, Stosw, Stosd, Stosq, Lodsb, Lodsw, Lodsd, Lodsq,
    Scasb, Scasw, Scasd, Scasq, Cmpsb, Cmpsw, Cmpsd, Cmpsq,
    // Flags, no operation, and what faults in ring 3.
    Clc, Stc, Cmc, Cld, Std, Nop, Pause, Mfence, Lfence, Sfence, Clflush, Prefetcht0, Prefetchw,
    Endbr64, Int1, Int3, Ud2, Ud1, Hlt, Cli, Sti, Clts, Rdmsr, Wrmsr, Invd, Wbinvd, Invlpg, In, Out,
];

/// These end in an exception whatever their operands are.
#[rustfmt::skip]
pub(crate) const ALWAYS_FAULT: &[Mnemonic] = &[
    Int1, Ud2, Ud1, Hlt, Cli, Sti, Clts, Rdmsr, Wrmsr, Invd, Wbinvd, Invlpg, In, Out,
];

/// The string instructions that compare, which REPE and REPNE are for.
#[rustfmt::skip]
pub(crate) const COMPARISONS: &[Mnemonic] = &[
    Scasb, Scasw, Scasd, Scasq, Cmpsb, Cmpsw, Cmpsd, Cmpsq,
];
