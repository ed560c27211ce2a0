//! Behaviours: one function for each place where KVM's flow can lose an event's data, and every
//! known mistake at each.
//!
//! A behaviour is written as its difference from [`CORRECT`], so that it is wrong in one place
//! only. They show what the tests catch: with a correct behaviour every scenario passes, with any
//! other at least two cases fail.
//!
//! | module | holds |
//! |---|---|
//! | `correct` | what a behaviour is, and [`CORRECT`] |
//! | [`proposals`] | the proposals of the KVM mailing list, and what kernels ship |
//! | [`flaws`] | one behaviour for each failure mode |
//! | [`injected`] | flaws in NMIs and interrupts that the host injects, and in the dirty ring |
//! | [`intercepts`] | which exceptions are intercepted; it must make no difference |

mod correct;
pub mod flaws;
pub mod injected;
pub mod intercepts;
pub mod proposals;

pub use correct::{Behaviour, CORRECT, EventRegisters, InterruptWindow, Requeue, usual};

/// Every behaviour, the default one first.
pub fn all() -> impl Iterator<Item = &'static Behaviour> {
    proposals::ALL.into_iter().chain(intercepts::ALL).chain(flaws::ALL).chain(injected::ALL)
}

/// The behaviour of that name.
pub fn by_name(name: &str) -> Option<&'static Behaviour> {
    all().find(|behaviour| behaviour.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for behaviour in all() {
            assert_eq!(all().filter(|other| other.name == behaviour.name).count(), 1, "{}", behaviour.name);
        }
        assert!(by_name("payload-reuse").is_some_and(Behaviour::is_correct));
        assert!(by_name("x").is_none());
    }

    #[test]
    fn every_failure_mode_has_a_behaviour_of_its_own() {
        for number in (1..=21).chain([23, 24]) {
            let mode = format!("F{number}");
            let alone = |behaviour: &&Behaviour| behaviour.plays == [mode.as_str()];
            assert!(all().any(|behaviour| alone(&behaviour)), "{mode}");
        }
    }
}
