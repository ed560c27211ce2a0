//! Compares XSAVE areas, component by component.
//!
//! A component whose bit in XSTATE_BV is 0 is in its initial state, whatever its bytes say; and one
//! that is in its initial state may or may not have its bit set. A guest can distinguish neither.

use super::Field;
use super::field::Register;
use crate::difference::{Difference, first_difference};
use kvm_bindings::kvm_cpuid_entry2;
use std::borrow::Cow;
use std::ops::Range;

/// CPUID's leaf about XSAVE; a sub-leaf from 2 on is a component, EAX its size, EBX its offset.
pub(super) const LEAF: u32 = 0xD;
/// XSTATE_BV.
const HEADER: usize = 512;
/// MXCSR lies in the middle of the x87 state and belongs to SSE (and AVX).
const MXCSR: Range<usize> = 24..28;
/// Components that are in the legacy area.
const LEGACY: usize = 2;

/// Where the state of each component lies that the guest's CPUID has. Bytes 28..32, MXCSR_MASK, are
/// a constant of the processor; bytes 416..512 are available to software.
fn components(cpuid: &[kvm_cpuid_entry2]) -> Vec<(usize, Field, Range<usize>)> {
    let mut all = vec![
        (0, Register::X87Control.into(), 0..24),
        (0, Register::X87Registers.into(), 32..160),
        (1, Register::XmmRegisters.into(), 160..416),
    ];
    for entry in cpuid {
        // ECX bit 0: a supervisor component, which has no place in the standard format.
        if entry.function == LEAF && entry.index as usize >= LEGACY && entry.eax != 0 && entry.ecx & 1 == 0 {
            let start = entry.ebx as usize;
            let field = Field::XsaveComponent(entry.index);
            all.push((entry.index as usize, field, start..start.saturating_add(entry.eax as usize)));
        }
    }
    all
}

/// Calls `found` for each component that differs, with the first bytes that do.
pub(super) fn compare(
    cpuid: &[kvm_cpuid_entry2],
    saved: &[u8],
    back: &[u8],
    mut found: impl FnMut(Difference),
) {
    for (number, field, range) in components(cpuid) {
        if !has(saved, number) && !has(back, number) {
            continue;
        }
        let (was, is) = (bytes(saved, number, &range), bytes(back, number, &range));
        if let Some((expected, got)) = first_difference(&was, &is, range.start) {
            found(Difference { field, expected, got });
        }
    }
    let (was, is) = (mxcsr(saved), mxcsr(back));
    if was != is {
        found(Difference { field: Register::Mxcsr.into(), expected: was.into(), got: is.into() });
    }
}

fn has(area: &[u8], component: usize) -> bool {
    let bits = area.get(HEADER..HEADER + 8).and_then(|bytes| bytes.first_chunk().copied());
    component < 64 && bits.map_or(0, u64::from_le_bytes) >> component & 1 != 0
}

/// The bytes of a component, or those of its initial state.
fn bytes<'a>(area: &'a [u8], component: usize, range: &Range<usize>) -> Cow<'a, [u8]> {
    match area.get(range.clone()) {
        Some(bytes) if has(area, component) => Cow::Borrowed(bytes),
        _ => {
            let mut initial = vec![0; range.len()];
            if range.start == 0 {
                initial[..2].copy_from_slice(&0x037F_u16.to_le_bytes());
            }
            Cow::Owned(initial)
        }
    }
}

/// XRSTOR takes MXCSR from the area where SSE or AVX is there, and XSAVE writes it for either.
fn mxcsr(area: &[u8]) -> u32 {
    let value = area.get(MXCSR).and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u32::from_le_bytes);
    if has(area, 1) || has(area, 2) { value } else { 0x1F80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(bits: u64) -> Vec<u8> {
        let mut area = vec![0; 4096];
        area[HEADER..HEADER + 8].copy_from_slice(&bits.to_le_bytes());
        area[MXCSR].copy_from_slice(&0x1F80_u32.to_le_bytes());
        area[..2].copy_from_slice(&0x037F_u16.to_le_bytes());
        area
    }

    fn found(saved: &[u8], back: &[u8]) -> Vec<Difference> {
        let avx = kvm_cpuid_entry2 { function: LEAF, index: 2, eax: 256, ebx: 576, ..Default::default() };
        let mut all = Vec::new();
        compare(&[avx], saved, back, |difference| all.push(difference));
        all
    }

    #[test]
    fn an_initial_component_is_equal_with_and_without_its_bit() {
        let mut garbage = area(0b011);
        garbage[576] = 9;
        assert_eq!(found(&garbage, &area(0b111)), []);
        garbage[HEADER] = 0b111;
        let differences = found(&garbage, &area(0b011));
        let [Difference { field, expected, got }] = differences.as_slice() else { unreachable!() };
        assert_eq!(
            [field.to_string(), expected.to_string(), got.to_string()],
            ["XSAVE component 2", "0900000000000000 at byte 576", "0000000000000000 at byte 576"]
        );
    }

    #[test]
    fn each_part_of_the_legacy_area_has_a_name() {
        for (at, name) in [(2, "x87 control"), (24, "MXCSR"), (33, "x87 registers"), (175, "XMM registers")] {
            let mut changed = area(0b011);
            changed[at] ^= 0x40;
            let differences = found(&area(0b011), &changed);
            let names: Vec<_> = differences.iter().map(|one| one.field.to_string()).collect();
            assert_eq!(names, [name], "byte {at}");
        }
        for at in [28, 470] {
            let mut changed = area(0b011);
            changed[at] ^= 0x40;
            assert_eq!(found(&area(0b011), &changed), [], "byte {at} is no state");
        }
    }
}
