//! What programs read: KTAP, TAP 14, and JSON as its schema says.

use crate::binary::{Ran, embedded, file, midflight};
use serde_json::Value;

/// Passes, failures with everything that a failure can say, and skips: on every host.
const MIXED: [&str; 8] = [
    "run",
    "pf/read-unmapped:fred:*",
    "pf/read-unmapped:idt:cold",
    "--behaviour",
    "kernel-only-event-data",
    "--kvm",
    "/no/such/device",
    "--frames",
];
/// Skips only.
const SKIPS: [&str; 6] = ["run", "pf/read-unmapped:fred:cold", "--machine", "qemu", "--format", "ktap"];

fn mixed(format: &str) -> Ran {
    midflight(&[&MIXED[..], &["--format", format]].concat())
}

/// A result line of TAP: whether it is `ok`, its number, its name and its directive.
fn point(line: &str) -> Option<(bool, usize, &str, &str)> {
    let (ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, rest) = rest.split_once(' ').unwrap();
    let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
    Some((ok, number.parse().unwrap(), name, directive))
}

/// The result lines, of which there are as many as the plan says, numbered from 1.
fn points(ran: &Ran) -> Vec<(bool, usize, &str, &str)> {
    let plan = ran.stdout.lines().nth(1).unwrap().strip_prefix("1..").unwrap();
    let points: Vec<_> = ran.stdout.lines().filter_map(point).collect();
    let numbers: Vec<usize> = points.iter().map(|(_, number, ..)| *number).collect();
    assert_eq!(numbers, (1..=plan.parse().unwrap()).collect::<Vec<_>>(), "{ran:?}");
    points
}

#[test]
fn ktap_has_a_plan_a_line_for_each_result_and_the_failure_before_it() {
    let Some(_) = embedded("pf") else { return };
    let ran = mixed("ktap");
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "KTAP version 1");
    let points = points(&ran);
    for line in &lines[2..] {
        assert!(point(line).is_some() || line.starts_with("# "), "{line}");
    }
    let failed = "model/pf/read-unmapped:fred:block@frame:migrate";
    let at = lines.iter().position(|line| line.ends_with(&format!(" {failed}"))).unwrap();
    assert!(lines[at].starts_with("not ok "), "{ran:?}");
    let before: Vec<&&str> = lines[..at].iter().rev().take_while(|line| line.starts_with("# ")).collect();
    for said in ["#     again: ", "#     event data expected 0x", "# FRAME "] {
        assert!(before.iter().any(|line| line.starts_with(said)), "{said}: {before:?}");
    }
    assert!(points.iter().any(|(ok, _, name, _)| *ok && *name == "model/pf/read-unmapped:fred:cold"));
    let (_, _, kernel, _) = points.last().unwrap();
    assert_eq!(*kernel, "kernel/no-warning-during-the-run");
    let passed = points.iter().filter(|(ok, _, name, _)| *ok && !name.starts_with("kernel/")).count();
    let failed = points.iter().filter(|(ok, ..)| !ok).count();
    let totals = format!("# Totals: pass:{passed} fail:{failed} xfail:0 xpass:0 skip:0 error:0");
    assert_eq!(*lines.last().unwrap(), totals);
}

#[test]
fn ktap_skips_with_a_reason_and_exits_like_a_selftest_that_has_tested_nothing() {
    let Some(_) = embedded("pf") else { return };
    let known = file("formats-none.toml", b"");
    let without = ["--kvm", "/no/such/device", "--known-issues", &known];
    let skipped = ["run", "nm/ldtilecfg-xfd:idt:cold", "--machine", "qemu"];
    let ran = midflight(&[&skipped[..], &without, &["--format", "ktap"]].concat());
    if ran.stdout.is_empty() {
        eprintln!("skipped, nothing tested: there is no QEMU: {}", ran.stderr);
        return;
    }
    let points = points(&ran);
    let (ok, _, name, directive) = points[0];
    assert!(ok && name == "qemu/nm/ldtilecfg-xfd:idt:cold", "{ran:?}");
    assert!(directive.starts_with("SKIP needs "), "{ran:?}");
    assert_eq!(ran.code, 4, "KSFT_SKIP: {ran:?}");
    assert_eq!(midflight(&[&skipped[..], &without].concat()).code, 0, "only there");
    // A QEMU without FRED as well.
    let ran = midflight(&SKIPS);
    let tested = !ran.stdout.contains(" # SKIP ");
    assert_eq!(ran.code, if tested { 0 } else { 4 }, "{ran:?}");
}

#[test]
fn tap_14_has_a_block_of_yaml_after_each_failure() {
    let Some(_) = embedded("pf") else { return };
    let ran = mixed("tap");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with("TAP version 14\n1.."), "{ran:?}");
    let failures = points(&ran).iter().filter(|(ok, ..)| !ok).count();
    assert!(failures > 0);
    let (mut blocks, mut lines) = (0, ran.stdout.lines());
    while let Some(line) = lines.next() {
        if line == "  ---" {
            blocks += 1;
            let members: Vec<&str> = lines.by_ref().take_while(|line| *line != "  ...").collect();
            // Each value is JSON, which is YAML.
            for member in &members {
                let (name, value) = member.strip_prefix("  ").unwrap().split_once(": ").unwrap();
                let value: Value = serde_json::from_str(value).unwrap();
                assert!(name != "outcome" || value == "fail", "{member}");
            }
            let has = |name: &str| members.iter().any(|member| member.starts_with(&format!("  {name}: ")));
            assert!(["id", "differences", "queue", "losses", "again"].into_iter().all(has), "{members:?}");
        } else {
            assert!(
                point(line).is_some_and(|(_, _, name, _)| name.starts_with("- ")) || !line.contains("ok ")
            );
        }
    }
    assert_eq!(blocks, failures);
}

/// The schema that is documented.
fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/report.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn valid(schema: &jsonschema::Validator, object: &Value) {
    let problems: Vec<String> =
        schema.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(problems.is_empty(), "{problems:#?} in {object}");
}

#[test]
fn json_is_as_its_schema_says() {
    let Some(_) = embedded("pf") else { return };
    let schema = schema();
    let log = file("formats.log", b"");
    let every_machine = ["run", "pf/read-unmapped:*", "--frames", "--kernel-log", &log];
    let wrong = [&MIXED[..], &["--repeat", "2"]].concat();
    for arguments in [&wrong[..], &every_machine, &["run", "soft/int1:*", "--machine", "model"]] {
        let ran = midflight(&[arguments, &["--format", "json"]].concat());
        let objects: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(objects.len() > 1, "{ran:?}");
        objects.iter().for_each(|object| valid(&schema, object));
    }
    // It says something: what it does not describe is refused.
    let ran = midflight(&["run", "pf/read-unmapped:fred:cold", "--machine", "model", "--format", "json"]);
    let (reports, summary) = ran.objects(0);
    for (object, member) in [(&reports[0], "duration_us"), (&summary, "totals")] {
        for value in [None, Some(Value::from("x"))] {
            let mut wrong = object.clone();
            wrong.as_object_mut().unwrap().remove(member);
            wrong.as_object_mut().unwrap().extend(value.map(|value| (member.to_owned(), value)));
            assert!(!schema.is_valid(&wrong), "{wrong}");
        }
        let mut more = object.clone();
        more["no such member"] = Value::Null;
        assert!(!schema.is_valid(&more));
    }
}
