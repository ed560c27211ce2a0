//! JUnit XML as Jenkins' junit-10.xsd has it: a suite per machine, a test case per scenario; a suite for this host's
//! kernel; and one more where the run was ended early.

use super::format::{Early, Ended, One, Writer};
use super::known::JudgedWarnings;
use crate::report::{Difference, Outcome, Report, human, reason};
use quick_xml::Writer as Xml;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io::{Result, Write};

/// The report in JUnit XML.
pub(super) struct Junit;

impl Writer for Junit {
    /// XML has an end.
    fn one(&self, _: &mut dyn Write, _: &One<'_>) -> Result<()> {
        Ok(())
    }

    fn end(&self, output: &mut dyn Write, run: &Ended<'_>) -> Result<()> {
        let mut suites = machines(run);
        suites.push(Suite { name: "kernel".to_owned(), cases: vec![kernel(run.kernel)] });
        if let Some(early) = run.early {
            suites.push(Suite { name: "run".to_owned(), cases: vec![not_whole(early)] });
        }
        let of_run = OfRun::of(run)?;
        let mut xml = Xml::new_with_indent(&mut *output, b' ', 2);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let all = Counts::of(suites.iter().flat_map(|suite| &suite.cases));
        // The schema has no count of skips here.
        let counts = [("tests", all.tests), ("failures", all.failures), ("errors", all.errors)];
        xml.create_element("testsuites")
            .with_attribute(("name", "midflight"))
            .with_attribute(("time", seconds(all.micros).as_str()))
            .with_attributes(counts.map(|(name, count)| (name, count.to_string())).iter().map(pair))
            .write_inner_content(|xml| suites.iter().try_for_each(|suite| suite.write(xml, &of_run)))?;
        writeln!(output)
    }

    fn is_document(&self) -> bool {
        true
    }
}

/// What every suite says of the run.
struct OfRun {
    timestamp: String,
    hostname: String,
    /// Names and values.
    properties: Vec<(String, String)>,
}

impl OfRun {
    fn of(run: &Ended<'_>) -> Result<Self> {
        let host = serde_json::to_string(run.host)?;
        let facts: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&host)?;
        let text = |value: serde_json::Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let facts = facts.into_iter().map(|(name, value)| (format!("host.{name}"), text(value)));
        let command = ("command".to_owned(), run.begun.command.clone());
        let hostname = rustix::system::uname();
        Ok(Self {
            timestamp: humantime::format_rfc3339_seconds(run.begun.at).to_string(),
            hostname: hostname.nodename().to_string_lossy().into_owned(),
            properties: std::iter::once(command).chain(facts).collect(),
        })
    }
}

struct Suite {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    class: String,
    micros: u64,
    status: Status,
}

/// What becomes of a test case that did not pass.
struct Element {
    /// The outcome in our word.
    outcome: String,
    message: String,
    /// Everything else, for people.
    body: String,
}

enum Status {
    Passed,
    Skipped(Element),
    Failed(Element),
    Erred(Element),
}

#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    micros: u64,
}

impl Counts {
    fn of<'c>(cases: impl Iterator<Item = &'c Case>) -> Self {
        let mut counts = Self::default();
        for case in cases {
            counts.tests += 1;
            counts.micros += case.micros;
            match case.status {
                Status::Passed => {}
                Status::Skipped(_) => counts.skipped += 1,
                Status::Failed(_) => counts.failures += 1,
                Status::Erred(_) => counts.errors += 1,
            }
        }
        counts
    }
}

impl Suite {
    fn write<W: Write>(&self, xml: &mut Xml<W>, run: &OfRun) -> Result<()> {
        let Counts { tests, failures, errors, skipped, micros } = Counts::of(self.cases.iter());
        let counts = [("tests", tests), ("failures", failures), ("errors", errors), ("skipped", skipped)];
        xml.create_element("testsuite")
            .with_attribute(("name", plain(&self.name).as_str()))
            .with_attributes(counts.map(|(name, count)| (name, count.to_string())).iter().map(pair))
            .with_attribute(("time", seconds(micros).as_str()))
            .with_attribute(("timestamp", run.timestamp.as_str()))
            .with_attribute(("hostname", plain(&run.hostname).as_str()))
            .write_inner_content(|xml| {
                xml.create_element("properties").write_inner_content(|xml| {
                    run.properties.iter().try_for_each(|(name, value)| property(xml, name, value))
                })?;
                self.cases.iter().try_for_each(|case| case.write(xml))
            })?;
        Ok(())
    }
}

fn property<W: Write>(xml: &mut Xml<W>, name: &str, value: &str) -> Result<()> {
    let attributes = [("name", name), ("value", &plain(value))];
    xml.create_element("property").with_attributes(attributes).write_empty().map(drop)
}

impl Case {
    fn write<W: Write>(&self, xml: &mut Xml<W>) -> Result<()> {
        let element = xml
            .create_element("testcase")
            .with_attribute(("name", plain(&self.name).as_str()))
            .with_attribute(("classname", plain(&self.class).as_str()))
            .with_attribute(("time", seconds(self.micros).as_str()));
        let (tag, said) = match &self.status {
            Status::Passed => return element.write_empty().map(drop),
            Status::Skipped(said) => ("skipped", said),
            Status::Failed(said) => ("failure", said),
            Status::Erred(said) => ("error", said),
        };
        element.write_inner_content(|xml| said.write(xml, tag)).map(drop)
    }
}

impl Element {
    fn write<W: Write>(&self, xml: &mut Xml<W>, tag: &str) -> Result<()> {
        let element = xml
            .create_element(tag)
            .with_attribute(("type", self.outcome.as_str()))
            .with_attribute(("message", plain(&self.message).as_str()));
        match plain(&self.body) {
            body if body.is_empty() => element.write_empty().map(drop),
            body => element.write_text_content(BytesText::new(&body)).map(drop),
        }
    }
}

/// The suites of the machines, in the order of the reports.
fn machines(run: &Ended<'_>) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for report in run.reports {
        let at = suites.iter().position(|suite| suite.name == report.machine).unwrap_or_else(|| {
            suites.push(Suite { name: report.machine.clone(), cases: Vec::new() });
            suites.len() - 1
        });
        suites[at].cases.push(case(report));
    }
    suites
}

fn case(report: &Report) -> Case {
    let said = |body| Element { outcome: report.outcome.to_string(), message: message(report), body };
    let status = match report.outcome {
        Outcome::Pass => Status::Passed,
        Outcome::Skip | Outcome::Known => Status::Skipped(said(String::new())),
        Outcome::Fail => Status::Failed(said(body(report))),
        Outcome::Error => Status::Erred(said(body(report))),
    };
    Case {
        name: report.scenario.to_string(),
        class: format!("{}.{}", report.machine, report.scenario.image),
        micros: report.duration_us,
        status,
    }
}

/// All that is known of a failure: every field, the queue, the losses, the command that repeats it.
fn body(report: &Report) -> String {
    let mut text = Vec::new();
    // Nothing can fail in memory.
    let _ = human::one(&mut text, report, true);
    String::from_utf8_lossy(&text).into_owned()
}

fn message(report: &Report) -> String {
    let mut message = report.outcome.to_string();
    if let Some(reason) = reason(report) {
        message.push_str(&format!(": {reason}"));
    }
    if let Some(Difference { field, expected, got }) = report.differences.first() {
        message.push_str(&format!(": expected {field} {expected}, got {field} {got}"));
    }
    if let Some(prediction) = &report.predicted {
        message.push_str(&format!(": as predicted {prediction}"));
    }
    message
}

fn kernel(kernel: &JudgedWarnings) -> Case {
    let said = |outcome: Outcome, message: &str, body: String| Element {
        outcome: outcome.to_string(),
        message: message.to_owned(),
        body,
    };
    let status = match (kernel.said.warnings.as_slice(), &kernel.said.unwatched) {
        ([], None) => Status::Passed,
        ([], Some(why)) => {
            Status::Skipped(said(Outcome::Skip, &format!("not watched, or not all: {why}"), String::new()))
        }
        (warnings, _) => Status::Failed(said(
            Outcome::Fail,
            "this host's kernel warned during the run",
            warnings.iter().map(|warning| format!("{warning}\n")).collect(),
        )),
    };
    of_run("no warning during the run", "kernel", status)
}

fn not_whole(early: Early) -> Case {
    let (outcome, message) = (Outcome::Error.to_string(), early.to_string());
    let status = Status::Erred(Element { outcome, message, body: String::new() });
    of_run("every selected scenario ran", "run", status)
}

fn of_run(name: &str, class: &str, status: Status) -> Case {
    Case { name: name.to_owned(), class: class.to_owned(), micros: 0, status }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn pair<'p>((name, value): &'p (&'static str, String)) -> (&'p str, &'p str) {
    (name, value)
}

/// Text without the characters that XML cannot have, even as references: what a guest says may hold any.
fn plain(text: &str) -> String {
    let harmless = |c: char| {
        matches!(c, '\n' | '\t') || c >= ' ' && !matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if harmless(c) { c } else { '?' }).collect()
}
