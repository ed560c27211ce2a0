//! Writes predictions: what failed alike in one entry, no entry larger than what failed.

use crate::causes;
use midflight::report::{Difference, Field, Outcome, Report, Seen};
use std::collections::{BTreeMap, BTreeSet};
use vm::Value;

/// What the list begins with.
pub(crate) const HEAD: &str = "\
# What is wrong with KVM with a FRED series: what the model's behaviour of that series does, for the reasons
# that its review gives. The reference of an entry says whether a kernel with the series was measured, in an
# emulator (docs/fred-series.md); none was on a processor. A prediction explains a failure and excuses nothing
# (docs/known-issues.md). No kernel says which series it was built with, so that a prediction holds only where
# the user states it: `--host-fact fred_series=v9`.
# Written by `make predictions.toml`; a test compares.
";

/// A stop, or with `*` a stop at every place that its case has.
type Stops = BTreeSet<String>;
/// What limits an entry's cases: its stops, its actions where the stops have any, and the payload
/// capability where the failure depends on it.
type Limits = (Stops, BTreeSet<String>, Option<bool>);

/// How a field that differed is written in a list.
fn written(difference: &Difference) -> String {
    let Difference { field, expected, got } = difference;
    let value = |value: &Value| match value {
        Value::Number(number) if i64::try_from(*number).is_ok() => value.to_string(),
        other => format!("{:?}", other.to_string()),
    };
    let (name, more) = match field {
        Field::Judged { number, delivery } => (
            Field::Judged { number: *number, delivery: None }.to_string(),
            delivery.map_or(String::new(), |number| format!(", delivery = {number}")),
        ),
        Field::Restored(_) => (field.to_string(), ", restored = true".to_owned()),
        Field::Seen(seen @ Seen::Captured { delivery, .. }, when) => {
            let name = seen.to_string();
            let name = name.split_once(": ").map_or("", |(_, name)| name).to_owned();
            (name, format!(", delivery = {delivery}, at = \"{when:?}\""))
        }
        Field::Seen(seen, when) => (seen.to_string(), format!(", at = \"{when:?}\"")),
    };
    if field.is_address() {
        return format!("{{ name = {name:?}{more} }}");
    }
    format!("{{ name = {name:?}{more}, expected = {}, got = {} }}", value(expected), value(got))
}

/// What the cases of an entry have in common: the names of the causes, the failure, the limits, and whether a
/// kernel was measured.
type Key<'a> = (Vec<&'a str>, String, Limits, bool);

/// The fields that differed, as a list has them.
fn failure(report: &Report) -> String {
    let fields: Vec<String> = report.differences.iter().map(written).collect();
    format!("[{}]", fields.join(", "))
}

fn stop(report: &Report) -> String {
    report.scenario.plan.stop_name()
}

fn action(report: &Report) -> Option<String> {
    report.scenario.plan.action().map(|action| action.to_string())
}

/// The predictions that these reports of a series make; the cases of `unmeasured` ran on no kernel with it.
pub(crate) fn predictions(series: &str, reports: &[Report], unmeasured: &BTreeSet<String>) -> String {
    let mut entries: BTreeMap<Key<'_>, Vec<String>> = BTreeMap::new();
    let mut by_case: BTreeMap<String, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        by_case.entry(report.scenario.case_name()).or_default().push(report);
    }
    for (case, reports) in by_case {
        let failed: Vec<&Report> = reports
            .iter()
            .filter(|report| report.outcome == Outcome::Fail && causes::may_be_predicted(report))
            .copied()
            .collect();
        let failures: BTreeSet<String> = failed.iter().map(|report| self::failure(report)).collect();
        for failure in failures {
            let alike: Vec<&Report> =
                failed.iter().filter(|report| self::failure(report) == failure).copied().collect();
            let causes = causes::of(alike[0]);
            assert!(causes.is_some(), "{}: nobody has said why: {failure}", alike[0].scenario);
            let names = causes.unwrap_or_default().iter().map(|cause| cause.name).collect::<Vec<_>>();
            let measured = !unmeasured.contains(&case);
            for limits in limits(&reports, &alike) {
                let key = (names.clone(), failure.clone(), limits, measured);
                entries.entry(key).or_default().push(case.clone());
            }
        }
    }
    entries.into_iter().fold(String::new(), |mut text, ((_, failure, limits, measured), cases)| {
        let of_entry =
            |report: &&Report| self::failure(report) == failure && causes::may_be_predicted(report);
        let causes = reports.iter().find(of_entry).and_then(causes::of).unwrap_or_default();
        let reference =
            [causes.iter().map(|cause| cause.reference).collect(), vec![evidence(measured)]].concat();
        text += &entry(series, &causes, &failure, &limits, &cases, &reference.join("; "));
        text
    })
}

/// What an entry says of its evidence.
fn evidence(measured: bool) -> &'static str {
    if measured {
        "measured on Linux 7.2 with the series, in Bochs (docs/fred-series.md)"
    } else {
        "not measured as it is here (docs/fred-series.md)"
    }
}

/// The limits that leave just `failed` of `all` the scenarios of a case, in as few sets as come easily.
fn limits(all: &[&Report], failed: &[&Report]) -> BTreeSet<Limits> {
    if !depends_on_payload(all, failed) {
        return limits_at(None, all, failed);
    }
    let of = |reports: &[&Report], payload| -> Vec<Report> {
        reports
            .iter()
            .filter(|report| report.scenario.payload == payload)
            .map(|report| (*report).clone())
            .collect()
    };
    [true, false]
        .into_iter()
        .flat_map(|payload| {
            let (all, failed) = (of(all, payload), of(failed, payload));
            limits_at(Some(payload), &Vec::from_iter(&all), &Vec::from_iter(&failed))
        })
        .collect()
}

/// Whether a scenario failed whose like with the other payload capability did not.
fn depends_on_payload(all: &[&Report], failed: &[&Report]) -> bool {
    let like = |one: &Report, other: &Report| one.scenario.plan == other.scenario.plan;
    failed.iter().any(|one| {
        let other =
            all.iter().find(|other| other.scenario.payload != one.scenario.payload && like(one, other));
        other.is_some_and(|other| failed.iter().all(|failed| failed.scenario != other.scenario))
    })
}

/// The same for one payload capability, or for both where it makes no difference: stops of which the same
/// actions failed are one.
fn limits_at(payload: Option<bool>, all: &[&Report], failed: &[&Report]) -> BTreeSet<Limits> {
    let stops: BTreeSet<String> = failed.iter().map(|report| stop(report)).collect();
    let mut by_stop: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for stop in stops {
        let here = failed.iter().filter(|report| self::stop(report) == stop);
        let actions = here.filter_map(|report| action(report)).collect();
        by_stop.insert(stop, actions);
    }
    let mut limits: BTreeMap<BTreeSet<String>, Stops> = BTreeMap::new();
    for (stop, actions) in &by_stop {
        let how = stop.split_once('@').map(|(how, _)| how);
        let alike = |report: &&Report| {
            // Where a place has other actions than another, what it has must have failed.
            let at_place = how.is_some_and(|how| self::stop(report).starts_with(&format!("{how}@")));
            let may = action(report).is_some_and(|action| union(&by_stop, how).contains(&action));
            !(at_place && may) || failed.iter().any(|one| one.scenario == report.scenario)
        };
        let (name, actions) = match how {
            Some(how) if all.iter().all(alike) => (format!("{how}@*"), union(&by_stop, Some(how))),
            _ => (stop.clone(), actions.clone()),
        };
        limits.entry(actions).or_default().insert(name);
    }
    merged(limits, all, failed).into_iter().map(|(stops, actions)| (stops, actions, payload)).collect()
}

/// The actions that failed at any place that is stopped in this way.
fn union(by_stop: &BTreeMap<String, BTreeSet<String>>, how: Option<&str>) -> BTreeSet<String> {
    let same = |stop: &str| stop.split_once('@').map(|(how, _)| how) == how;
    by_stop.iter().filter(|(stop, _)| same(stop)).flat_map(|(_, actions)| actions).cloned().collect()
}

/// Joins sets whose union leaves nothing that has not failed.
fn merged(
    limits: BTreeMap<BTreeSet<String>, Stops>,
    all: &[&Report],
    failed: &[&Report],
) -> Vec<(Stops, BTreeSet<String>)> {
    let mut joined: Vec<(Stops, BTreeSet<String>)> = Vec::new();
    for (actions, stops) in limits {
        let union = |(with, actions_with): &(Stops, BTreeSet<String>)| -> (Stops, BTreeSet<String>) {
            (with.union(&stops).cloned().collect(), actions_with.union(&actions).cloned().collect())
        };
        let exact = |(stops, actions): &(Stops, BTreeSet<String>)| {
            let within = |report: &&&Report| {
                stops.iter().any(|pattern| midflight::scenario::pattern::matches(pattern, &stop(report)))
                    && action(report).is_some_and(|action| actions.contains(&action))
            };
            all.iter().filter(within).all(|report| failed.iter().any(|one| one.scenario == report.scenario))
        };
        // A stop without an action is `cold` or `none`, and an entry with actions leaves it out.
        let place =
            joined.iter().position(|with| !actions.is_empty() && !with.1.is_empty() && exact(&union(with)));
        match place {
            Some(place) => joined[place] = union(&joined[place]),
            None => joined.push((stops, actions)),
        }
    }
    joined
}

fn entry(
    series: &str,
    causes: &[&causes::Cause],
    failure: &str,
    (stops, actions, payload): &Limits,
    cases: &[String],
    reference: &str,
) -> String {
    let each = |part: fn(&causes::Cause) -> &str, by: &str| {
        causes.iter().map(|cause| part(cause)).collect::<Vec<_>>().join(by)
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let array = |texts: &mut dyn Iterator<Item = &String>| {
        format!("[{}]", texts.map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    };
    let mut text = String::from("\n[[prediction]]\n");
    let mut line = |name: &str, value: String| text += &format!("{name} = {value}\n");
    line("name", quoted(&format!("fred-{series}-{}", each(|cause| cause.name, "+"))));
    line("machine", quoted("kvm"));
    line(
        "cases",
        match cases {
            [one] => array(&mut [one.clone()].iter()),
            cases => {
                cases.iter().fold("[\n".to_owned(), |list, case| list + "    " + &quoted(case) + ",\n") + "]"
            }
        },
    );
    line("stops", array(&mut stops.iter()));
    if !actions.is_empty() {
        line("actions", array(&mut actions.iter()));
    }
    if let Some(payload) = payload {
        line("payload", payload.to_string());
    }
    line("field", failure.to_owned());
    line("host", format!("{{ fred_series = [{}], kvm_module = [\"kvm_intel\"] }}", quoted(series)));
    line("reason", quoted(&each(|cause| cause.reason, "; ")));
    line("reference", quoted(reference));
    text
}
