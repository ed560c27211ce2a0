//! What an instruction starts from and ends in, the same for the processor and the model.

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
/// What surrounds CODE, STACK and DATA and is mapped by nobody.
pub(crate) const RESERVED: std::ops::Range<u64> = 0x0F_0000..0x1C_0000;

/// INT3: whatever an instruction jumps to in the code page.
pub(crate) const FILLER: u8 = 0xCC;

/// Registers and memory, and how the instruction ended.
#[repr(C)]
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) gpr: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    /// The exception: 3 when the instruction completed and the INT3 behind it was met.
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
            if let Some(place) = self.byte(at.wrapping_add(n)) {
                *place = *byte;
            }
        }
    }

    /// Up to eight bytes of stack or data; what lies elsewhere reads as 0.
    pub(crate) fn get(&mut self, at: u64, size: usize) -> u64 {
        let mut bytes = [0; 8];
        for (n, byte) in (0u64..).zip(bytes.iter_mut().take(size)) {
            *byte = self.byte(at.wrapping_add(n)).map_or(0, |place| *place);
        }
        u64::from_le_bytes(bytes)
    }

    fn byte(&mut self, at: u64) -> Option<&mut u8> {
        if (STACK..STACK + STACK_SIZE as u64).contains(&at) {
            return self.stack.get_mut((at - STACK) as usize);
        }
        self.data.get_mut(usize::try_from(at.checked_sub(DATA)?).ok()?)
    }

    /// Where two states differ, at most a few places; flags outside `flags` and `gpr` do not count.
    pub(crate) fn differences(&self, other: &Self, flags: u64, ignored_gpr: Option<usize>) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: String, a: u64, b: u64| {
            if a != b {
                found.push(format!("{what} {a:#x} instead of {b:#x}"));
            }
        };
        compare("exception".into(), self.vector, other.vector);
        compare("error code".into(), self.error, other.error);
        compare("address".into(), self.address, other.address);
        compare("RIP".into(), self.rip, other.rip);
        compare("RFLAGS".into(), self.rflags & flags, other.rflags & flags);
        for n in (0..16).filter(|n| Some(*n) != ignored_gpr) {
            compare(format!("register {n}"), self.gpr[n], other.gpr[n]);
        }
        for (start, here, there) in
            [(STACK, &self.stack[..], &other.stack[..]), (DATA, &self.data, &other.data)]
        {
            if here != there {
                for (at, (a, b)) in
                    (start..).zip(here.iter().zip(there)).filter(|(_, (a, b))| a != b).take(16)
                {
                    compare(format!("memory at {at:#x}"), u64::from(*a), u64::from(*b));
                }
            }
        }
        found
    }
}
