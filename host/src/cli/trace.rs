//! `midflight trace`.

use super::args::TraceArgs;
use super::{CliError, Given, select};
use crate::engine::runner::Runner;
use crate::image::Image;
use crate::images;
use crate::machines::model::Model;
use crate::migration::channel::migrate_in_memory;
use crate::report::frame::PrintedFrame;
use crate::report::outcome::Frames;
use crate::report::{Outcome, Report, Totals, human};
use model::ModelMachine;
use model::hypervisor::trace::Trace;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

pub(super) fn trace(args: &TraceArgs, files: &[PathBuf], given: &Given) -> Result<u8, CliError> {
    let Model(behaviour) = Model::named(args.behaviour.as_deref()).map_err(CliError::Usage)?;
    let images = images::load(files)?;
    let (image, scenario) = select::one(&images, &args.scenario, "trace shows")?;
    let trace = Trace::default();
    let machine = ModelMachine::new(behaviour).traced(trace.clone());
    let mut runner = Runner::new(&machine, Some(behaviour.name.to_owned()), args.timeout);
    let seen = trace.clone();
    runner.on_seen = Some(Box::new(move |place| {
        // The first is `armed`: before it nothing happens to the event.
        seen.begin();
        seen.line(format!("driver       {place}"));
    }));
    let (migrated, destination) = (trace.clone(), &machine);
    runner.to_process = Some(Box::new(move |guest, image, request| {
        // Another process could not add to this trace.
        migrated.line("driver       the guest is sent through a stream, as to another process".to_owned());
        migrate_in_memory(destination, Some(behaviour.name), guest, image, request)
    }));
    runner.frames = Frames::OfAll;
    let mut report = runner.run(&images[image], &scenario);
    report.deny_skip();
    let mut output = BufWriter::new(stdout().lock());
    for line in trace.lines() {
        writeln!(output, "{line}")?;
    }
    let image = &images[image];
    for frame in std::mem::take(&mut report.frames).iter().filter_map(|line| PrintedFrame::read(line)) {
        write_frame(&mut output, &frame, image, &report)?;
    }
    for loss in &report.losses {
        writeln!(output, "lost         {loss}: the uAPI does not carry it")?;
    }
    match report.outcome {
        Outcome::Pass => writeln!(output, "PASS: {} on model ({})", report.scenario, behaviour.name)?,
        Outcome::Fail | Outcome::Error | Outcome::Skip | Outcome::Known => {
            report.again = Some(given.command("trace", &[report.scenario.to_string()], &[]));
            human::one(&mut output, &report, false)?
        }
    }
    writeln!(output, "These results test the tests, not your KVM.")?;
    output.flush()?;
    Ok(Totals::of([&report]).exit_code())
}

/// Writes a frame, field by field, with what was expected where that differs.
fn write_frame(
    output: &mut impl Write,
    frame: &PrintedFrame,
    image: &Image,
    report: &Report,
) -> std::io::Result<()> {
    writeln!(output, "frame        of delivery {}, {}", frame.number, frame.mode.to_string().to_uppercase())?;
    let address = |value| image.describe_address(value).to_string();
    for (name, value) in &frame.words {
        write!(output, "  {name:10} {}", frame.in_words(name, *value, address))?;
        let differs = report.differences.iter().find(|one| {
            one.field.delivery().unwrap_or_default() == frame.number && one.field.to_string() == *name
        });
        if let Some(difference) = differs {
            write!(output, "; expected {}", difference.expected)?;
        }
        writeln!(output)?;
    }
    Ok(())
}
