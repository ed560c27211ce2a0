//! The lists built in, against the images built in; and lists that name what does not exist.

use crate::binary::{embedded, file, image, images, midflight};
use midflight::compare::observe::{Observation, observe};
use midflight::report::difference::Seen;
use midflight::report::known::{KnownIssues, Loaded};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::time::Duration;

/// Every image, case and scenario that a built-in list names is there.
#[test]
fn the_lists_built_in_name_scenarios_that_exist() {
    let images = images();
    let Some(_) = images.first() else { return };
    let known = KnownIssues::built_in().unwrap();
    let loaded = Loaded { images: &images, all: true };
    for entries in [&known.issues, &known.predictions] {
        assert!(loaded.check(entries).unwrap().is_empty());
    }
}

/// What `midflight compare` sees has names that a list may use.
#[test]
fn every_value_at_a_doorbell_has_a_name() {
    let Some(image) = image("pf") else { return };
    let scenario = "pf/read-unmapped:fred:cold".parse().unwrap();
    let seen = observe(&ModelMachine::new(&CORRECT), &image, &scenario, Duration::from_secs(60), None);
    assert_eq!(seen.observations.len(), 3);
    for (field, _) in seen.observations.iter().flat_map(Observation::numbers) {
        assert_eq!(Seen::named(&field.to_string(), None), Some(field));
    }
    for name in ["RAGS", "CS colour", "GDTR attributes", ""] {
        assert_eq!(Seen::named(name, None), None, "{name}");
    }
}

const LIST: &str = r#"
[[issue]]
name = "imaginary"
machine = "kvm"
scenarios = ["pf/read-unmapped:idt:cold"]
cases = [
    "db/single-step:idt",
]
field = [{ name = "entries", expected = 1, got = 0 }]
host = { kernel = ["0.0."] }
reason = "none"
reference = "none"
"#;

#[test]
fn a_list_that_names_what_does_not_exist_is_refused_with_its_own_name_and_line() {
    let Some(_) = embedded("pf") else { return };
    let run = |name: &str, text: &str, image: &[&str]| {
        let list = file(name, text.as_bytes());
        let run = ["run", "pf/read-unmapped:fred:cold", "--machine", "model", "--known-issues", &list];
        (midflight(&[&run[..], image].concat()), list)
    };
    assert_eq!(run("sound.toml", LIST, &[]).0.code, 0);
    for (line, from, to, sentence) in [
        (5, "pf/read-unmapped:idt", "pf/read-mapped:idt", "image `pf` has no case `read-mapped`"),
        (5, "pf/read", "fq/read", "there is no image `fq`"),
        (5, "idt:cold", "idt:nopayload:cold", "makes no sense for its case"),
        (7, "single-step", "singel-step", "image `db` has no case `singel-step`"),
        (7, "db/single", "dp/single", "there is no image `dp`"),
        (7, ",\n]", ",\n]\nstops = [\"io\"]", "`db/single-step:idt` has no scenario within these limits"),
        (9, "\"entries\"", "\"entires\"", "no judge, restore or comparison has such a field"),
        (9, ", expected = 1, got = 0", "", "`entries` excuses anything"),
    ] {
        let (ran, list) = run("wrong.toml", &LIST.replace(from, to), &[]);
        let start = format!("midflight: {list}:{line}: `imaginary`: ");
        assert!(ran.code == 2 && ran.stdout.is_empty(), "{ran:?}");
        assert!(ran.stderr.starts_with(&start) && ran.stderr.contains(sentence), "{ran:?}");
    }
    let (ran, list) = run("broken.toml", "\n[[issue]\n", &[]);
    assert!(ran.code == 2 && ran.stderr.starts_with(&format!("midflight: {list}:2: ")), "{ran:?}");

    // With an image file in place of all images, the contents of other images are unknown.
    let image = file("pf-alone", &embedded("pf").unwrap());
    let image = ["--image", &image];
    let (ran, list) = run("partly.toml", &LIST.replace("db/", "dp/"), &image);
    assert_eq!(ran.code, 0, "{ran:?}");
    let note = format!("midflight: {list}: not checked for images that are not loaded: dp\n");
    assert!(ran.stderr.contains(&note), "{ran:?}");
    let (ran, _) = run("partly.toml", &LIST.replace("pf/read-unmapped:idt", "pf/read:idt"), &image);
    ran.refused("image `pf` has no case `read`");
}
