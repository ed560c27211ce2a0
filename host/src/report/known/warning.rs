//! Warnings of a kernel under test: the known ones, and the rest.

use super::entry::hold;
use super::error::Problem;
use crate::kernel_log::KernelSaid;
use crate::report::HostFacts;
use crate::scenario::pattern;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A warning that a kernel is known to give while it is tested. Most are given once, so that one that
/// does not show is no failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWarning {
    /// A short name, for reports.
    pub name: String,
    /// The last line of the warning; `*` stands for any text: processor, process and addresses.
    pub text: String,
    /// As for an [`Entry`](super::Entry).
    pub host: BTreeMap<String, Vec<String>>,
    /// Why it happens.
    pub reason: String,
    /// Where it is written down.
    pub reference: String,
}

/// The kernel's warnings during a run, the known ones apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedWarnings {
    /// What the kernel said that nobody knows of.
    pub said: KernelSaid,
    /// What was known, with the reason.
    pub known: Vec<String>,
}

impl JudgedWarnings {
    /// These and those of another run on the same kernel, each once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        add(&mut self.said.warnings, other.said.warnings);
        add(&mut self.known, other.known);
        self.said.unwatched = self.said.unwatched.or(other.said.unwatched);
        self
    }

    /// Exit code: 1 when the kernel warned, else 0.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.said.warnings.is_empty())
    }
}

fn add<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for one in from {
        if !to.contains(&one) {
            to.push(one);
        }
    }
}

/// Sets those of the kernel's warnings apart that are known.
pub(super) fn excuse(list: &[KnownWarning], mut said: KernelSaid, facts: &HostFacts) -> JudgedWarnings {
    let mut known = Vec::new();
    said.warnings.retain(|warning| {
        let line = warning.text.lines().last().unwrap_or_default();
        let of_host = |entry: &KnownWarning| hold(&entry.host, |name, value| facts.holds(name, value));
        let entry = list.iter().find(|entry| of_host(entry) && pattern::matches(&entry.text, line));
        if let Some(entry) = entry {
            known.push(format!("{}: {} ({}): {line}", entry.name, entry.reason, entry.reference));
        }
        entry.is_none()
    });
    JudgedWarnings { said, known }
}

/// Checks the text of a known warning: it describes something in particular.
pub(super) fn check_text(text: &str) -> Result<(), Problem> {
    /// Words that begin every warning of a kernel.
    const ANY_WARNING: &str = "WARNING: CPU: 0 PID: 1 at nowhere.c:1 nothing+0x0/0x0";
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
    let wild = match text.split_once('*') {
        Some((before, _)) => words(before) < 2 || pattern::matches(text, ANY_WARNING),
        None => words(text) == 0,
    };
    if wild { Err(Problem::Anything(text.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_nothing_is_refused() {
        assert_eq!(check_text("WARNING: CPU: * at *virt/kvm/dirty_ring.c:* kvm_dirty_ring_push+*"), Ok(()));
        for text in
            ["", " ", "*", "**", "the *", "WARNING: *", "WARNING: CPU: *", "WARNING: CPU: * PID: * at *"]
        {
            assert_eq!(check_text(text), Err(Problem::Anything(text.to_owned())), "{text}");
        }
    }
}
