//! What the text of a kernel's warning may be: it describes something in particular.

use super::error::Problem;

/// Checks a line of the kernel's.
pub(super) fn check_text(text: &str) -> Result<(), Problem> {
    /// Words that begin every warning of a kernel.
    const ANY_WARNING: &str = "WARNING: CPU: 0 PID: 1 at nowhere.c:1 nothing+0x0/0x0";
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
    let wild = match text.split_once('*') {
        Some((before, _)) => words(before) < 2 || crate::scenario::pattern::matches(text, ANY_WARNING),
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
