//! `midflight list`.

use super::args::ListArgs;
use super::select::{Selected, Selection};
use super::{CliError, select};
use crate::image::Image;
use crate::images;
use crate::scenario;
use serde::Serialize;
use std::io::{BufWriter, Write, stderr, stdout};
use std::path::PathBuf;

/// How scenarios are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    /// An id per line
    Human,
    /// One JSON object per line
    Json,
}

pub(super) fn list(args: &ListArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let Selection { mut scenarios, meanings } = select::select(&images, &args.filters, args.allow_empty)?;
    args.part.keep(&images, &mut scenarios, args.allow_empty)?;
    // What a filter means is not part of the list, which other programs read.
    for meaning in meanings {
        writeln!(stderr(), "{meaning}")?;
    }
    if args.cases { cases(&images, &scenarios) } else { scenarios_as(args.format, &images, &scenarios) }?;
    Ok(0)
}

/// Prints scenarios.
pub(super) fn scenarios_as(
    format: ListFormat,
    images: &[Image],
    scenarios: &Selected,
) -> Result<(), CliError> {
    let mut output = BufWriter::new(stdout().lock());
    for (image, scenario) in scenarios {
        match format {
            ListFormat::Human => writeln!(output, "{scenario}")?,
            ListFormat::Json => {
                serde_json::to_writer(&mut output, &Listed::of(&images[*image], scenario))
                    .map_err(std::io::Error::from)?;
                writeln!(output)?;
            }
        }
    }
    output.flush()?;
    let storms = scenarios.iter().filter(|(_, scenario)| scenario.depends_on_time());
    if let count @ 1.. = storms.count() {
        // On standard error: programs read the ids on standard output.
        writeln!(
            stderr(),
            "{count} of these are storms, whose signals arrive at random times: except on the model \
             their ids replay the seed, not the moments"
        )?;
    }
    Ok(())
}

/// A scenario as JSON: the names are those of a report.
#[derive(Serialize)]
struct Listed<'a> {
    id: String,
    image: &'a str,
    case: &'a str,
    delivery: String,
    payload: bool,
    stop: String,
    action: Option<String>,
    needs: Vec<&'static str>,
    rule: &'a str,
}

impl<'a> Listed<'a> {
    fn of(image: &'a Image, scenario: &'a scenario::Scenario) -> Self {
        let case = image.case(&scenario.case).map(|(_, case)| case);
        let needs = case.map(|case| scenario::needs(case, scenario.delivery));
        Self {
            id: scenario.to_string(),
            image: &scenario.image,
            case: &scenario.case,
            delivery: scenario.delivery.to_string(),
            payload: scenario.payload,
            stop: scenario.plan.stop_name(),
            action: scenario.plan.action().map(|action| action.to_string()),
            needs: needs.map(|needs| needs.names().collect()).unwrap_or_default(),
            rule: case.map_or("", |case| &case.rule),
        }
    }
}

/// Prints the cases of scenarios, with what they need and the rule that they prove.
fn cases(images: &[Image], scenarios: &Selected) -> Result<(), CliError> {
    let mut output = BufWriter::new(stdout().lock());
    for (index, image) in images.iter().enumerate() {
        for case in &image.cases {
            if scenarios.iter().any(|(i, scenario)| *i == index && scenario.case == case.name) {
                let needs: Vec<_> = case.needs.names().collect();
                let needs = if needs.is_empty() { String::new() } else { format!(" [{}]", needs.join(", ")) };
                writeln!(output, "{}/{}{needs}: {}", image.name, case.name, case.rule)?;
            }
        }
    }
    Ok(output.flush()?)
}
