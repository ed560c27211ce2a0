//! The data accesses of an instruction: where they are, and which of them can fault.

use crate::built::Built;
use crate::state::{CODE, DATA, DATA_SIZE, GS_BASE, PAGE, STACK, STACK_SIZE};
use crate::when::{has_narrow_address, is_canonical, mask};
use iced_x86::{Mnemonic as M, OpKind, Register};

/// One access, by its linear address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) address: u64,
    pub(crate) size: usize,
}

impl Access {
    /// Whether alignment checking lets it pass.
    pub(crate) fn is_aligned(&self) -> bool {
        !matches!(self.size, 2 | 4 | 8) || self.address.is_multiple_of(self.size as u64)
    }

    /// Whether all of it is in one of the places that are mapped.
    pub(crate) fn is_mapped(&self) -> bool {
        [(CODE, PAGE), (STACK, STACK_SIZE as u64), (DATA, DATA_SIZE as u64)].into_iter().any(
            |(start, size)| self.address.checked_sub(start).is_some_and(|at| at + self.size as u64 <= size),
        )
    }

    /// Whether it faults, with alignment checking or without.
    pub(crate) fn may_fault(&self, checked: bool) -> bool {
        !self.is_mapped() || checked && !self.is_aligned()
    }
}

const AC: u64 = 1 << 18;
const DF: u64 = 1 << 10;

impl Built {
    /// The access of the memory operand that the instruction names, if it makes one.
    pub(crate) fn memory_access(&self) -> Option<Access> {
        let i = &self.instruction;
        let named = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
        let idle =
            matches!(i.mnemonic(), M::Lea | M::Nop | M::Prefetcht0 | M::Prefetchw | M::Invlpg | M::Ud1);
        let size = i.memory_size().size();
        let mut address = self.address;
        if matches!(i.mnemonic(), M::Bt | M::Bts | M::Btr | M::Btc) && i.op1_kind() == OpKind::Register {
            // The bit string reaches beyond the operand, to either side.
            let unused = 64 - 8 * size as u32;
            let offset = self.case.before.gpr[i.op1_register().full_register().number()];
            let offset = (offset << unused) as i64 >> unused;
            let shift = offset.div_euclid(8 * size as i64).wrapping_mul(size as i64);
            address = address.wrapping_add_signed(shift);
        }
        (named && !idle).then_some(Access { address, size })
    }

    /// The access of the stack pointer, or of what takes its place.
    fn stack_access(&self) -> Option<Access> {
        let i = &self.instruction;
        let (stack, frame) = (self.case.before.gpr[4], self.case.before.gpr[5]);
        let word = if self.has_prefix(0x66) { 2 } else { 8 };
        let (address, size) = match i.mnemonic() {
            M::Leave => (frame, word),
            M::Ret => (stack, 8),
            _ if i.stack_pointer_increment() < 0 => {
                let size = i.stack_pointer_increment().unsigned_abs() as usize;
                (stack.wrapping_sub(size as u64), size)
            }
            _ if i.stack_pointer_increment() > 0 => (stack, i.stack_pointer_increment() as usize),
            _ => return None,
        };
        (i.mnemonic() != M::Enter).then_some(Access { address, size })
    }

    /// All of them, but those of ENTER; of a string instruction those of the iteration that starts with
    /// these registers.
    pub(crate) fn accesses(&self, gpr: &[u64; 16]) -> Vec<Access> {
        let i = &self.instruction;
        if i.is_string_instruction() {
            let (size, wide) = (i.memory_size().size(), mask(if has_narrow_address(i) { 4 } else { 8 }));
            let base = if i.memory_segment() == Register::GS { GS_BASE } else { 0 };
            let one = |kind| match kind {
                OpKind::MemorySegESI | OpKind::MemorySegRSI => Some((gpr[6] & wide).wrapping_add(base)),
                OpKind::MemoryESEDI | OpKind::MemoryESRDI => Some(gpr[7] & wide),
                _ => None,
            };
            let addresses = (0..i.op_count()).filter_map(|n| one(i.op_kind(n)));
            return addresses.map(|address| Access { address, size }).collect();
        }
        self.memory_access().into_iter().chain(self.stack_access()).collect()
    }

    pub(crate) fn first_accesses(&self) -> Vec<Access> {
        self.accesses(&self.case.before.gpr)
    }

    /// Whether an indirect CALL leads where no branch can: a fault as well.
    fn target_faults(&self) -> bool {
        let (i, before) = (&self.instruction, &self.case.before);
        let target = match (i.mnemonic(), self.memory_access()) {
            (M::Call, Some(access)) => before.get(access.address, 8),
            (M::Call, None) if i.op0_kind() == OpKind::Register => {
                before.gpr[i.op0_register().full_register().number()]
            }
            _ => return false,
        };
        !is_canonical(target, 48)
    }

    /// Whether two accesses of the instruction, or of an iteration of it, both fault.
    pub(crate) fn two_may_fault(&self) -> bool {
        let (i, before) = (&self.instruction, &self.case.before);
        let checked = before.rflags & AC != 0;
        let repeats = i.is_string_instruction() && (i.has_rep_prefix() || i.has_repne_prefix());
        let iterations = if repeats { before.gpr[1] & 0xFF } else { 1 };
        let size = i.memory_size().size() as u64;
        (0..iterations).any(|n| {
            let by = if before.rflags & DF != 0 { (n * size).wrapping_neg() } else { n * size };
            let mut gpr = before.gpr;
            gpr[6] = gpr[6].wrapping_add(by);
            gpr[7] = gpr[7].wrapping_add(by);
            let faulting = self.accesses(&gpr).iter().filter(|access| access.may_fault(checked)).count();
            faulting + usize::from(self.target_faults()) > 1
        })
    }
}
