//! The last output of the console of the kernel under test and of the emulator, for error messages.

/// How much is kept, in bytes: a panic with its stack trace.
const KEPT: usize = 64 << 10;
/// The text of a kernel panic.
const PANIC: &str = "Kernel panic - not syncing: ";

/// QEMU's complaint about each feature that a CPU model has and its emulation has not: expected, and
/// never the reason of anything here.
const NOISE: &str = "warning: TCG doesn't support requested feature";

/// The end of what was said.
#[derive(Debug, Default)]
pub(super) struct Console {
    bytes: Vec<u8>,
}

impl Console {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
    }

    /// The reason of a panic.
    pub(super) fn panic(&self) -> Option<String> {
        let text = self.text();
        let (_, reason) = text.split_once(PANIC)?;
        Some(reason.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// The last line that is not empty, or `(nothing)`.
    pub(super) fn last_line(&self) -> String {
        let text = self.text();
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        line.unwrap_or("(nothing)").to_owned()
    }

    /// The last `count` lines that are not empty; before a panic where there is one, for what led to
    /// it says more than its stack trace.
    pub(super) fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let end =
            text.find(PANIC).map_or(text.len(), |at| at + text[at..].find('\n').unwrap_or(text.len() - at));
        let lines: Vec<_> = text[..end].lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }

    /// Everything that is kept, without control characters, for it may go to a terminal, and without
    /// noise.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines = text.split_inclusive('\n').filter(|line| !line.contains(NOISE));
        lines.flat_map(str::chars).filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_among_other_lines() {
        let mut console = Console::default();
        assert_eq!((console.panic(), console.last_line().as_str()), (None, "(nothing)"));
        console.add(b"qemu: warning: TCG doesn't support requested feature: x [bit 1]\n");
        assert_eq!(console.last_line(), "(nothing)");
        console.add(b"[ 1.0] x\r\n[ 2.0] Kernel panic - not ");
        console.add(b"syncing: No working init found.\r\n[ 2.1] CPU: 0\r\n\x1b[0m\r\n");
        assert_eq!(console.panic().as_deref(), Some("No working init found."));
        let lines = ["[ 1.0] x", "[ 2.0] Kernel panic - not syncing: No working init found."];
        assert_eq!(console.last_lines(9), lines);
    }

    #[test]
    fn the_end_is_kept() {
        let mut console = Console::default();
        for number in 0..100_000 {
            console.add(format!("line {number}\n").as_bytes());
        }
        assert!(console.bytes.len() <= 2 * KEPT);
        assert_eq!(console.last_line(), "line 99999");
        assert_eq!(console.last_lines(2), ["line 99998", "line 99999"]);
    }
}
