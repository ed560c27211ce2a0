//! The progress bar on the terminal while scenarios run.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many scenarios on a machine.
pub(super) fn progress_bar(machine: &str, scenarios: usize) -> ProgressBar {
    let bar = ProgressBar::new(scenarios as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>6} [{elapsed}] {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(machine.to_owned())
}
