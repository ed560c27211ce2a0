//! Text that says nothing to a terminal.

use std::io::{Result, Write};

/// Passes on what is written, control characters other than ends of lines and tabs excepted: what a
/// guest or another host says may hold any.
pub(crate) struct Plain<W>(pub W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let harmless = |byte: u8| !byte.is_ascii_control() || matches!(byte, b'\n' | b'\t');
        let plain: Vec<u8> = bytes.iter().map(|byte| if harmless(*byte) { *byte } else { b'?' }).collect();
        self.0.write_all(&plain)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        let mut output = Vec::new();
        writeln!(Plain(&mut output), "FAIL:\tx \x1b[31mred\x07 \u{e9}").unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "FAIL:\tx ?[31mred? \u{e9}\n");
    }
}
