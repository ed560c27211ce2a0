//! `midflight explore`.

use super::args::ExploreArgs;
use super::progress::progress_bar;
use super::run::{Again, NOT_AGAIN};
use super::{CliError, Given, mounted};
use crate::ending;
use crate::engine::explore::{Bounds, Found, explore, schedules};
use crate::image::Image;
use crate::images;
use crate::machines::model::Model;
use crate::report::{Outcome, Report, Totals, human};
use crate::scenario::cold;
use crate::scenario::filter::{Filter, near};
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) fn run(args: &ExploreArgs, files: &[PathBuf], given: &Given) -> Result<u8, CliError> {
    mounted::check(false)?;
    let Model(behaviour) = Model::named(args.behaviour.as_deref()).map_err(CliError::Usage)?;
    let images = images::load(files)?;
    let filters: Vec<Filter> =
        args.filters.iter().map(|text| Filter::new(text, &images)).collect::<Result<_, _>>()?;
    let names = names(&images);
    if let Some(missed) = filters.iter().find(|filter| !names.iter().any(|name| filter.matches(name))) {
        let filter = missed.text().to_owned();
        return Err(CliError::NoMatch { near: near(&filter, &names), filter });
    }
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| filter.matches(name));
    // A list is the same on a slow machine.
    let time = if args.list { Duration::MAX } else { args.time };
    let bounds = Bounds { count: args.count, time, timeout: args.timeout };
    let start = Instant::now();
    let bar = progress_bar("count", 0);
    let Found { schedules: all, cut_short } = schedules(behaviour, &images, bounds, wanted, |case| {
        bar.inc_length(1);
        bar.inc(1);
        bar.set_message(case.to_owned());
    });
    bar.finish_and_clear();
    if all.is_empty() && !cut_short {
        return Err(CliError::NothingSelected("the model: nothing there delivers an event".to_owned()));
    }
    let mut output = BufWriter::new(stdout().lock());
    if args.list {
        for scenario in all.iter().flat_map(|schedules| &schedules.scenarios).take(args.count) {
            writeln!(output, "{scenario}")?;
        }
        output.flush()?;
        return Ok(0);
    }
    let total: usize = all.iter().map(|schedules| schedules.scenarios.len()).sum();
    let bar = progress_bar("explore", total.min(args.count));
    let bounds = Bounds { time: time.saturating_sub(start.elapsed()), ..bounds };
    let explored = explore(behaviour, &images, all, bounds, |report| {
        bar.inc(1);
        bar.set_message(report.scenario.to_string());
    });
    bar.finish_and_clear();

    let mut reports = Vec::new();
    writeln!(
        output,
        "{:40} {:>8} {:>9} {:>6} {:>6} {:>6}",
        "case", "accesses", "schedules", "pass", "fail", "error"
    )?;
    for mut one in explored {
        one.reports.iter_mut().for_each(Report::deny_skip);
        let Totals { pass, fail, error, .. } = Totals::of(&one.reports);
        let (name, accesses, of) =
            (&one.schedules.name, one.schedules.accesses, one.schedules.scenarios.len());
        let ran =
            if one.reports.len() == of { of.to_string() } else { format!("{}/{of}", one.reports.len()) };
        writeln!(output, "{name:40} {accesses:>8} {ran:>9} {pass:>6} {fail:>6} {error:>6}")?;
        reports.extend(one.reports);
    }
    writeln!(output)?;
    let again = Again::new(given, "run", &NOT_AGAIN);
    let wrong = reports.iter_mut().filter(|r| matches!(r.outcome, Outcome::Fail | Outcome::Error));
    for report in wrong.take(SHOWN) {
        report.again = Some(again.of(report));
        human::one(&mut output, report, false)?;
    }
    let totals = Totals::of(&reports);
    let Totals { pass, fail, error, cuts, .. } = totals;
    writeln!(output, "{pass} passed, {fail} failed, {error} errors; {cuts} cuts proved")?;
    if reports.len() < total || cut_short {
        let of = if cut_short { "at least " } else { "" };
        let why = ending::signal().map_or("--count or --time was met".to_owned(), |signal| {
            format!("{} ended the run", signal.name())
        });
        writeln!(output, "{} of {of}{total} schedules ran: {why}", reports.len())?;
    }
    writeln!(output, "These results test the tests, not your KVM.")?;
    output.flush()?;
    Ok(totals.exit_code())
}

/// The texts that filters are matched with: each `image/case:delivery`.
fn names(images: &[Image]) -> Vec<String> {
    let of_image = |image| cold(image).into_iter().map(|scenario| scenario.case_name());
    images.iter().flat_map(of_image).collect()
}

/// How many failures are shown whole; each is counted in the table.
const SHOWN: usize = 20;
