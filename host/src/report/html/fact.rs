//! A fact about the host, as a page has it.

use serde_json::Value;

/// A fact about the host, in words where it is known; nothing if it is empty.
pub(super) fn fact(name: &str, value: &Value) -> Option<(String, String)> {
    let words = match name {
        "cpu" => "processor",
        "kvm_module" => "KVM modules",
        "cpu_fred" => "FRED in the processor",
        "kvm_fred" => "FRED in KVM",
        "nested" => "hypervisor under this host",
        "int1" => "RIP when INT1 has trapped",
        "emulator_destination" => "emulator of migrated guests",
        "fred_series" => "FRED series",
        other => other,
    };
    let text = match value {
        Value::String(text) if name == "int1" && text == "at" => "still at the instruction".to_owned(),
        Value::String(text) if name == "int1" && text == "after" => "after the instruction".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    };
    (!text.is_empty()).then(|| (words.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_are_words_and_what_is_not_known_is_left_out() {
        for (name, value, words) in [
            ("cpu_fred", json!(false), Some(("FRED in the processor", "no"))),
            ("int1", json!("at"), Some(("RIP when INT1 has trapped", "still at the instruction"))),
            ("int1", json!("after"), Some(("RIP when INT1 has trapped", "after the instruction"))),
            ("kernel", json!("at"), Some(("kernel", "at"))),
            ("fred_series", json!(""), None),
        ] {
            let said = fact(name, &value);
            assert_eq!(said.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), words, "{name}");
        }
    }
}
