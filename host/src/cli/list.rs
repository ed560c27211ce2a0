//! `midflight list`.

use super::args::ListArgs;
use super::select::Selection;
use super::{CliError, select};
use crate::images;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

pub(super) fn list(args: &ListArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let Selection { mut scenarios, meanings } = select::select(&images, &args.filters, args.allow_empty)?;
    args.part.keep(&images, &mut scenarios);
    // What a filter means is not part of the list, which other programs read.
    for meaning in meanings {
        writeln!(stderr(), "{meaning}")?;
    }
    let mut output = stdout().lock();
    if !args.cases {
        for (_, scenario) in &scenarios {
            writeln!(output, "{scenario}")?;
        }
        let storms = scenarios.iter().filter(|(_, scenario)| scenario.depends_on_time());
        if let count @ 1.. = storms.count() {
            // On standard error: programs read the ids on standard output.
            writeln!(
                stderr(),
                "{count} of these are storms, whose signals arrive at random times: except on the model \
                 their ids replay the seed, not the moments"
            )?;
        }
        return Ok(0);
    }
    for (index, image) in images.iter().enumerate() {
        for case in &image.cases {
            if scenarios.iter().any(|(i, scenario)| *i == index && scenario.case == case.name) {
                let needs: Vec<_> = case.needs.names().collect();
                let needs = if needs.is_empty() { String::new() } else { format!(" [{}]", needs.join(", ")) };
                writeln!(output, "{}/{}{needs}: {}", image.name, case.name, case.rule)?;
            }
        }
    }
    Ok(0)
}
