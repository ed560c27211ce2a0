//! The KVM of the host that the tests run on, and the facts without which a difference of it says nothing
//! anything.

use kvm::{DEVICE, KvmMachine};
use midflight::report::facts::HostFacts;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

/// What known issues may name, and more: the last object of a JSON report has the same.
pub(crate) fn facts() -> &'static HostFacts {
    static FACTS: OnceLock<HostFacts> = OnceLock::new();
    FACTS.get_or_init(|| HostFacts::gather(Path::new(DEVICE)))
}

/// This host's KVM. Says on standard error, which a failing test shows, what the host is, or why there is
/// no KVM.
pub(crate) fn kvm() -> Option<KvmMachine> {
    match KvmMachine::open(Path::new(DEVICE)) {
        Ok(machine) => {
            eprintln!("{}", sentence(facts()));
            Some(machine)
        }
        Err(error) => {
            eprintln!("skipped on KVM, nothing tested there: {error}");
            None
        }
    }
}

/// The model, and kvm where there is one.
pub(crate) fn machines() -> Vec<&'static str> {
    if kvm().is_some() { vec!["model", "kvm"] } else { vec!["model"] }
}

/// A host in one line.
pub(crate) fn sentence(facts: &HostFacts) -> String {
    format!("this host: {}", serde_json::to_string(facts).unwrap())
}

/// Comparisons of KVM with the model that differ in what no known issue describes: each with what a reader
/// needs, and the entry of known-issues.toml that it would be.
pub(crate) fn unknown(comparisons: &[Value], facts: &HostFacts) -> Vec<String> {
    let red = |one: &&Value| matches!(one["outcome"].as_str(), Some("fail" | "error"));
    comparisons.iter().filter(red).map(|one| one_unknown(one, facts)).collect()
}

/// An integer of TOML, or a text where it is too large for one.
fn value(text: String) -> String {
    let number = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
    number.map_or(format!("{text:?}"), |_| text)
}

fn one_unknown(one: &Value, facts: &HostFacts) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    let reason = one["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
    let (id, at) = (text(&one["id"]), text(&one["at"]));
    let place = at.split('(').next().unwrap_or_default();
    let [first, second] = [&one["machines"][0], &one["machines"][1]].map(text);
    let differences = one["differences"].as_array().cloned().unwrap_or_default();
    let lines = differences.iter().map(|one| {
        let [a, b] = [&one["first"], &one["second"]].map(text);
        format!("\n    {}: {first} {a}, {second} {b}", text(&one["field"]))
    });
    let failure: Vec<_> = differences
        .iter()
        .map(|one| {
            let [got, expected] = [&one["first"], &one["second"]].map(text).map(value);
            let field = text(&one["field"]);
            let captured = field.strip_prefix("delivery ").and_then(|rest| rest.split_once(": "));
            let (name, delivery) = match captured {
                Some((number, name)) => (name, format!(", delivery = {number}")),
                None => (field.as_str(), String::new()),
            };
            format!("{{ name = {name:?}{delivery}, at = {place:?}, expected = {expected}, got = {got} }}")
        })
        .collect();
    let major = facts.kernel.split_inclusive('.').take(2).collect::<String>();
    // `kvm` alone is on every host: the vendor's module, or another, says which KVM it is.
    let module = facts.kvm_module.split(' ').find(|module| *module != "kvm").unwrap_or("kvm");
    format!(
        "{id} at {at}{reason}{}\n{}\nIf this is what this KVM does, its entry in known-issues.toml is (docs/known-issues.md):\n\
         [[issue]]\nname = \"...\"\nmachine = \"kvm\"\ncases = [\"{id}\"]\nstops = [\"compare\"]\n\
         field = [{}]\nhost = {{ vendor = [{:?}], kernel = [{major:?}], kvm_module = [{module:?}] }}\n\
         reason = \"...\"\nreference = \"...\"",
        lines.collect::<String>(),
        sentence(facts),
        failure.join(", "),
        facts.vendor,
    )
}
