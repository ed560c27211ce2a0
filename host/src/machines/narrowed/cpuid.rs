//! The CPUID that two machines have in common.

use fred::cpuid::{AMX_TILE, Feature, XFD, XSAVE};
use kvm_bindings::kvm_cpuid_entry2;
use vm::cpuid::has;

/// How one output register of a leaf that both have is made from two.
#[derive(Clone, Copy)]
enum Rule {
    /// Feature bits: those of both.
    And,
    /// A number, such as the highest leaf: the smaller one.
    Least,
    /// Fields of a byte each, such as address widths: the smaller of each.
    LeastBytes,
    /// The processor's vendor and signature, which the model follows and no guest of ours acts on: the first
    /// machine's.
    First,
    /// What guests of ours do not look at: 0.
    Zero,
}

use Rule::{And, First, Least, LeastBytes, Zero};

/// Leaf, sub-leaf, rules for EAX, EBX, ECX and EDX. Leaf 0xD has rules of its own; any other leaf is
/// kept where both machines answer the same.
const LEAVES: [(u32, u32, [Rule; 4]); 9] = [
    (0, 0, [Least, First, First, First]),
    // EBX has the APIC ID of the processor that was asked: the model's is 0, that of the only vCPU.
    (1, 0, [First, LeastBytes, And, And]),
    (7, 0, [Least, And, And, And]),
    (7, 1, [And, And, And, And]),
    (7, 2, [And, And, And, And]),
    (0x4000_0000, 0, [Least, And, And, And]),
    (0x8000_0000, 0, [Least, First, First, First]),
    (0x8000_0001, 0, [First, First, And, And]),
    (0x8000_0008, 0, [LeastBytes, And, Zero, Zero]),
];

const XSTATE: u32 = 0xD;
/// The legacy area and the XSAVE header, in bytes.
const XSAVE_BASE: u32 = 576;
/// x87 and SSE.
const LEGACY: u64 = 0b11;
/// Components that exist together or not at all: AVX-512, AMX.
const GROUPS: [u64; 2] = [0b111 << 5, 0b11 << 17];
const AMX: u64 = GROUPS[1];
const TILES: u32 = 0x1D;

impl Rule {
    fn apply(self, first: u32, second: u32) -> u32 {
        match self {
            Self::And => first & second,
            Self::Least => first.min(second),
            Self::LeastBytes => {
                let (first, second) = (first.to_le_bytes(), second.to_le_bytes());
                u32::from_le_bytes(std::array::from_fn(|byte| first[byte].min(second[byte])))
            }
            Self::First => first,
            Self::Zero => 0,
        }
    }
}

/// What both have, in the order of the first.
pub(super) fn intersection(first: &[kvm_cpuid_entry2], second: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    let components = components(first, second);
    let mut both: Vec<kvm_cpuid_entry2> = first
        .iter()
        .filter_map(|one| {
            let other = find(second, one.function, one.index)?;
            if one.function == XSTATE {
                return xstate(one, other, components, first);
            }
            if one.function == TILES && components & AMX == 0 {
                return None;
            }
            match LEAVES.iter().find(|(leaf, subleaf, _)| (*leaf, *subleaf) == (one.function, one.index)) {
                Some((_, _, rules)) => Some(with_outputs(one, combine(rules, one, other))),
                None => (outputs(one) == outputs(other)).then_some(*one),
            }
        })
        .collect();
    if components & AMX == 0 {
        without(&mut both, AMX_TILE);
        without(&mut both, XFD);
    }
    both
}

fn find(entries: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32) -> Option<&kvm_cpuid_entry2> {
    entries.iter().find(|entry| (entry.function, entry.index) == (leaf, subleaf))
}

fn outputs(entry: &kvm_cpuid_entry2) -> [u32; 4] {
    [entry.eax, entry.ebx, entry.ecx, entry.edx]
}

fn with_outputs(entry: &kvm_cpuid_entry2, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { eax, ebx, ecx, edx, ..*entry }
}

fn combine(rules: &[Rule; 4], one: &kvm_cpuid_entry2, other: &kvm_cpuid_entry2) -> [u32; 4] {
    let (one, other) = (outputs(one), outputs(other));
    std::array::from_fn(|register| rules[register].apply(one[register], other[register]))
}

fn without(entries: &mut [kvm_cpuid_entry2], feature: Feature) {
    let of_feature =
        |entry: &&mut kvm_cpuid_entry2| (entry.function, entry.index) == (feature.leaf, feature.subleaf);
    if let Some(entry) = entries.iter_mut().find(of_feature) {
        let mut registers = outputs(entry);
        registers[feature.register as usize] &= !feature.mask();
        *entry = with_outputs(entry, registers);
    }
}

/// The XCR0 components that both have, at the same place and with the same size in the XSAVE area.
/// Those of IA32_XSS are left out: no guest of ours sets it.
fn components(first: &[kvm_cpuid_entry2], second: &[kvm_cpuid_entry2]) -> u64 {
    let xcr0 = |entries: &[kvm_cpuid_entry2]| match find(entries, XSTATE, 0) {
        Some(leaf) if has(entries, XSAVE) => u64::from(leaf.edx) << 32 | u64::from(leaf.eax),
        _ => 0,
    };
    let mut both = xcr0(first) & xcr0(second);
    for component in 2..63 {
        let place = |entries| find(entries, XSTATE, component).map(outputs);
        if place(first) != place(second) {
            both &= !(1 << component);
        }
    }
    for group in GROUPS {
        if both & group != group {
            both &= !group;
        }
    }
    both
}

/// A sub-leaf of leaf 0xD for a guest that has `components`.
fn xstate(
    one: &kvm_cpuid_entry2,
    other: &kvm_cpuid_entry2,
    components: u64,
    all: &[kvm_cpuid_entry2],
) -> Option<kvm_cpuid_entry2> {
    if components == 0 {
        return None;
    }
    // Both sizes in sub-leaf 0, and the one in sub-leaf 1, as with all of XCR0 enabled.
    let size = (2..63)
        .filter(|component| components >> component & 1 != 0)
        .filter_map(|component| find(all, XSTATE, component))
        .map(|leaf| leaf.eax + leaf.ebx)
        .fold(XSAVE_BASE, u32::max);
    let (low, high) = (components as u32, (components >> 32) as u32);
    match one.index {
        0 => Some(with_outputs(one, [low, size, size, high])),
        1 => Some(with_outputs(one, [one.eax & other.eax, size, 0, 0])),
        component => (component < 64 && (components & !LEGACY) >> component & 1 != 0).then_some(*one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, index: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
        with_outputs(&kvm_cpuid_entry2 { function, index, ..Default::default() }, registers)
    }

    #[test]
    fn features_are_those_of_both_and_widths_the_smaller() {
        let one = [
            leaf(1, 0, [0xA, 0x1702_0800, 0b0111, 0b1100]),
            leaf(2, 0, [1, 2, 3, 4]),
            leaf(4, 0, [1, 2, 3, 4]),
            leaf(0x8000_0008, 0, [0x3930, 0, 7, 7]),
        ];
        let other = [
            leaf(0x8000_0008, 0, [0x302E, 0, 9, 9]),
            leaf(4, 0, [1, 2, 3, 5]),
            leaf(2, 0, [1, 2, 3, 4]),
            leaf(1, 0, [0xC, 0x0001_0800, 0b1110, 0b0110]),
            leaf(6, 0, [1, 0, 0, 0]),
        ];
        let both = intersection(&one, &other);
        assert_eq!(
            both,
            [
                leaf(1, 0, [0xA, 0x0001_0800, 0b0110, 0b0100]),
                leaf(2, 0, [1, 2, 3, 4]),
                leaf(0x8000_0008, 0, [0x302E, 0, 0, 0]),
            ]
        );
    }

    #[test]
    fn the_xsave_area_holds_what_both_keep_at_the_same_place() {
        let xsave = leaf(1, 0, [0, 0, XSAVE.mask(), 0]);
        let amx = leaf(7, 0, [1, 0, 0, AMX_TILE.mask()]);
        let states = |tile_data_offset| {
            [
                xsave,
                amx,
                leaf(0xD, 0, [0x0006_0007, 0x2B00, 0x2B00, 0]),
                leaf(0xD, 1, [0b1_0011, 0x2B00, 0x1800, 0]),
                leaf(0xD, 2, [256, 576, 0, 0]),
                leaf(0xD, 11, [16, 0, 1, 0]),
                leaf(0xD, 17, [64, 0xAC0, 2, 0]),
                leaf(0xD, 18, [0x2000, tile_data_offset, 6, 0]),
            ]
        };
        let same = intersection(&states(0xB00), &states(0xB00));
        assert_eq!(find(&same, 0xD, 0).map(outputs), Some([0x0006_0007, 0x2B00, 0x2B00, 0]));
        assert_eq!(find(&same, 0xD, 1).map(outputs), Some([0b1_0011, 0x2B00, 0, 0]));
        assert!(find(&same, 0xD, 18).is_some() && find(&same, 0xD, 11).is_none() && has(&same, AMX_TILE));

        let both = intersection(&states(0xB00), &states(0xB40));
        assert_eq!(find(&both, 0xD, 0).map(outputs), Some([0b111, 832, 832, 0]), "x87, SSE and AVX");
        assert!(find(&both, 0xD, 17).is_none() && find(&both, 0xD, 18).is_none());
        assert!(!has(&both, AMX_TILE) && !has(&both, XFD));

        let without = intersection(&states(0xB00), &[amx, leaf(1, 0, [0; 4])]);
        assert!(!without.iter().any(|entry| entry.function == 0xD), "no XSAVE in one of them");
    }
}
