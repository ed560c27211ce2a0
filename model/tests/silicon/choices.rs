//! What proptest chooses for one execution.

use proptest::prelude::*;

/// Numbers that an instruction and its operands are made of; see [`crate::case`].
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    /// Which form, modulo their number; the processor may not have it.
    pub(crate) form: usize,
    pub(crate) gpr: [u64; 16],
    pub(crate) flags: u64,
    /// Register operands, then base and index.
    pub(crate) registers: [u8; 5],
    pub(crate) immediate: u64,
    /// Where a memory operand, RSI and RDI, the stack and the code lie.
    pub(crate) places: [Spot; 5],
    /// Yes-or-no and one-of-a-few choices.
    pub(crate) bits: u64,
    pub(crate) memory: u64,
}

/// A place in a range of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    /// So many bytes from its start, modulo its size.
    Inside(u16),
    /// So many bytes before (or after) its end, its start or its middle.
    Edge(u8, i8),
    /// Nowhere near: the number-th of a few addresses that nothing is mapped at.
    Away(u8),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => any::<u64>(),
        2 => 0..70u64,
        1 => any::<i8>().prop_map(|n| n as u64),
        3 => prop::sample::select(
            &[0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 63, u64::MAX >> 1][..]
        ),
    ]
}

fn spot() -> impl Strategy<Value = Spot> {
    prop_oneof![
        20 => any::<u16>().prop_map(Spot::Inside),
        5 => (0..3u8, -20..20i8).prop_map(|(edge, by)| Spot::Edge(edge, by)),
        1 => any::<u8>().prop_map(Spot::Away),
    ]
}

pub(crate) fn choices() -> impl Strategy<Value = Choices> {
    (
        any::<usize>(),
        prop::array::uniform16(number()),
        any::<u64>(),
        any::<[u8; 5]>(),
        number(),
        prop::array::uniform5(spot()),
        any::<u64>(),
        number(),
    )
        .prop_map(|(form, gpr, flags, registers, immediate, places, bits, memory)| Choices {
            form,
            gpr,
            flags,
            registers,
            immediate,
            places,
            bits,
            memory,
        })
}

impl Choices {
    /// One of `n` by the `at`-th field of eight bits.
    pub(crate) fn one_of(&self, at: u32, n: u64) -> u64 {
        (self.bits.rotate_right(at * 8) & 0xFFFF) % n
    }
}

impl Spot {
    /// The address in `size` bytes at `start`.
    pub(crate) fn address(self, start: u64, size: u64) -> u64 {
        match self {
            Self::Inside(by) => start + u64::from(by) % size,
            Self::Edge(edge, by) => {
                let at = start + u64::from(edge) * size / 2;
                at.wrapping_add_signed(by.into())
            }
            Self::Away(n) => match n % 4 {
                0 => 0x8000_0000_0000_0000,
                1 => 0xFFFF_8000_0000_1000,
                // Not canonical, with 57 bits neither.
                2 => 0x0100_0000_0000_0000,
                _ => 0x0F_8000,
            },
        }
    }
}
