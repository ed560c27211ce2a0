//! What a terminal shows besides text: colours.

use crate::report::Format;
use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use std::io::{Result, Write, stdout};

/// Standard output for a report: with colours where it is for people, on a terminal, and neither `NO_COLOR` nor
/// `TERM=dumb` forbids them. Where `CI` is set anstream takes any terminal for one with colours; here a dumb one has
/// none there either.
pub(super) fn standard_output(format: Format) -> Box<dyn Write> {
    let coloured = match format {
        Format::Human => {
            anstream::AutoStream::choice(&stdout()) != ColorChoice::Never
                && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
        }
        Format::Ktap | Format::Tap | Format::Json | Format::Junit | Format::Records => false,
    };
    if coloured { Box::new(Coloured(stdout().lock())) } else { Box::new(stdout().lock()) }
}

/// Colours the first word of each line, by what it says.
struct Coloured<W>(W);

impl<W: Write> Write for Coloured<W> {
    /// Takes whole lines, as reports are written.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let word = line.iter().position(|byte| *byte == b':').map_or(&line[..0], |end| &line[..end]);
            match style(word) {
                Some(style) => {
                    write!(self.0, "{style}")?;
                    self.0.write_all(word)?;
                    write!(self.0, "{style:#}")?;
                    self.0.write_all(&line[word.len()..])?;
                }
                None => self.0.write_all(line)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

fn style(word: &[u8]) -> Option<Style> {
    let colour = match word {
        b"FAIL" | b"ERROR" | b"KERNEL" => AnsiColor::Red,
        b"KNOWN" => AnsiColor::Yellow,
        b"SKIP" => AnsiColor::Cyan,
        b"PASS" => AnsiColor::Green,
        b"    again" => return Some(Style::new().bold()),
        _ => return None,
    };
    Some(colour.on_default().bold())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_coloured_and_nothing_else() {
        let mut output = Vec::new();
        let text =
            "FAIL: pf/x on kvm\n    RIP expected 0x1: got\n    again: midflight run\n1 passed\nSKIP: 1\n";
        Coloured(&mut output).write_all(text.as_bytes()).unwrap();
        let output = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m: pf/x on kvm");
        assert_eq!(lines[1], "    RIP expected 0x1: got");
        assert_eq!(lines[2], "\u{1b}[1m    again\u{1b}[0m: midflight run");
        assert_eq!(lines[3], "1 passed");
        assert_eq!(anstream::adapter::strip_str(&output).to_string(), text);
    }
}
