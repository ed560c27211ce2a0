//! The capability that makes `kvm_vcpu_events` carry an exception's nested bit:
//! KVM_CAP_EXCEPTION_NESTED_FLAG of the FRED series.
//!
//! It is not merged and has no number. It was posted as 239, 240, 243, 244 and 245, and each time
//! upstream gave the number to something else. So no number is believed: each that this kernel offers
//! is enabled in a VM made for it, and the capability is the one with which KVM_SET_VCPU_EVENTS takes
//! flag 0x40 and KVM_GET_VCPU_EVENTS gives the bit back. Whatever else a number means, it has no effect
//! on any other VM, and one that does not pass is enabled nowhere else.

use std::fmt;
use std::ops::RangeInclusive;

/// Where the number may be: from the first that was posted on. Linux 6.19 uses them up to 246.
const NUMBERS: RangeInclusive<u32> = 239..=511;

/// How this KVM is made to carry the nested bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NestedFlag {
    /// No way was found.
    #[default]
    NotOffered,
    /// By the capability of this number.
    Capability(u32),
    /// It always does.
    Always,
}

impl fmt::Display for NestedFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str("not offered: a migration loses it"),
            Self::Capability(number) => write!(f, "by capability {number}"),
            Self::Always => f.write_str("always"),
        }
    }
}

/// Finds the number among those that the kernel `offers`; `carries` tries one, or none, in a new VM.
pub(crate) fn find(offers: impl Fn(u32) -> bool, carries: impl Fn(NestedFlag) -> bool) -> NestedFlag {
    let candidates = NUMBERS.filter(|number| offers(*number)).map(NestedFlag::Capability);
    std::iter::once(NestedFlag::Always).chain(candidates).find(|way| carries(*way)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::NestedFlag::{Always, Capability, NotOffered};
    use super::*;
    use crate::KvmMachine;
    use std::cell::RefCell;
    use vm::VmConfig;
    use vm::state::carries_nested_bit;

    /// A kernel that offers `offered` and carries the bit by `way`: what is found, and what was tried.
    fn found(offered: &[u32], way: NestedFlag) -> (NestedFlag, Vec<NestedFlag>) {
        let tried = RefCell::new(Vec::new());
        let found = find(
            |number| offered.contains(&number),
            |candidate| {
                tried.borrow_mut().push(candidate);
                candidate == way
            },
        );
        (found, tried.into_inner())
    }

    #[test]
    fn the_number_is_the_one_that_works() {
        // The postings' numbers, and one that nobody has posted.
        for number in [239, 240, 243, 244, 245, 300] {
            assert_eq!(
                found(&[1, number], Capability(number)),
                (Capability(number), vec![Always, Capability(number)])
            );
        }
    }

    #[test]
    fn a_number_that_means_something_else_is_passed_over() {
        let all = vec![Always, Capability(244), Capability(245), Capability(250)];
        assert_eq!(found(&[244, 245, 250], Capability(250)), (Capability(250), all.clone()));
        assert_eq!(found(&[244, 245, 250], NotOffered), (NotOffered, all));
    }

    /// The trial itself, on this host's KVM: what it says is what a VM made so does.
    #[test]
    fn a_kernel_says_what_it_does() {
        let machine = match KvmMachine::open(crate::DEVICE.as_ref()) {
            Ok(machine) => machine,
            Err(error) => return eprintln!("skipped, nothing tested: {error}"),
        };
        let way = machine.find_nested_flag();
        let config = VmConfig::plain(&machine, 0x1000, true);
        let mut vcpu = machine.create_with(&config, way).unwrap();
        assert_eq!(carries_nested_bit(&mut vcpu), Ok(way != NotOffered), "{way}");
        // A VM of another kernel's number is not made.
        assert!(machine.create_with(&config, Capability(*NUMBERS.end() + 1)).is_err());
    }

    #[test]
    fn what_the_kernel_does_not_offer_is_not_tried() {
        assert_eq!(found(&[], Capability(245)), (NotOffered, vec![Always]));
        // KVM_CAP_EXCEPTION_PAYLOAD and its like are not among the candidates.
        assert_eq!(found(&[164, 238], Capability(164)), (NotOffered, vec![Always]));
        assert_eq!(found(&[245], Always), (Always, vec![Always]));
    }
}
