//! The live line on the terminal while scenarios run.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// A line for so many scenarios on a machine.
pub(super) fn progress_bar(machine: &str, scenarios: usize) -> ProgressBar {
    shown(machine, "{prefix:>6} [{elapsed}] {pos}/{len} {rate} {wide_msg}", || {
        ProgressBar::new(scenarios as u64)
    })
}

/// A line for what takes time before the first scenario.
pub(super) fn waiting(machine: &str, what: &'static str) -> ProgressBar {
    let bar = shown(machine, "{prefix:>6} [{elapsed}] {wide_msg}", ProgressBar::new_spinner);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Scenarios per second.
fn rate(state: &ProgressState, output: &mut dyn Write) {
    let _ = write!(output, "{:.0}/s", state.per_sec());
}

/// A bar of a machine; none on a terminal that cannot move back in a line.
fn shown(machine: &str, template: &str, bar: impl FnOnce() -> ProgressBar) -> ProgressBar {
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return ProgressBar::hidden();
    }
    let bar = bar();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate));
    }
    bar.with_prefix(machine.to_owned())
}
