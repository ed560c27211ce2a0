//! docs/mutation.md.

use crate::area::Area;
use crate::check::Fate;
use crate::round::{Results, Tried};
use crate::survivors::Survivors;
use std::fmt::Write as _;

const HEAD: &str = "\
# Faults of one line

`make mutation` writes this page. It puts faults of one line into a copy of the tree, each behind a switch, builds the
copy once, and runs the check of an area with one fault at a time: a comparison the other way, a bit operation for another,
a constant one too large, a statement or a match arm left out, a function that does nothing. The faults are a sample,
drawn with a seed from every place that the syntax offers (`mutation/src/find.rs`); what does not compile is left out.
`MUTATION=\"--sample 0 model\" make mutation` tries every place of an area.

- `model`: the processor and the hypervisor layer of the model, without what integer instructions compute
  (`mutation/src/without.rs` says what else is left out, and why). *Scenarios* must notice, no unit test counts: those without a stop, then the
  selection of `--cover`, then a quarter of all.
- `proofs`: the stops, the proofs of a cut, the verdict, without the guest that probes run and what decides which scenarios
  there are. The scripted VM of `host/tests/proofs` must notice, or else a scenario.
- `judge`: the guest's judge. The tables of `guest/src/judge/tests` must notice.
- `list-1` and so on: `mutation/lists`, faults that people wrote down without looking at the cases. Scenarios must notice.

A round of `model` takes ten minutes on two idle processors. What a seed chooses depends on each place alone, so that a
sample stays as it is where the model does. The share of a row is that of faults that cases may have been written for. Of faults that
nobody had seen (28 November 2026, each sample with the cases that the one before had led to):

| faults | tried | noticed | equivalent | share |
|---|---|---|---|---|
| syntax, seed 11 | 88 | 63 | 5 | 75.9 % |
| syntax, seed 21 | 200 | 149 | 28 | 86.6 % |
| syntax, seed 31 | 420 | 328 | 53 | 89.4 % |
| syntax, seed 1 of the sampling before | 150 | 123 | 16 | 91.8 % |
| syntax, seed 1 | 150 | 123 | 21 | 95.3 % |
| people, lists 6 to 9 | 240 | 190 | 4 | 80.5 % |

People find what syntax does not: two conditions at once, an exact limit, what a hypervisor keeps. What is left of each
stands below. `mutation/survivors.toml` has the reasons. Whether a survivor is equivalent one person has decided, by reading. Of the
lists that people wrote down the share that was noticed at first stands above each.

A case that ends in an error has noticed a fault too, and so has a run that does not come to an end.

A survivor is *equivalent* if no guest can tell it from the original, or a *gap*; `mutation/survivors.toml` says why, and has
the least share that must be noticed, which may only rise. A survivor that is not listed there, or a smaller share, ends
`make mutation` with exit code 1.

";

/// What an area's results amount to.
pub(crate) struct Count {
    pub(crate) killed: usize,
    pub(crate) by_two: usize,
    pub(crate) equivalent: usize,
    pub(crate) survived: usize,
}

impl Count {
    pub(crate) fn of(results: &Results, survivors: &Survivors) -> Self {
        let mut count = Self { killed: 0, by_two: 0, equivalent: 0, survived: 0 };
        for fault in &results.faults {
            match &fault.fate {
                Fate::Killed(cases) => {
                    count.killed += 1;
                    count.by_two += usize::from(cases.len() > 1);
                }
                Fate::Broken(_) => count.killed += 1,
                Fate::Survived if survivors.equivalent(&fault.key).is_some() => count.equivalent += 1,
                Fate::Survived => count.survived += 1,
            }
        }
        count
    }

    /// Of the faults that are not equivalent, in per cent.
    pub(crate) fn share(&self) -> f64 {
        let all = self.killed + self.survived;
        if all == 0 { 100.0 } else { 100.0 * self.killed as f64 / all as f64 }
    }
}

/// The page.
pub(crate) fn page(rounds: &[(Area, Results)], survivors: &Survivors) -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(
        text,
        "| area | places | sample, seed | tried | noticed | by two cases or more | equivalent | gaps | share |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for (area, results) in rounds {
        let Results { places, chosen, seed, faults } = results;
        if faults.is_empty() {
            let _ = writeln!(text, "| `{}` | | | not tried yet | | | | | |", area.name);
            continue;
        }
        let count = Count::of(results, survivors);
        let Count { killed, by_two, equivalent, survived } = count;
        let share = count.share();
        let _ = writeln!(
            text,
            "| `{}` | {places} | {chosen}, {seed} | {} | {killed} | {by_two} | {equivalent} | {survived} | {share:.1} % |",
            area.name,
            faults.len()
        );
    }
    for (area, results) in rounds {
        left(&mut text, area, results, survivors);
    }
    for (area, results) in rounds.iter().filter(|(area, _)| area.list.is_some()) {
        let about = area.list.as_ref().map_or("", |list| &list.about);
        written_down(&mut text, &area.name, about, results);
    }
    text
}

fn left(text: &mut String, area: &Area, results: &Results, survivors: &Survivors) {
    let mut left: Vec<&Tried> = results.faults.iter().filter(|one| one.fate == Fate::Survived).collect();
    left.sort_by(|a, b| a.key.cmp(&b.key));
    if left.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Survivors: {}\n\n| fault | | why |\n|---|---|---|", area.name);
    for fault in left {
        let (kind, why) = match (survivors.equivalent(&fault.key), survivors.gap(&fault.key)) {
            (Some(why), _) => ("equivalent", why),
            (None, Some(why)) => ("gap", why),
            (None, None) => ("gap", "not examined"),
        };
        let _ = writeln!(text, "| {} | {kind} | {why} |", code(&fault.key));
    }
}

fn written_down(text: &mut String, list: &str, about: &str, results: &Results) {
    let _ = writeln!(
        text,
        "\n## Faults that were written down: {list}\n\n{about}\n\n| fault | sentence | noticed by |\n|---|---|---|"
    );
    for fault in &results.faults {
        let by = match &fault.fate {
            Fate::Killed(cases) => {
                let first: Vec<String> = cases.iter().take(3).map(|case| code(case)).collect();
                let more = cases.len().saturating_sub(first.len());
                first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
            }
            Fate::Broken(how) => how.clone(),
            Fate::Survived => "nothing".to_owned(),
        };
        let _ = writeln!(text, "| {} | {} | {by} |", fault.name, fault.sentence);
    }
}

/// As code in a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
