//! Patterns with `*`, for ids on command lines and for texts in known-issues.toml.

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
    fn a_pattern_describes_the_whole() {
        assert!(!matches("ab*b", "ab"));
        assert!(matches("RIP expected *, got *", "RIP expected 0x1, got 0x2"));
        assert!(!matches("RIP expected 0x1", "RIP expected 0x10"));
        assert!(matches("*", "") && matches("a*", "a") && !matches("a*", "ba"));
    }
}
