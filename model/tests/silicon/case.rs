//! From choices to an instruction and the state it starts from.

use crate::built::{Built, address, decode, legacy_prefixes};
use crate::choices::{Choices, Spot};
use crate::forms::{self, Form};
use crate::left_out;
use crate::mnemonics::COMPARISONS;
use crate::state::{CODE, DATA, DATA_SIZE, GS_BASE, PAGE, STACK, STACK_SIZE, State};
use iced_x86::{
    Code, Encoder, Instruction, MemoryOperand, Mnemonic as M, OpCodeOperandKind as K, OpKind, Register,
};
use std::collections::HashSet;

const AC: u64 = 1 << 18;
const TF: u64 = 1 << 8;
const DF: u64 = 1 << 10;
const STATUS: u64 = 0x8D5;

/// The case of a form; `codes` are those that a changed prefix may lead to.
pub(crate) fn build(form: Form, c: &Choices, codes: &HashSet<Code>) -> Option<Built> {
    let mut state = State::new(c.memory);
    state.gpr = c.gpr;
    state.rflags = 0x202 | c.flags & STATUS;
    if c.one_of(0, 16) == 15 {
        state.rflags |= TF;
    }
    if c.one_of(1, 16) == 15 {
        state.rflags |= AC;
    }
    if c.one_of(2, 4) == 3 {
        state.rflags |= DF;
    }
    state.gpr[4] = match c.places[3] {
        Spot::Inside(by) => STACK + 0x400 + u64::from(by) % 0x800 / 8 * 8,
        other => other.address(STACK, STACK_SIZE as u64),
    };
    state.rip = match c.places[4] {
        // Not where branches lead: an instruction that jumps to itself never ends.
        Spot::Inside(by) => CODE + 0x500 + u64::from(by) % 0xA00,
        // How many bytes of UD1 are fetched is not said.
        _ if matches!(form.code.mnemonic(), M::Ud1) => CODE + 0x800,
        Spot::Edge(2, by) if by < 0 => (CODE + PAGE).wrapping_add_signed(by.into()),
        _ => CODE + 0x800,
    };
    let mut target = c.places[0].address(DATA, DATA_SIZE as u64);
    let code = form.code;
    if code.mnemonic() == M::Cmpxchg16b && c.one_of(3, 4) != 0
        || state.rflags & AC != 0 && c.one_of(3, 2) == 0
    {
        target &= !15;
    }

    let mut i = Instruction::default();
    i.set_code(code);
    for (n, kind) in (0u32..).zip(forms::operands(code)) {
        if kind == K::mem || kind == K::mem_offs || forms::is_either(kind) && form.memory {
            memory_operand(&mut i, n, kind, c, &mut state, target);
        } else {
            operand(&mut i, n, kind, c, &state);
        }
    }
    prefixes(&mut i, c);
    let bytes = encode(&mut i, state.rip)?;
    let bytes = changed(&bytes, c, state.rip, codes).unwrap_or(bytes);
    let instruction = decode(&bytes, state.rip)?;
    crate::values::implicit(&instruction, c, &mut state);
    let address = address(&instruction, &state);
    crate::values::memory(&instruction, c, &mut state, address);
    let built = Built::of(&bytes, state)?;
    (!left_out::CASES.iter().any(|cases| (cases.applies)(&built))).then_some(built)
}

fn encode(i: &mut Instruction, rip: u64) -> Option<Vec<u8>> {
    for _ in 0..2 {
        let mut encoder = Encoder::new(64);
        if encoder.encode(i, rip).is_ok() {
            return Some(encoder.take_buffer());
        }
        // AH, CH, DH and BH do not go with a REX prefix.
        for n in 0..i.op_count() {
            if i.op_kind(n) == OpKind::Register
                && i.op_register(n) >= Register::AH
                && i.op_register(n) <= Register::BH
            {
                i.set_op_register(n, Register::DL);
            }
        }
    }
    None
}

fn gpr(size: usize, n: u8) -> Register {
    let first = match size {
        1 => return Register::AL + u32::from(n % 20),
        2 => Register::AX,
        4 => Register::EAX,
        _ => Register::RAX,
    };
    first + u32::from(n % 16)
}

fn operand(i: &mut Instruction, n: u32, kind: K, c: &Choices, state: &State) {
    let mut register = |register: Register| {
        i.set_op_kind(n, OpKind::Register);
        i.set_op_register(n, register);
    };
    let number = c.registers[n as usize];
    match kind {
        K::r8_or_mem | K::r8_reg | K::r8_opcode => register(gpr(1, number)),
        K::r16_or_mem | K::r16_reg | K::r16_opcode => register(gpr(2, number)),
        K::r32_or_mem | K::r32_reg | K::r32_opcode | K::r32_vvvv => register(gpr(4, number)),
        K::r64_or_mem | K::r64_reg | K::r64_opcode | K::r64_vvvv => register(gpr(8, number)),
        K::al => register(Register::AL),
        K::cl => register(Register::CL),
        K::ax => register(Register::AX),
        K::dx => register(Register::DX),
        K::eax => register(Register::EAX),
        K::rax => register(Register::RAX),
        K::imm8 | K::imm8_const_1 => {
            let second = n > 0 && i.op_kind(n - 1) == OpKind::Immediate16;
            i.set_op_kind(n, if second { OpKind::Immediate8_2nd } else { OpKind::Immediate8 });
            match (kind, second) {
                (K::imm8_const_1, _) => i.set_immediate8(1),
                (_, true) => i.set_immediate8_2nd(c.registers[2] % 34),
                _ => i.set_immediate8(c.immediate as u8),
            }
        }
        K::imm8sex16 => immediate(i, n, OpKind::Immediate8to16, c.immediate as i8 as u64),
        K::imm8sex32 => immediate(i, n, OpKind::Immediate8to32, c.immediate as i8 as u64),
        K::imm8sex64 => immediate(i, n, OpKind::Immediate8to64, c.immediate as i8 as u64),
        K::imm16 => immediate(i, n, OpKind::Immediate16, c.immediate & 0xFFFF),
        K::imm32 => immediate(i, n, OpKind::Immediate32, c.immediate & 0xFFFF_FFFF),
        K::imm32sex64 => immediate(i, n, OpKind::Immediate32to64, c.immediate as i32 as u64),
        K::imm64 => immediate(i, n, OpKind::Immediate64, c.immediate),
        K::seg_rSI => {
            i.set_op_kind(n, if c.one_of(4, 4) == 0 { OpKind::MemorySegESI } else { OpKind::MemorySegRSI });
        }
        K::es_rDI => {
            i.set_op_kind(n, if c.one_of(4, 4) == 0 { OpKind::MemoryESEDI } else { OpKind::MemoryESRDI });
        }
        K::seg_rBX_al => {
            i.set_op_kind(n, OpKind::Memory);
            i.set_memory_base(if c.one_of(4, 4) == 0 { Register::EBX } else { Register::RBX });
            i.set_memory_index(Register::AL);
        }
        K::br64_1 | K::br64_4 => {
            i.set_op_kind(n, OpKind::NearBranch64);
            i.set_near_branch64(state.rip + 16 + u64::from(c.registers[0] % 64));
        }
        _ => {}
    }
}

fn immediate(i: &mut Instruction, n: u32, kind: OpKind, value: u64) {
    i.set_op_kind(n, kind);
    i.set_immediate_u64(n, value);
}

/// Makes operand `n` memory at `target`: chooses base, index, scale, displacement and segment, and
/// sets the registers that lead there.
fn memory_operand(i: &mut Instruction, n: u32, kind: K, c: &Choices, state: &mut State, target: u64) {
    let gs = c.one_of(5, 16) == 0 && target >> 32 == 0;
    let segment = match c.one_of(5, 16) {
        0 if !gs => Register::None,
        0 => Register::GS,
        1 => [Register::ES, Register::CS, Register::SS, Register::DS][c.one_of(6, 4) as usize],
        _ => Register::None,
    };
    let target = if gs { target.wrapping_sub(GS_BASE) } else { target };
    if kind == K::mem_offs {
        i.set_op_kind(n, OpKind::Memory);
        i.set_memory_displ_size(8);
        i.set_memory_displacement64(target);
        i.set_segment_prefix(segment);
        return;
    }
    let reachable = i32::try_from(target as i64).is_ok();
    let small = c.one_of(6, 8) == 0 && reachable;
    let (size, all) = if small { (4, 0xFFFF_FFFF) } else { (8, u64::MAX) };
    let index = match c.registers[4] % 32 {
        4 | 16.. => None,
        register => Some(register),
    };
    let scale = 1 << c.one_of(7, 4);
    let base = match c.registers[3] % 20 {
        16 | 17 if reachable => None,
        18 | 19 if reachable && index.is_none() => {
            let memory = MemoryOperand::with_base_displ_size(Register::RIP, target as i64, 8);
            return set_memory(i, n, &memory, segment);
        }
        register => Some(register % 16),
    };
    let index = index.filter(|index| base != Some(*index));
    let scaled = index.map_or(0, |index| {
        if base.is_none() {
            state.gpr[usize::from(index)] = u64::from(c.registers[2]);
        }
        state.gpr[usize::from(index)].wrapping_mul(scale)
    });
    let displacement = match (base, c.one_of(2, 3)) {
        (None, _) => target.wrapping_sub(scaled) as i64,
        (_, 0) => 0,
        (_, 1) => i64::from(c.immediate as i8),
        _ => i64::from(c.immediate as i32),
    };
    if let Some(base) = base {
        let value = target.wrapping_sub(scaled).wrapping_sub(displacement as u64);
        let register = &mut state.gpr[usize::from(base)];
        *register = *register & !all | value & all;
    }
    let memory = MemoryOperand::new(
        base.map_or(Register::None, |n| gpr(size, n)),
        index.map_or(Register::None, |n| gpr(size, n)),
        scale as u32,
        displacement,
        if base.is_none() { size as u32 } else { u32::from(displacement != 0) * size as u32 },
        false,
        Register::None,
    );
    set_memory(i, n, &memory, segment);
}

fn set_memory(i: &mut Instruction, n: u32, memory: &MemoryOperand, segment: Register) {
    i.set_op_kind(n, OpKind::Memory);
    i.set_memory_base(memory.base);
    i.set_memory_index(memory.index);
    i.set_memory_index_scale(memory.scale);
    i.set_memory_displ_size(memory.displ_size);
    i.set_memory_displacement64(memory.displacement as u64);
    i.set_segment_prefix(segment);
}

fn prefixes(i: &mut Instruction, c: &Choices) {
    if i.is_string_instruction() {
        let repne = c.one_of(5, 3) == 2;
        let compares = COMPARISONS.contains(&i.mnemonic());
        i.set_has_rep_prefix(c.one_of(5, 3) == 1 || repne && !compares);
        i.set_has_repne_prefix(repne && compares);
    } else if i.code().op_code().can_use_lock_prefix() && i.op0_kind() == OpKind::Memory {
        i.set_has_lock_prefix(c.one_of(5, 3) == 0);
    }
}

/// The same bytes with one more prefix, when that is still an instruction that is compared.
fn changed(bytes: &[u8], c: &Choices, rip: u64, codes: &HashSet<Code>) -> Option<Vec<u8>> {
    let choice = c.one_of(4, 64) as usize;
    let prefix = *[0x40, 0x48, 0x44, 0x41, 0x42, 0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x65, 0xF2, 0xF3, 0xF0]
        .get(choice)?;
    let at = if prefix & 0xF0 == 0x40 { legacy_prefixes(bytes).count() } else { 0 };
    let mut changed = bytes.to_vec();
    changed.insert(at, prefix);
    let i = decode(&changed, rip)?;
    (changed.len() <= 15 && codes.contains(&i.code())).then_some(changed)
}
