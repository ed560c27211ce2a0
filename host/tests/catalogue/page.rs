//! docs/catalogue.md, from the images and the rules.

use crate::events::events;
use crate::head::Head;
use crate::rules::Rules;
use midflight::engine::runner::Runner;
use midflight::image::{Case, Image};
use midflight::report::outcome::Frames;
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::fmt::Write as _;
use std::time::Duration;

const HEAD: &str = "\
# The catalogue

What the images prove: the manual's rules with the cases of each, then every image with its cases, then what is out of
scope. `make docs/catalogue.md` writes this page and a test compares it. Images, cases, rules and sections come from the
images' notes, bugs from the heads of their sources (`tests/src/bin`), the manual's rules from
`host/tests/catalogue/rules.toml`. *Events* are those that the guest's judge has passed in a run on the model, each with
its event data; the judge compares them with literals of its own. `none` is a case in which nothing may be raised.

";

/// The whole page.
pub(crate) fn catalogue(images: &[Image], rules: &Rules) -> String {
    let mut text = HEAD.to_owned();
    let count: usize = images.iter().map(|image| image.cases.len()).sum();
    let _ = writeln!(text, "There are {} images with {count} cases.\n", images.len());
    manual(&mut text, rules);
    let _ = writeln!(text, "\n## Images");
    let machine = ModelMachine::new(&CORRECT);
    let mut runner = Runner::new(&machine, None, Duration::from_secs(60));
    runner.frames = Frames::OfAll;
    for image in images {
        of_image(&mut text, &mut runner, image);
    }
    let _ = writeln!(text, "\n## Out of scope\n\n| what | why |\n|---|---|");
    for out in &rules.out {
        let _ = writeln!(text, "| {} | {} |", out.what, out.why);
    }
    text
}

fn manual(text: &mut String, rules: &Rules) {
    let _ = writeln!(text, "## The manual's rules\n\n| manual | rule | cases |\n|---|---|---|");
    for rule in &rules.rule {
        let cases: Vec<String> = rule.cases.iter().map(|case| format!("`{case}`")).collect();
        let cases = if cases.is_empty() { format!("none: {}", rule.reason) } else { cases.join(", ") };
        let _ = writeln!(text, "| {} | {} | {cases} |", rule.manual, rule.rule);
    }
}

fn of_image(text: &mut String, runner: &mut Runner<'_>, image: &Image) {
    let head = Head::of(&image.name);
    let _ = writeln!(text, "\n### `{}`: {}\n", image.name, head.title);
    let _ = writeln!(text, "Rule: {} Manual: {}.\n", head.rule, image.spec.trim_end_matches('.'));
    let _ = writeln!(text, "Known bugs that fail it: {}\n", head.bugs);
    if !head.out.is_empty() {
        let _ = writeln!(text, "Not here: {}\n", head.out);
    }
    let _ = writeln!(text, "| case | needs | rule | events |\n|---|---|---|---|");
    for case in &image.cases {
        let events = events(runner, image, case);
        let _ = writeln!(text, "| `{}` | {} | {} | {events} |", case.name, needs(case), case.rule);
    }
}

fn needs(case: &Case) -> String {
    case.needs.names().collect::<Vec<_>>().join(", ")
}
