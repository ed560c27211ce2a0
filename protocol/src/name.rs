//! Names of images and cases: what a scenario's id, a shell and a filter can hold.

/// What a name is, as a sentence has it.
pub const RULE: &str = "a name is lower-case letters, digits and dashes, and begins with a letter";

/// Whether `name` obeys [`RULE`].
pub const fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether two names are one: `==`, in a `const`.
pub const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_the_grammar() {
        for name in ["a", "pf", "int-1", "r8", "a-"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "-a", "1a", "A", "a_b", "a b", "a/b", "a:b", "a@b", "a*", "é"] {
            assert!(!is_valid(name), "{name}");
        }
        assert!(is_same("pf", "pf") && is_same("", ""));
        assert!(!is_same("pf", "pg") && !is_same("pf", "pfx"));
    }
}
