//! How `run` and `migrate` end: the known issues are applied, and the report is written.

use super::CliError;
use super::args::{Format, MachineName};
use crate::facts::HostFacts;
use crate::kernel_log::KernelLog;
use crate::known::KnownIssues;
use crate::report::{Totals, human, json, junit};
use crate::result::Report;
use crate::run::repeat;
use std::io::{BufWriter, Write};

/// Applies the known issues, writes the report, and says what it comes to.
pub(super) fn tell(
    format: Format,
    mut reports: Vec<Report>,
    known: &KnownIssues,
    facts: &HostFacts,
    kernel_log: KernelLog,
    output: impl Write,
    again: impl Fn(&Report) -> Option<String>,
) -> Result<u8, CliError> {
    for report in &mut reports {
        if report.machine == MachineName::Model.name() {
            report.deny_skip();
        }
        known.apply(report, facts);
        if report.machine == MachineName::Kvm.name() {
            report.vendor = Some(facts.vendor.clone());
        }
    }
    let reports = repeat::fold(reports);
    let kernel = known.excuse(kernel_log.finish(), facts);
    let mut output = BufWriter::new(output);
    match format {
        Format::Human => human::write(&mut output, &reports, facts, &kernel, again)?,
        Format::Json => json::write(&mut output, &reports, facts, &kernel)?,
        Format::Junit => junit::write(&mut output, &reports, &kernel)?,
    }
    output.flush()?;
    Ok(Totals::of(&reports).exit_code().max(kernel.exit_code()))
}
