//! The inside of a worker process: requests come in, one JSON object per line, and answers go out.

use crate::compare::across::Crossing;
use crate::compare::observe;
use crate::engine::questions::ask;
use crate::engine::runner::{OnSeen, Runner};
use crate::engine::worker::{Answer, Request};
use crate::image::Image;
use crate::migration::process::{Destination, migrate_to_process};
use crate::scenario::Scenario;
use crate::stops::storm::StormBounds;
use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::time::Duration;
use vm::Machine;

/// How scenarios are run for the parent.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a scenario may take.
    pub timeout: Duration,
    /// Whether reports carry frames.
    pub frames: bool,
    /// How long storms last.
    pub storm: StormBounds,
}

/// Serves requests from `input` until it ends; guests that move to another process go to `destination`.
///
/// # Errors
/// When the parent can no longer be read from or written to.
pub fn serve(
    machine: &dyn Machine,
    destination: &Destination,
    images: &[Image],
    terms: Terms,
    input: impl BufRead,
    output: impl Write,
) -> std::io::Result<()> {
    let output = RefCell::new(output);
    send(&mut *output.borrow_mut(), &Answer::Ready)?;
    let seen = |place: &str| {
        // A parent that is gone is noticed when the answer is written.
        let _ = send(&mut *output.borrow_mut(), &Answer::Seen(place.to_owned()));
    };
    let on_seen = || -> Option<OnSeen<'_>> { Some(Box::new(seen)) };
    let mut runner = Runner::new(machine, None, terms.timeout);
    runner.frames = terms.frames;
    runner.storm = terms.storm;
    runner.on_seen = on_seen();
    runner.to_process =
        Some(Box::new(|guest, image, asked| migrate_to_process(destination, guest, image, asked)));
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(Request::Probe(question, payload)) => match ask(machine, payload, question) {
                Ok(support) => Answer::Support(support),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Ok(Request::Run(id)) => {
                find(images, &id, |image, scenario| Answer::Report(Box::new(runner.run(image, scenario))))
            }
            Ok(Request::Observe { id, pair, side }) => find(images, &id, |image, scenario| {
                let observe = |machines: [&dyn Machine; 2]| {
                    let machine = *machines.get(side)?;
                    Some(observe::observe(machine, image, scenario, terms.timeout, on_seen()))
                };
                match pair.with(Some(machine), observe) {
                    Ok(Some(observation)) => Answer::Observation(Box::new(observation)),
                    Ok(None) => Answer::Failed(format!("a pair has no machine {side}")),
                    Err(error) => Answer::Failed(error.to_string()),
                }
            }),
            Ok(Request::Cross { id, pair, route }) => find(images, &id, |image, scenario| {
                let cross = |machines: [&dyn Machine; 2]| {
                    let mut crossing = Crossing::new(&pair, machines, &route, terms.timeout);
                    crossing.on_seen(Box::new(seen));
                    crossing.run(image, scenario)
                };
                match pair.with(Some(machine), cross) {
                    Ok(report) => Answer::Report(Box::new(report)),
                    Err(error) => Answer::Failed(error.to_string()),
                }
            }),
            Err(error) => Answer::Failed(format!("the request is not one: {error}")),
        };
        send(&mut *output.borrow_mut(), &answer)?;
    }
    Ok(())
}

fn send(output: &mut impl Write, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn find(images: &[Image], id: &str, run: impl FnOnce(&Image, &Scenario) -> Answer) -> Answer {
    let scenario: Scenario = match id.parse() {
        Ok(scenario) => scenario,
        Err(error) => return Answer::Failed(format!("{error}")),
    };
    match images.iter().find(|image| image.name == scenario.image) {
        Some(image) => run(image, &scenario),
        None => Answer::Failed(format!("there is no image {}", scenario.image)),
    }
}
