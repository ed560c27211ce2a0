//! What an instruction starts from and ends in, the same for the processor and the model.

use crate::row::bits;

/// The page that holds the instruction, filled with INT3.
pub(crate) const CODE: u64 = 0x10_0000;
/// One page of stack.
pub(crate) const STACK: u64 = 0x18_0000;
/// Two pages of data.
pub(crate) const DATA: u64 = 0x19_0000;
pub(crate) const PAGE: u64 = 0x1000;
pub(crate) const DATA_SIZE: usize = 0x2000;
pub(crate) const STACK_SIZE: usize = 0x1000;
/// GS.base: below everything that an operand names, so that offsets are positive.
pub(crate) const GS_BASE: u64 = CODE;
/// The unmapped memory around CODE, STACK and DATA.
pub(crate) const RESERVED: std::ops::Range<u64> = 0x0F_0000..0x1C_0000;

/// Bits of RFLAGS that are compared: the status flags, DF, TF, AC and ID, and RF.
pub(crate) const FLAGS: u64 = 0x25_0DD5;

/// INT3: whatever an instruction jumps to in the code page.
pub(crate) const FILLER: u8 = 0xCC;

/// Registers and memory, and how the instruction ended.
#[repr(C)]
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) gpr: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    /// The exception: 3 when the instruction completed and the INT3 after it was met.
    pub(crate) vector: u64,
    pub(crate) error: u64,
    /// #PF's address; 0 for others.
    pub(crate) address: u64,
    pub(crate) stack: [u8; STACK_SIZE],
    pub(crate) data: [u8; DATA_SIZE],
}

/// An instruction and what it starts from.
#[repr(C)]
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) before: State,
    pub(crate) bytes: [u8; 16],
    pub(crate) length: usize,
}

impl Case {
    pub(crate) fn code(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The bytes of the instruction that lie in the code page.
    pub(crate) fn mapped_code(&self) -> &[u8] {
        let left = (CODE + PAGE - self.before.rip) as usize;
        &self.bytes[..self.length.min(left)]
    }
}

/// Where a byte is kept.
enum Place {
    Stack(usize),
    Data(usize),
}

fn place(at: u64) -> Option<Place> {
    let within = |start: u64, size: usize| {
        at.checked_sub(start).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < size)
    };
    within(STACK, STACK_SIZE).map(Place::Stack).or_else(|| within(DATA, DATA_SIZE).map(Place::Data))
}

impl State {
    /// Random-looking memory, the same each time; everything else 0.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = Self {
            gpr: [0; 16],
            rip: CODE,
            rflags: 0x202,
            vector: 0,
            error: 0,
            address: 0,
            stack: [0; STACK_SIZE],
            data: [0; DATA_SIZE],
        };
        let mut word = seed | 1;
        for chunk in state.stack.chunks_exact_mut(8).chain(state.data.chunks_exact_mut(8)) {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            // Runs of equal bytes, which string comparisons need.
            let value = if word >> 60 < 6 { 0 } else { word };
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        state
    }

    /// Writes the bytes that lie in the stack or the data.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        for (n, byte) in (0u64..).zip(bytes) {
            match place(at.wrapping_add(n)) {
                Some(Place::Stack(at)) => self.stack[at] = *byte,
                Some(Place::Data(at)) => self.data[at] = *byte,
                None => {}
            }
        }
    }

    /// Up to eight bytes of stack or data; anything outside them reads as 0.
    pub(crate) fn get(&self, at: u64, size: usize) -> u64 {
        let mut bytes = [0; 8];
        for (n, byte) in (0u64..).zip(bytes.iter_mut().take(size)) {
            *byte = match place(at.wrapping_add(n)) {
                Some(Place::Stack(at)) => self.stack[at],
                Some(Place::Data(at)) => self.data[at],
                None => 0,
            };
        }
        u64::from_le_bytes(bytes)
    }

    /// Where two states differ: the parts, and in words at most a few places of memory.
    pub(crate) fn differences(&self, other: &Self) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let mut compare = |part: u64, what: &str, a: u64, b: u64| {
            if a != b && part != 0 {
                found.push((part, format!("{what} {a:#x} instead of {b:#x}")));
            }
        };
        compare(bits::FAULTED, "ended by a fault:", self.faulted().into(), other.faulted().into());
        let which = if self.faulted() && other.faulted() { bits::WHICH_FAULT } else { bits::FAULTED };
        compare(which, "exception", self.vector, other.vector);
        compare(which, "error code", self.error, other.error);
        compare(which, "address", self.address, other.address);
        compare(bits::RIP, "RIP", self.rip, other.rip);
        let flags = (self.rflags ^ other.rflags) & FLAGS;
        compare(flags, "RFLAGS", self.rflags & FLAGS, other.rflags & FLAGS);
        for n in 0..16 {
            let differing = self.gpr[n] ^ other.gpr[n];
            let low = if differing as u32 != 0 { bits::low(n) } else { 0 };
            let upper = if differing >> 32 != 0 { bits::upper(n) } else { 0 };
            compare(low | upper, &format!("register {n}"), self.gpr[n], other.gpr[n]);
        }
        for (start, here, there) in
            [(STACK, &self.stack[..], &other.stack[..]), (DATA, &self.data, &other.data)]
        {
            for (at, (a, b)) in (start..).zip(here.iter().zip(there)).filter(|(_, (a, b))| a != b).take(16) {
                compare(bits::MEMORY, &format!("memory at {at:#x}"), (*a).into(), (*b).into());
            }
        }
        found
    }

    /// Whether an instruction, this one or the next, ended by a fault: anything but INT3 and a trap.
    pub(crate) fn faulted(&self) -> bool {
        !matches!(self.vector, 1 | 3)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RIP {:x}, RFLAGS {:x}, registers {:x?}", self.rip, self.rflags, self.gpr)?;
        match self.vector {
            0 if self.error == 0 && self.address == 0 => Ok(()),
            vector => write!(f, ", exception {vector}({:#x}), address {:#x}", self.error, self.address),
        }
    }
}
