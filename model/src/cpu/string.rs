//! String instructions and REP.

use super::core::Core;
use super::decoded::{Decoded, Handler, memory_segment};
use super::flags;
use super::operand::mask;
use super::scratch::Item;
use crate::cpuid::Vendor;
use crate::memory::{Memory, PAGE};
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::{Step, Stop};
use fred::control::rflags::{AC, DF, TF, ZF};
use iced_x86::{Instruction, Mnemonic, OpKind};

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Movsb | M::Movsw | M::Movsd | M::Movsq => |p, m, d| repeat(p, m, d, movs, false),
        M::Stosb | M::Stosw | M::Stosd | M::Stosq => |p, m, d| repeat(p, m, d, stos, false),
        M::Lodsb | M::Lodsw | M::Lodsd | M::Lodsq => |p, m, d| repeat(p, m, d, lods, false),
        M::Scasb | M::Scasw | M::Scasd | M::Scasq => |p, m, d| repeat(p, m, d, scas, true),
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq => |p, m, d| repeat(p, m, d, cmps, true),
        _ => return None,
    })
}

/// How many iterations are one step at most, so that no REP runs without a bound: each of them
/// counts against the entry's budget.
const CHUNK: u64 = 1 << 16;

impl Item {
    pub(crate) fn of(instruction: &Instruction) -> Self {
        let address_size = |kind| match kind {
            OpKind::MemorySegSI | OpKind::MemoryESDI => Some(2),
            OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(4),
            OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(8),
            _ => None,
        };
        let count = instruction.op_count();
        let address_size = (0..count).find_map(|i| address_size(instruction.op_kind(i))).unwrap_or(8);
        let segment = memory_segment(instruction);
        let while_equal = instruction.has_rep_prefix();
        let rep = while_equal || instruction.has_repne_prefix();
        Self { size: instruction.memory_size().size() as u8, address_size, segment, rep, while_equal }
    }
}

impl Core {
    /// RSI or RDI, advanced by `count` items as DF says.
    pub(crate) fn move_index(&mut self, register: u8, item: &Item, count: u64) {
        let by = count * u64::from(item.size);
        let old = self.gpr[usize::from(register)];
        let new = if self.flag(DF) { old.wrapping_sub(by) } else { old.wrapping_add(by) };
        self.set_gpr(register, item.address_size, new);
    }
}

/// One iteration, or up to as many as are given where nobody could tell; how many were made. Registers change only
/// when every access has succeeded.
type Iteration = fn(&mut Core, &mut Memory, &Item, u64) -> Result<u64, Box<Stop>>;

fn repeat(p: &mut Core, m: &mut Memory, d: &Decoded, iteration: Iteration, compares: bool) -> Step {
    let i = &d.instruction;
    if !i.is_string_instruction() {
        // The SSE2 instructions MOVSD and CMPSD have the same mnemonics.
        return Err(Stop::Unknown.into());
    }
    let item = Item::of(i);
    if !item.rep {
        return iteration(p, m, &item, 1).map(|_| ());
    }
    let status = p.rflags & flags::STATUS;
    let ended = iterations(p, m, &item, iteration, compares.then_some(i.has_rep_prefix()));
    if compares && !matches!(ended, Ok(true)) && p.features.vendor == Vendor::Intel {
        // SDM vol. 2, REP: "When a fault occurs during the execution of a CMPS or SCAS instruction that is
        // prefixed with REPE or REPNE, the EFLAGS value is restored to the state prior to the execution of
        // the instruction." So it is after a trap between two iterations, measured under single step.
        // AMD's processors leave what the last comparison set: its manual says nothing, measured too.
        p.set_status(status);
    }
    p.scratch.repeat = matches!(ended, Ok(false));
    ended.map(|_| ())
}

/// Iterations up to the end, which is `true`, or to the next boundary; of a comparison with the ZF that
/// continues it.
fn iterations(
    p: &mut Core,
    m: &mut Memory,
    item: &Item,
    iteration: Iteration,
    while_zero: Option<bool>,
) -> Result<bool, Box<Stop>> {
    // Traps come after each iteration.
    let trapping = p.flag(TF) || p.has_breakpoints();
    let chunk = if trapping { 1 } else { CHUNK };
    let mut done = 0;
    while done < chunk {
        p.scratch.iterations = done;
        let count = p.gpr(1, item.address_size);
        if count == 0 {
            return Ok(true);
        }
        let made = iteration(p, m, item, count.min(chunk - done))?;
        done += made;
        // The instruction itself counts for one.
        p.scratch.iterations = done - 1;
        p.set_gpr(1, item.address_size, (count - made) & mask(item.address_size));
        if count == made || while_zero.is_some_and(|zero| p.flag(ZF) != zero) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn load(p: &mut Core, m: &mut Memory, item: &Item, segment: u8, register: u8) -> Result<u64, Box<Stop>> {
    let offset = p.gpr(register, item.address_size);
    let place = p.data(m, segment, offset, item.size.into(), Kind::Read)?;
    Ok(m.load_number(&place, item.size.into()))
}

/// The most bytes that one access moves: most strings are short, and what holds them is cleared first.
const BATCH: usize = 512;

/// How many items one access may move without a difference that anyone could tell: those that lie in one page of
/// each operand.
fn together(p: &Core, item: &Item, most: u64, registers: &[u8]) -> u64 {
    let apart = !p.is_64_bit() || item.address_size != 8 || matches!(item.segment, seg::FS | seg::GS);
    if most == 1 || apart || p.flag(DF) || p.flag(AC) || p.has_breakpoints() {
        return 1;
    }
    let fitting = |&register: &u8| (PAGE as u64 - p.gpr(register, 8) % PAGE as u64) / u64::from(item.size);
    let batch = BATCH as u64 / u64::from(item.size);
    registers.iter().map(fitting).min().unwrap_or(1).clamp(1, most.min(batch))
}

fn movs(p: &mut Core, m: &mut Memory, item: &Item, most: u64) -> Result<u64, Box<Stop>> {
    let count = together(p, item, most, &[6, 7]);
    let size = count as usize * usize::from(item.size);
    let from = p.data(m, item.segment, p.gpr(6, item.address_size), size, Kind::Read)?;
    let to = p.data(m, seg::ES, p.gpr(7, item.address_size), size, Kind::Write)?;
    // A store into the source, or into a page table, is seen by the next iteration.
    let count = if count == 1 || from.overlaps(&to, size) || m.is_used_at(&to) { 1 } else { count };
    if count == 1 {
        let value = m.load_number(&from, item.size.into());
        m.store_number(&to, item.size.into(), value);
    } else {
        let mut bytes = [0; BATCH];
        m.load_place(&from, &mut bytes[..size]);
        m.store_place(&to, &bytes[..size]);
    }
    p.move_index(6, item, count);
    p.move_index(7, item, count);
    Ok(count)
}

fn stos(p: &mut Core, m: &mut Memory, item: &Item, most: u64) -> Result<u64, Box<Stop>> {
    let count = together(p, item, most, &[7]);
    let one = usize::from(item.size);
    let size = count as usize * one;
    let to = p.data(m, seg::ES, p.gpr(7, item.address_size), size, Kind::Write)?;
    let count = if m.is_used_at(&to) { 1 } else { count };
    if count == 1 {
        m.store_number(&to, one, p.gpr[0]);
    } else {
        let mut bytes = [0; BATCH];
        bytes[..size]
            .chunks_exact_mut(one)
            .for_each(|item| item.copy_from_slice(&p.gpr[0].to_le_bytes()[..one]));
        m.store_place(&to, &bytes[..size]);
    }
    p.move_index(7, item, count);
    Ok(count)
}

fn lods(p: &mut Core, m: &mut Memory, item: &Item, _: u64) -> Result<u64, Box<Stop>> {
    let value = load(p, m, item, item.segment, 6)?;
    p.set_gpr(0, item.size, value);
    p.move_index(6, item, 1);
    Ok(1)
}

fn scas(p: &mut Core, m: &mut Memory, item: &Item, _: u64) -> Result<u64, Box<Stop>> {
    let value = load(p, m, item, seg::ES, 7)?;
    let (_, status) = flags::subtract(p.gpr(0, item.size), value, false, item.size);
    p.set_status(status);
    p.move_index(7, item, 1);
    Ok(1)
}

fn cmps(p: &mut Core, m: &mut Memory, item: &Item, most: u64) -> Result<u64, Box<Stop>> {
    let count = if item.while_equal { together(p, item, most, &[6, 7]) } else { 1 };
    let one = usize::from(item.size);
    let size = count as usize * one;
    let a = p.data(m, item.segment, p.gpr(6, item.address_size), size, Kind::Read)?;
    let b = p.data(m, seg::ES, p.gpr(7, item.address_size), size, Kind::Read)?;
    let (mut left, mut right) = ([0; BATCH], [0; BATCH]);
    m.load_place(&a, &mut left[..size]);
    m.load_place(&b, &mut right[..size]);
    let mut items = left[..size].chunks_exact(one).zip(right[..size].chunks_exact(one));
    let equal = items.clone().take_while(|(a, b)| a == b).count();
    // The last one that is compared decides.
    let last = equal.min(count as usize - 1);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (a, b) = items.nth(last).map_or((0, 0), |(a, b)| (number(a), number(b)));
    let (_, status) = flags::subtract(a, b, false, item.size);
    p.set_status(status);
    let made = last as u64 + 1;
    p.move_index(6, item, made);
    p.move_index(7, item, made);
    Ok(made)
}
