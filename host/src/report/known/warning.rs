//! Warnings of a kernel under test: the known ones, and the rest.

use super::entry::hold;
use crate::kernel_log::KernelSaid;
use crate::report::facts::HostFacts;
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
        let add = |to: &mut Vec<String>, from: Vec<String>| {
            for text in from {
                if !to.contains(&text) {
                    to.push(text);
                }
            }
        };
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

/// Sets those of the kernel's warnings apart that are known.
pub(super) fn excuse(list: &[KnownWarning], mut said: KernelSaid, facts: &HostFacts) -> JudgedWarnings {
    let mut known = Vec::new();
    said.warnings.retain(|warning| {
        let line = warning.lines().last().unwrap_or_default();
        let entry = list.iter().find(|entry| hold(&entry.host, facts) && pattern::matches(&entry.text, line));
        if let Some(entry) = entry {
            known.push(format!("{}: {} ({}): {line}", entry.name, entry.reason, entry.reference));
        }
        entry.is_none()
    });
    JudgedWarnings { said, known }
}
