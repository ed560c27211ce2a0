//! Skips, folded by reason: what differs only in the stop, or in what the case needs, is one line.

use crate::report::{Report, reason};
use crate::scenario::Scenario;
use std::fmt;

/// How the reason of a scenario that needs something begins.
const NEEDS: &str = "needs ";

/// Skips for the same reason.
pub(super) struct Group<'a> {
    machine: &'a str,
    why: Why,
    /// What they lack, each with the number of scenarios: stops, or needs. Empty where the reason says everything.
    items: Vec<(String, usize)>,
    /// Their scenarios.
    pub(super) ids: Vec<&'a Scenario>,
}

/// What skips have in common.
#[derive(PartialEq, Eq)]
enum Why {
    /// Their stops; this is said of each.
    Stop(String),
    /// They need something.
    Needs,
    /// Anything else.
    Other(String),
}

/// The groups of these skips, in the order in which they first come.
pub(super) fn folded<'a>(skipped: impl Iterator<Item = &'a Report>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for report in skipped {
        let (why, item) = why(report);
        let machine = report.machine.as_str();
        let at = groups.iter().position(|group| group.machine == machine && group.why == why);
        let at = at.unwrap_or_else(|| {
            groups.push(Group { machine, why, items: Vec::new(), ids: Vec::new() });
            groups.len() - 1
        });
        groups[at].add(item, &report.scenario);
    }
    groups
}

fn why(report: &Report) -> (Why, Option<String>) {
    let reason = reason(report).unwrap_or_default();
    let stop = report.scenario.plan.cut().map(|(stop, _)| stop.asked().to_string());
    if let Some(stop) = stop
        && let Some(said) = reason.strip_prefix(&stop).and_then(|rest| rest.strip_prefix(' '))
    {
        return (Why::Stop(said.to_owned()), Some(stop));
    }
    match reason.strip_prefix(NEEDS) {
        // A need that is not met for a reason of its own is another matter.
        Some(needs) if !needs.contains(": ") => (Why::Needs, Some(needs.to_owned())),
        Some(_) | None => (Why::Other(reason), None),
    }
}

impl<'a> Group<'a> {
    fn add(&mut self, item: Option<String>, scenario: &'a Scenario) {
        self.ids.push(scenario);
        let Some(item) = item else { return };
        match self.items.iter_mut().find(|(known, _)| *known == item) {
            Some((_, count)) => *count += 1,
            None => self.items.push((item, 1)),
        }
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, why, items, ids } = self;
        write!(f, "{} on {machine}: ", ids.len())?;
        match why {
            Why::Stop(said) => write!(f, "{} {said}", stops(items)),
            Why::Needs => write!(f, "{NEEDS}{}", needs(items)),
            Why::Other(reason) => f.write_str(reason),
        }
    }
}

/// Stops, with the places of one kind in braces: `block@{frame,pt}, ring`.
fn stops(items: &[(String, usize)]) -> String {
    let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
    for (stop, _) in items {
        let (kind, place) = stop.split_once('@').map_or((stop.as_str(), None), |(kind, at)| (kind, Some(at)));
        let at = kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            kinds.push((kind, Vec::new()));
            kinds.len() - 1
        });
        kinds[at].1.extend(place);
    }
    let one = |(kind, places): &(&str, Vec<&str>)| match places.as_slice() {
        [] => (*kind).to_owned(),
        [place] => format!("{kind}@{place}"),
        places => format!("{kind}@{{{}}}", places.join(",")),
    };
    kinds.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Needs; with counts, the most frequent first, where there are several.
fn needs(items: &[(String, usize)]) -> String {
    if let [(only, _)] = items {
        return only.clone();
    }
    let mut items: Vec<&(String, usize)> = items.iter().collect();
    items.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    items.iter().map(|(needs, count)| format!("{needs} ({count})")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_and_needs_are_folded_and_nothing_else() {
        let skip = |id: &str, why: &str| Report::lacking(&id.parse().unwrap(), "kvm", None, why.to_owned());
        let reports = [
            skip("pf/x:idt:block@frame:resume", "block@frame does not work on this kvm: it hangs"),
            skip("pf/y:fred:cold", "needs fred"),
            skip("pf/x:idt:block@pt:resume", "block@pt does not work on this kvm: it hangs"),
            skip("pf/x:idt:ring:resume", "ring does not work on this kvm: it hangs"),
            skip("pf/x:idt:block@pd:resume", "block@pd does not work on this kvm: it crashes"),
            skip("pf/x:idt:block@pt:migrate", "block@pt does not work on this kvm: it hangs"),
            skip("pf/z:idt:cold", "needs xfd, amx"),
            skip("pf/y:fred:none", "needs fred"),
            skip("pf/z:idt:none", "needs nmi: it is lost"),
            skip("pf/z:idt:cold", "the device is not there"),
        ];
        let groups = folded(reports.iter());
        let lines: Vec<String> = groups.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "4 on kvm: block@{frame,pt}, ring does not work on this kvm: it hangs",
                "3 on kvm: needs fred (2); xfd, amx (1)",
                "1 on kvm: block@pd does not work on this kvm: it crashes",
                "1 on kvm: needs nmi: it is lost",
                "1 on kvm: the device is not there",
            ]
        );
        assert_eq!(groups.iter().map(|group| group.ids.len()).sum::<usize>(), reports.len());
    }
}
