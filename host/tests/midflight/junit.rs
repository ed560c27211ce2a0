//! JUnit XML is as Jenkins takes it: what junit-10.xsd of its xUnit plugin allows, here as a table, and in
//! `junit.xsd` for a validator of others.

use crate::binary::{embedded, file, midflight, run};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::BTreeMap;
use std::process::Command;

/// An element: its name, the attributes that it must have, those that it may have, and the elements in it.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// Times are seconds in decimal digits; the names of test cases are required, everything else is text.
const RULES: [Rule; 8] = [
    ("testsuites", &[], &["name", "time", "tests", "failures", "errors"], &["testsuite"]),
    (
        "testsuite",
        &["name", "tests", "failures", "errors"],
        &["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"],
        &["testsuite", "properties", "testcase", "system-out", "system-err"],
    ),
    ("properties", &[], &[], &["property"]),
    ("property", &["name", "value"], &[], &[]),
    (
        "testcase",
        &["name"],
        &["time", "classname", "group"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", &[], &["type", "message"], &[]),
    ("error", &[], &["type", "message"], &[]),
    ("failure", &[], &["type", "message"], &[]),
];

fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("there is no element {name}"))
}

/// An element with its attributes, the elements in it, and its text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    inside: Vec<Element>,
    text: String,
}

impl Element {
    fn begun(start: &BytesStart<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            (
                text(attribute.key.as_ref()),
                attribute.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned(),
            )
        });
        Self { name: text(start.name().as_ref()), attributes: attributes.collect(), ..Self::default() }
    }

    /// Checks it, and all in it, against the rules.
    fn check(&self) {
        let (name, required, optional, children) = rule(&self.name);
        for attribute in *required {
            assert!(self.attributes.contains_key(*attribute), "{name} has no {attribute}");
        }
        for (attribute, value) in &self.attributes {
            let known = required.contains(&attribute.as_str()) || optional.contains(&attribute.as_str());
            assert!(known, "{name} may not have {attribute}");
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            assert!(attribute != "time" || digits(value), "{value} is no time");
        }
        for inside in &self.inside {
            assert!(children.contains(&inside.name.as_str()), "{} may not be in {name}", inside.name);
            inside.check();
        }
        let mixed = ["skipped", "error", "failure"].contains(name);
        assert!(mixed || self.text.trim().is_empty(), "{name} may not have text: {}", self.text);
    }

    fn each<'e>(&'e self, name: &'e str) -> Vec<&'e Element> {
        let mine = self.inside.iter().filter(move |one| one.name == name);
        let theirs = self.inside.iter().flat_map(move |one| one.each(name));
        mine.chain(theirs).collect()
    }

    fn count(&self, name: &str) -> usize {
        self.attributes[name].parse().unwrap()
    }
}

/// The document; it must be well formed, and its root `testsuites`.
fn parsed(text: &str) -> Element {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push(Element::begun(&start)),
            Event::Empty(start) => open.last_mut().unwrap().inside.push(Element::begun(&start)),
            Event::End(_) => {
                let ended = open.pop().unwrap();
                open.last_mut().unwrap().inside.push(ended);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &text.decode().unwrap(),
            Event::GeneralRef(reference) => {
                open.last_mut().unwrap().text += &format!("&{};", reference.decode().unwrap());
            }
            Event::Decl(_) => {}
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    let [root] = &mut open[..] else { panic!("elements are open") };
    assert_eq!(root.inside.len(), 1);
    root.inside.pop().unwrap()
}

/// Lets `xmllint` check it, where there is one.
fn checked_by_others(name: &str, text: &str) {
    let document = file(name, text.as_bytes());
    let schema = file("junit.xsd", include_bytes!("junit.xsd"));
    let mut xmllint = Command::new("xmllint");
    if xmllint.arg("--version").output().is_err() {
        eprintln!("skipped, not checked by others: there is no xmllint");
        return;
    }
    let ran = run(Command::new("xmllint").args(["--noout", "--schema", &schema, &document]));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn junit_is_as_jenkins_has_it_and_says_everything() {
    let Some(_) = embedded("pf") else { return };
    let log = file("junit.log", b"");
    let mixed = ["run", "pf/read-unmapped:*", "nm/ldtilecfg-xfd:idt:cold", "--format", "junit"];
    let wrong = ["--behaviour", "kernel-only-event-data", "--kernel-log", &log];
    let elsewhere = ["--kvm", "/no/such/device"];
    let failing = midflight(&[&mixed[..], &wrong].concat());
    let skipping = midflight(&[&mixed[..], &elsewhere].concat());
    for (name, ran) in [("junit-failing.xml", &failing), ("junit-skipping.xml", &skipping)] {
        let document = parsed(&ran.stdout);
        assert_eq!(document.name, "testsuites");
        document.check();
        checked_by_others(name, &ran.stdout);
        for of in std::iter::once(&document).chain(document.each("testsuite")) {
            for (count, element) in [("tests", "testcase"), ("failures", "failure"), ("errors", "error")] {
                assert_eq!(of.count(count), of.each(element).len(), "{name}: {count} of {of:?}");
            }
        }
    }
    let document = parsed(&skipping.stdout);
    let machines = document.each("testsuite");
    let kvm = machines.iter().find(|suite| suite.attributes["name"] == "kvm").unwrap();
    assert_eq!(kvm.count("skipped"), kvm.count("tests"), "{kvm:?}");
    let document = parsed(&failing.stdout);
    let suite = document.each("testsuite")[0];
    let property = |name: &str| {
        let all = suite.each("property");
        let found = all.iter().find(|property| property.attributes["name"] == name);
        found.unwrap_or_else(|| panic!("no property {name}")).attributes["value"].clone()
    };
    assert!(property("host.kernel").contains('.') && property("host.cpu_fred").parse::<bool>().is_ok());
    assert!(property("command").contains(" --behaviour kernel-only-event-data"), "{suite:?}");
    let at = &suite.attributes["timestamp"];
    assert!(at.len() == 20 && at.starts_with("20") && at.ends_with('Z'), "{at}");
    assert!(!suite.attributes["hostname"].is_empty());
    let named = |case: &&&Element| case.attributes["name"] == "pf/read-unmapped:fred:block@frame:migrate";
    let failed = *document.each("testcase").iter().find(named).unwrap();
    let [failure] = &failed.inside[..] else { panic!("{failed:?}") };
    for said in
        ["event data expected 0x8000001a58, got 0x0", "the queue at the cut: #PF", "again: ", "losses"]
    {
        let said = if said == "losses" { "the uAPI did not carry: event data" } else { said };
        assert!(failure.text.contains(said), "{said}: {failure:?}");
    }
}
