//! What the documentation shows of midflight's output is what midflight prints.
//!
//! A sample is a block of text, or of JSON, after a block of commands under the same heading; the last of the commands
//! is run where it needs nothing but the model. Samples of images that are not there yet are new_test.rs's.
//!
//! `make samples` writes those anew that show everything, without `[…]`.

use crate::binary::{embedded, midflight};
use crate::sample::{assert_shows, page, without_addresses};
use serde_json::Value;
use std::path::Path;

/// A command and what the documentation says that it prints.
#[derive(Debug)]
struct Sample {
    page: String,
    command: Vec<String>,
    kind: &'static str,
    text: String,
}

/// What runs on the model alone: the others depend on the host.
fn is_of_the_model(command: &[String]) -> bool {
    let has = |word: &str| command.iter().any(|other| other == word);
    let model = has("--behaviour") || has("model") || has("model,model");
    // The guest that `debug` stops waits for gdb: debugger.rs.
    model && !has("--image") && !has("debug") || ["show", "trace", "list"].contains(&command[1].as_str())
}

/// The samples of a page.
fn samples(name: &str) -> Vec<Sample> {
    let text = page(name);
    let mut found = Vec::new();
    for section in text.split("\n#") {
        let mut command: Option<Vec<String>> = None;
        // Outside, inside, outside, …
        for block in section.split("```").skip(1).step_by(2) {
            let (kind, body) = block.split_once('\n').unwrap();
            match kind {
                "sh" => {
                    let line =
                        body.replace("\\\n", " ").trim_end().lines().last().unwrap_or_default().to_owned();
                    let words = shlex::split(&line).unwrap();
                    command = Some(words).filter(|words| words[0].ends_with("midflight"));
                }
                "text" | "json" => {
                    if let Some(command) = command.take() {
                        let kind = if kind == "json" { "json" } else { "text" };
                        found.push(Sample { page: name.to_owned(), command, kind, text: body.to_owned() });
                    }
                }
                _ => command = None,
            }
        }
    }
    found
}

/// README.md and each page of docs.
pub(crate) fn pages() -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let files = crate::binary::files(&docs)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "md"));
    let docs = files.map(|file| format!("docs/{}", file.file_name().unwrap().to_string_lossy()));
    [String::from("README.md")].into_iter().chain(docs).collect()
}

/// The first object is the sample's, but for how long it took.
#[track_caller]
fn assert_first_object_is(output: &str, sample: &str) {
    let without_time = |text: &str| -> Value {
        let mut object: Value = serde_json::from_str(&without_addresses(text)).unwrap();
        object["duration_us"].take();
        // Two of the numbers are addresses of the image.
        for frame in object["frames"].as_array_mut().into_iter().flatten() {
            let words: Vec<&str> = frame.as_str().unwrap().split(' ').collect();
            *frame = [words[..4].join(" "), words[9..13].join(" ")].into();
        }
        object
    };
    assert_eq!(without_time(output.lines().next().unwrap()), without_time(sample));
}

/// Whether the samples are to be written anew, and none compared.
fn writes() -> bool {
    std::env::var_os("MIDFLIGHT_WRITE_SAMPLES").is_some()
}

/// Puts what was printed in the place of a sample that shows everything.
fn write(sample: &Sample, output: &str) {
    if sample.kind == "text" && !sample.text.contains("[…]") {
        let text = page(&sample.page).replace(&sample.text, &format!("{}\n", output.trim_matches('\n')));
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&sample.page), text).unwrap();
    }
}

#[test]
fn every_sample_of_the_model_is_what_it_prints() {
    let Some(_) = embedded("pf") else { return };
    let all: Vec<Sample> = pages().iter().flat_map(|name| samples(name)).collect();
    let (here, others): (Vec<&Sample>, Vec<&Sample>) =
        all.iter().partition(|sample| is_of_the_model(&sample.command));
    for sample in &here {
        let Sample { page, command, kind, text } = sample;
        eprintln!("{page}: {}", command.join(" "));
        let program = &command[0];
        let ran = midflight(&command[1..]);
        // The command that repeats it names the program as it was called.
        let output = ran.stdout.replace(env!("CARGO_BIN_EXE_midflight"), program);
        match *kind {
            _ if writes() => write(sample, &output),
            "json" => assert_first_object_is(&output, text),
            _ => assert_shows(&output, text),
        }
    }
    assert!(here.iter().any(|sample| sample.page == "README.md"), "{all:?}");
    // Those of new images are new_test.rs's.
    for sample in others.iter().filter(|sample| sample.command[1] != "debug") {
        let of_new_images = ["README.md", "docs/adding-a-case.md"].contains(&sample.page.as_str());
        assert!(
            of_new_images && sample.command.contains(&"--image".into()),
            "a sample that nothing compares: {sample:?}"
        );
    }
}
