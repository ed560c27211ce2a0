//! Patterns with `*`, for ids on command lines and for texts in known-issues.toml.

/// Whether `filter` matches `id`: with `*` as a pattern for the whole id, else as a part of it.
pub fn matches_id(filter: &str, id: &str) -> bool {
    if filter.contains('*') { matches(filter, id) } else { id.contains(filter) }
}

/// Whether `pattern`, in which `*` stands for any text, describes the whole of `text`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(last) = pieces.next_back() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parts_or_patterns() {
        let id = "pf/read-unmapped:fred:block@frame:migrate";
        for filter in ["pf/", "block@frame", id, "pf/*", "*migrate", "pf/*:fred:*:migrate", "*"] {
            assert!(matches_id(filter, id), "{filter}");
        }
        for filter in ["db/", "pf/*:idt:*", "fred*", "*resume", "pf/read-unmapped:fred:block@frame:migrate*x"]
        {
            assert!(!matches_id(filter, id), "{filter}");
        }
        assert!(!matches("ab*b", "ab"));
        assert!(matches("RIP expected *, got *", "RIP expected 0x1, got 0x2"));
        assert!(!matches("RIP expected 0x1", "RIP expected 0x10"));
    }
}
