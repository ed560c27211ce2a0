//! What was found out, as a table that fits a screen: a row for each stop, and each reason once.

use super::found::{Answers, Found, MachineFound};
use std::io::{Result, Write};

/// The places of a stop, in the order of their columns; the first is for a stop without one.
const PLACES: [&str; 8] = ["", "frame", "pt", "pd", "pdpt", "idt", "gdt", "tss"];
/// The width of the first column.
const WIDTH: usize = 11;

pub(super) fn print(output: &mut dyn Write, found: &Found) -> Result<()> {
    writeln!(output, "{:WIDTH$}{}", "midflight", found.midflight)?;
    match &found.no_images {
        Some(why) => writeln!(output, "{:WIDTH$}none: {why}", "images")?,
        None => writeln!(output, "{:WIDTH$}{}", "images", found.images.len())?,
    }
    if let Some(why) = &found.not_mounted {
        writeln!(output, "{:WIDTH$}{why}", "mounts")?;
    }
    writeln!(output, "{:WIDTH$}{} ({})", "cpu", found.cpu, found.vendor)?;
    writeln!(output, "{:WIDTH$}Linux {}", "kernel", found.kernel)?;
    for MachineFound { name, says } in &found.machines {
        writeln!(output, "{name:WIDTH$}{says}")?;
    }
    writeln!(output, "{:WIDTH$}{}", "fred", found.fred)?;
    if let Some(flag) = &found.nested_flag {
        writeln!(output, "{:WIDTH$}{flag}", "nested bit")?;
    }
    if !found.stops.each.is_empty() || found.stops.unanswered.is_some() {
        stops(output, found)?;
        let each: Vec<String> = found
            .capabilities
            .iter()
            .map(|(name, value)| format!("{} {value}", name.trim_start_matches("KVM_CAP_")))
            .collect();
        writeln!(output, "\nKVM_CAP_   {}", each.join(", "))?;
    }
    Ok(())
}

/// A stop on KVM with its answer at each place, and without KVM_CAP_EXCEPTION_PAYLOAD.
struct Row<'a> {
    kind: &'a str,
    cells: [Option<String>; PLACES.len()],
    without_payload: Option<String>,
}

fn stops(output: &mut dyn Write, found: &Found) -> Result<()> {
    let mut reasons = Reasons::default();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for answer in &found.stops.each {
        let (kind, place) = answer.name.split_once('@').unwrap_or((&answer.name, ""));
        let cell = reasons.cell(answer.why.as_deref());
        let at = rows.iter().position(|row| row.kind == kind).unwrap_or_else(|| {
            rows.push(Row { kind, cells: Default::default(), without_payload: None });
            rows.len() - 1
        });
        // A number is no place: the stop is at any access.
        let column = PLACES.iter().position(|known| *known == place).unwrap_or(0);
        rows[at].cells[column] = Some(cell);
    }
    for answer in &found.stops_without_payload.each {
        let kind = answer.name.split('@').next().unwrap_or_default();
        let cell = reasons.cell(answer.why.as_deref());
        if let Some(row) = rows.iter_mut().find(|row| row.kind == kind) {
            row.without_payload = Some(cell);
        }
    }
    let head = PLACES.map(|place| format!("{place:>6}")).concat();
    writeln!(output, "\n{:WIDTH$}{head}  no payload", "on kvm")?;
    for Row { kind, cells, without_payload } in &rows {
        let cells: String =
            cells.iter().map(|cell| format!("{:>6}", cell.as_deref().unwrap_or(""))).collect();
        let last = without_payload.as_deref().unwrap_or("");
        writeln!(output, "{}", format!("{kind:WIDTH$}{cells}  {last:>10}").trim_end())?;
    }
    for (reason, number) in reasons.0.iter().zip(1..) {
        writeln!(output, "{number:>3}  {reason}")?;
    }
    for Answers { unanswered, .. } in [&found.stops, &found.stops_without_payload] {
        unanswered.as_ref().map_or(Ok(()), |why| writeln!(output, "no answer: {why}"))?;
    }
    Ok(())
}

/// Each reason once, numbered from 1.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    /// What stands in the table: the number of the reason, or that it works.
    fn cell(&mut self, why: Option<&str>) -> String {
        let Some(why) = why else { return "yes".to_owned() };
        let at = self.0.iter().position(|known| known == why).unwrap_or_else(|| {
            self.0.push(why.to_owned());
            self.0.len() - 1
        });
        (at + 1).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::found::Answer;
    use super::*;

    #[test]
    fn a_row_for_each_stop_and_each_reason_once() {
        let answer = |name: &str, why: Option<&str>| Answer {
            name: name.to_owned(),
            works: why.is_none(),
            why: why.map(str::to_owned),
        };
        let answers = |each| Answers { unanswered: None, each };
        let found = Found {
            midflight: "9",
            images: vec!["pf".to_owned(), "db".to_owned()],
            cpu: "A CPU".to_owned(),
            vendor: "AVendor".to_owned(),
            kernel: "7.2".to_owned(),
            machines: vec![MachineFound {
                name: "kvm".to_owned(),
                says: "kvm_x; guests get: FRED no".to_owned(),
            }],
            fred: "this CPU has none".to_owned(),
            stops: answers(vec![
                answer("block@frame", Some("it hangs")),
                answer("block@pt", Some("it hangs")),
                answer("block@idt", Some("it crashes")),
                answer("evict@tss", None),
                answer("ring", Some("it is silent")),
                answer("return@0", Some("it hangs")),
                answer("nmi", None),
            ]),
            stops_without_payload: answers(vec![
                answer("block@frame", Some("it crashes")),
                answer("nmi", None),
            ]),
            capabilities: [("KVM_CAP_XSAVE2", 4096), ("KVM_CAP_IMMEDIATE_EXIT", 1)].into(),
            ..Found::default()
        };
        let mut text = Vec::new();
        print(&mut text, &found).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
    }
}
