//! Values that make an instruction do something worth comparing: operands it does not name, and
//! memory that it finds.

use crate::choices::{Choices, Spot};
use crate::state::{CODE, DATA, DATA_SIZE, GS_BASE, STACK, STACK_SIZE, State};
use crate::when::operand_size;
use iced_x86::{Instruction, Mnemonic as M, OpKind, Register};

const AC: u64 = 1 << 18;

/// Keeps the upper half of a register when the address is 32 bits wide.
fn point(state: &mut State, register: usize, address: u64, wide: bool) {
    let all = if wide { u64::MAX } else { 0xFFFF_FFFF };
    state.gpr[register] = state.gpr[register] & !all | address & all;
}

/// Registers that the instruction uses without naming them.
pub(crate) fn implicit(i: &Instruction, c: &Choices, state: &mut State) {
    if i.is_string_instruction() {
        let wide =
            (0..i.op_count()).all(|n| !matches!(i.op_kind(n), OpKind::MemorySegESI | OpKind::MemoryESEDI));
        let base = if i.memory_segment() == Register::GS { GS_BASE } else { 0 };
        let source = c.places[1].address(DATA, DATA_SIZE as u64).wrapping_sub(base);
        // Cases in which both operands fault are left out.
        let compares = matches!(i.mnemonic(), M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq);
        let both = !matches!(c.places[2], Spot::Inside(_)) || state.rflags & AC != 0;
        let source = if compares && both { (DATA + 0x800).wrapping_sub(base) } else { source };
        point(state, 6, source, wide);
        point(state, 7, c.places[2].address(DATA, DATA_SIZE as u64), wide);
        if i.has_rep_prefix() || i.has_repne_prefix() {
            point(state, 1, u64::from(c.registers[0] % 40), wide);
        }
        return;
    }
    let in_stack = || c.places[1].address(STACK, STACK_SIZE as u64);
    match i.mnemonic() {
        M::Xlatb => {
            let base = if i.memory_segment() == Register::GS { GS_BASE } else { 0 };
            let wide = i.memory_base() == Register::RBX;
            let table = c.places[0].address(DATA, DATA_SIZE as u64).wrapping_sub(base);
            point(state, 3, table.wrapping_sub(state.gpr[0] & 0xFF), wide);
        }
        M::Leave | M::Enter => state.gpr[5] = in_stack(),
        M::Div | M::Idiv if c.one_of(1, 2) == 0 && i.op0_kind() != OpKind::Memory => {
            // Quotients that fit.
            let sign = if i.mnemonic() == M::Idiv && state.gpr[0] >> 63 != 0 { u64::MAX } else { 0 };
            state.gpr[2] = sign;
        }
        M::Bt | M::Bts | M::Btr | M::Btc
            if i.op0_kind() == OpKind::Memory && i.op1_kind() == OpKind::Register && c.one_of(1, 8) != 0 =>
        {
            // Not a register that the address is made of: that would move it.
            let offset = i.op1_register().full_register();
            if offset != i.memory_base().full_register() && offset != i.memory_index().full_register() {
                state.gpr[offset.number()] = (c.immediate as i16 >> 2) as u64;
            }
        }
        M::Jmp | M::Call if i.op0_kind() == OpKind::Register && !is_random_target(c) => {
            state.gpr[i.op0_register().number()] = CODE + 0x400 + c.immediate % 64;
        }
        _ => {}
    }
}

/// Whether a branch target stays random.
fn is_random_target(c: &Choices) -> bool {
    c.one_of(1, 8) == 0
}

/// Memory that the instruction reads.
pub(crate) fn memory(i: &Instruction, c: &Choices, state: &mut State, address: u64) {
    let stack = state.gpr[4];
    match i.mnemonic() {
        M::Ret if c.one_of(1, 8) != 0 => state.put(stack, &(CODE + 0x400 + c.immediate % 64).to_le_bytes()),
        M::Jmp | M::Call if i.op0_kind() == OpKind::Memory && !is_random_target(c) => {
            state.put(address, &(CODE + 0x400 + c.immediate % 64).to_le_bytes());
        }
        // Everything but NT (14) and what the processor keeps: the kernel does not like NT.
        M::Popf | M::Popfq => {
            let image = state.get(stack, 8) & !0x4000;
            state.put(stack, &image.to_le_bytes());
        }
        M::Cmpxchg if c.one_of(1, 2) == 0 => {
            let size = operand_size(i);
            let value = match i.op0_kind() {
                OpKind::Memory => state.get(address, size),
                _ => state.gpr[i.op0_register().full_register().number()],
            };
            let used = |register: Register| register.full_register() == Register::RAX;
            if !used(i.memory_base()) && !used(i.memory_index()) && i.op0_register() != Register::AH {
                state.gpr[0] = value;
            }
        }
        M::Cmpxchg8b | M::Cmpxchg16b if c.one_of(1, 2) == 0 => {
            let half = i.memory_size().size() / 2;
            state.put(address, &state.gpr[0].to_le_bytes()[..half]);
            state.put(address + half as u64, &state.gpr[2].to_le_bytes()[..half]);
        }
        _ => {}
    }
}
