//! The inside of a worker process: requests come in, one JSON object per line, and answers go out.

use crate::compare::observe;
use crate::engine::questions::ask;
use crate::engine::runner::OnSeen;
use crate::engine::worker::{Answer, Request, Setup};
use crate::image::Image;
use crate::images::{self, ImagesError};
use crate::machines::Unavailable;
use crate::process::put_line;
use crate::scenario::Scenario;
use std::cell::RefCell;
use std::io::{BufRead, Write};

/// A worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// Its images cannot be used.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// Its machine cannot be used.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The parent can no longer be read from or written to.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads what it is for from `input`, and then serves requests until `input` ends. Fails when an image or a
/// machine cannot be used, or the parent is gone.
pub(crate) fn serve(mut input: impl BufRead, output: impl Write) -> Result<(), ServeError> {
    let mut first = String::new();
    input.read_line(&mut first)?;
    let Setup { job, options } = serde_json::from_str(&first).map_err(std::io::Error::from)?;
    let images = images::load(&options.images).or_else(|error| match error {
        // A probe needs none.
        ImagesError::None => Ok(Vec::new()),
        other => Err(other),
    })?;
    let machines = job.open()?;
    let source = job.source(&machines)?;
    let output = RefCell::new(output);
    put_line(&mut *output.borrow_mut(), &Answer::Ready)?;
    let seen = |place: &str| {
        // A parent that is gone is noticed when the answer is written.
        let _ = put_line(&mut *output.borrow_mut(), &Answer::Seen(place.to_owned()));
    };
    let on_seen = || -> Option<OnSeen<'_>> { Some(Box::new(seen)) };
    let mut runner = job.runner(&machines, &options)?;
    runner.on_seen = on_seen();
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(Request::Probe(question, payload)) => match ask(source, payload, question) {
                Ok(support) => Answer::Support(support),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Ok(Request::Run(scenario)) => with_image(&images, &scenario, |image| {
                Answer::Report(Box::new(job.run(&mut runner, image, &scenario)))
            }),
            Ok(Request::Observe(scenario)) => with_image(&images, &scenario, |image| {
                let seen = observe::observe(source, image, &scenario, options.timeout, on_seen());
                Answer::Observations(Box::new(seen))
            }),
            Err(error) => Answer::Failed(format!("the request is malformed: {error}")),
        };
        put_line(&mut *output.borrow_mut(), &answer)?;
    }
    Ok(())
}

fn with_image(images: &[Image], scenario: &Scenario, answer: impl FnOnce(&Image) -> Answer) -> Answer {
    match images.iter().find(|image| image.name == scenario.image) {
        Some(image) => answer(image),
        None => Answer::Failed(format!("there is no image {}", scenario.image)),
    }
}
