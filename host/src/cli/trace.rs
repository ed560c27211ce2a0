//! `midflight trace`.

use super::CliError;
use super::args::TraceArgs;
use super::run::behaviour_named;
use super::select::select;
use crate::images;
use crate::machine::model::ModelMachine;
use crate::report::{Totals, human};
use crate::result::Outcome;
use crate::run::one::Runner;
use model::hypervisor::story::Story;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

pub(super) fn trace(args: &TraceArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let behaviour = behaviour_named(args.behaviour.as_deref())?;
    let images = images::load(files)?;
    let chosen = select(&images, std::slice::from_ref(&args.scenario))?;
    let [(image, scenario)] = chosen.as_slice() else {
        let what = format!("`{}` is {} scenarios; trace tells one", args.scenario, chosen.len());
        return Err(CliError::Usage(what));
    };
    let story = Story::default();
    let machine = ModelMachine::new(behaviour).telling(story.clone());
    let mut runner = Runner::new(&machine, Some(behaviour.name.to_owned()), args.timeout);
    let seen = story.clone();
    runner.on_seen = Some(Box::new(move |place| {
        // The first is `armed`: before it nothing happens to the event.
        seen.begin();
        seen.line(format!("driver       {place}"));
    }));
    runner.frames = true;
    let report = runner.run(&images[*image], scenario);
    let mut output = BufWriter::new(stdout().lock());
    for line in story.lines() {
        writeln!(output, "{line}")?;
    }
    for frame in &report.frames {
        writeln!(output, "{frame}")?;
    }
    for loss in &report.losses {
        writeln!(output, "lost         {loss}: the uAPI does not carry it")?;
    }
    match report.outcome {
        Outcome::Pass => writeln!(output, "PASS: {} on model ({})", report.id, behaviour.name)?,
        _ => human::failure(&mut output, &report)?,
    }
    writeln!(output, "These results test the tests, not your KVM.")?;
    output.flush()?;
    Ok(Totals::of([&report]).exit_code())
}
