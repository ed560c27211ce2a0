//! `midflight doctor`: what this host can and cannot test, and what to do about it.

mod found;
mod table;

use super::args::DoctorArgs;
use super::machines::Machines;
use super::{CliError, Given};
use crate::machines::{BochsOptions, MachineOptions};
use found::Found;
use std::io::{BufWriter, Write, stderr, stdout};
use std::path::{Path, PathBuf};

/// How a doctor reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DoctorFormat {
    /// A table
    Human,
    /// A JSON object
    Json,
}

pub(super) fn doctor(
    args: &DoctorArgs,
    files: &[PathBuf],
    device: &Path,
    given: &Given,
) -> Result<u8, CliError> {
    let options = MachineOptions { kvm: device, behaviour: None, bochs: BochsOptions::default() };
    let machines = Machines::of(None, options)?;
    // A need that nobody knows is an error before anything is asked.
    let (stops, needs): (Vec<&String>, Vec<&String>) =
        args.require.iter().partition(|need| found::is_question(need));
    let mut unmet = Vec::new();
    for need in needs {
        match machines.require(std::slice::from_ref(need)) {
            Err(CliError::Required { need, reason }) => unmet.push((need, reason)),
            other => other?,
        }
    }
    let found = Found::here(files, device, &machines, given);
    unmet.extend(stops.into_iter().filter_map(|stop| Some((stop.clone(), found.lacks(stop)?))));
    let mut output = BufWriter::new(stdout().lock());
    match args.format {
        DoctorFormat::Human => table::print(&mut output, &found)?,
        DoctorFormat::Json => {
            serde_json::to_writer(&mut output, &found).map_err(std::io::Error::from)?;
            writeln!(output)?;
        }
    }
    output.flush()?;
    for (need, reason) in &unmet {
        writeln!(stderr(), "midflight: --require {need}: {reason}")?;
    }
    Ok(u8::from(!unmet.is_empty()))
}
