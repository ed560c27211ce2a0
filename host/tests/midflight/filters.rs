//! What a filter means, and what is said of one that means nothing.

use crate::binary::{Ran, embedded, file, midflight};

fn list(filters: &[&str]) -> Ran {
    midflight(&[&["list"], filters].concat())
}

fn ids(filters: &[&str]) -> Vec<String> {
    let ran = list(filters);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_bare_name_is_an_image() {
    let Some(_) = embedded("level") else { return };
    // Parts of ids of other images hold the same letters: `nmi/after-pf`, `pf/...`.
    for image in ["level", "pf", "nested", "nmi"] {
        let bare = ids(&[image]);
        assert_eq!(bare, ids(&[&format!("{image}/*")]));
        assert!(bare.iter().all(|id| id.starts_with(&format!("{image}/"))), "{image}");
    }
    let pf = file("filters-pf", &embedded("pf").unwrap());
    // It is an image of the run that is meant.
    list(&["level", "--image", &pf]).refused("no scenario matches `level`");
}

#[test]
fn anything_else_is_whole_components() {
    let Some(_) = embedded("pf") else { return };
    let all = ids(&[]);
    let ending = |with: &str| all.iter().filter(|id| id.ends_with(with)).cloned().collect::<Vec<_>>();
    assert_eq!(ids(&["cold"]), ending(":cold"));
    assert_eq!(ids(&["migrate"]), ending(":migrate"));
    assert_eq!(ids(&["pf/read-unmapped"]), ids(&["pf/read-unmapped:*"]));
    assert_eq!(ids(&["block@frame:resume"]), ending(":block@frame:resume"));
    for part in ["pf/read", "unmap", "frame", "block@", "pf/read-unmapped:fred:block@frame:migrat"] {
        list(&[part]).refused(&format!("no scenario matches `{part}`"));
    }
}

#[test]
fn a_filter_that_names_nothing_is_refused() {
    let Some(_) = embedded("pf") else { return };
    for filter in ["", " ", ":", "/", " :/ ", "\t"] {
        for command in ["list", "run", "explore"] {
            // Nothing excuses it: nobody who writes it means everything.
            let more: &[&str] = if command == "explore" { &[] } else { &["--allow-empty"] };
            midflight(&[&[command, "pf", filter], more].concat())
                .refused(&format!("the filter `{filter}` names nothing"));
        }
    }
}

#[test]
fn an_earlier_name_of_a_case_is_refused_with_the_one_of_now() {
    let Some(_) = embedded("nmi") else { return };
    for filter in ["nmi/behind-pf", "nmi/behind-pf:fred:cold", "behind-pf"] {
        let ran = midflight(&["list", filter]);
        let sentence = "the case `nmi/behind-pf` is now called `nmi/after-pf`";
        ran.refused(sentence);
    }
    let sentence = "the case `window/interrupt-behind-fault` is now called `window/interrupt-after-fault`";
    midflight(&["list", "window/interrupt-behind-fault:idt:cold"]).refused(sentence);
}

#[test]
fn list_says_what_a_filter_means() {
    let Some(_) = embedded("pf") else { return };
    let ran = list(&["level", "pf/read-unmapped:fred:cold", "*:cold", "migrate"]);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let [level, id, cold, migrate, storms] = lines[..] else { panic!("{ran:?}") };
    assert!(level.starts_with(&format!("`level`, the image: {} scenarios of ", ids(&["level/*"]).len())));
    assert_eq!(id, "`pf/read-unmapped:fred:cold` as whole components: 1 scenario of 1 case");
    let colds = ids(&["cold"]).len();
    assert!(
        cold.starts_with(&format!("`*:cold` as a pattern for the whole id: {colds} scenarios of ")),
        "{cold}"
    );
    assert!(migrate.starts_with("`migrate` as whole components: "), "{migrate}");
    assert!(storms.contains(" of these are storms, whose signals arrive at random times"), "{storms}");
    // Without a filter there is none to explain.
    let all = list(&[]).stderr;
    assert!(all.lines().count() == 1 && all.contains(" of these are storms"), "{all}");
}

#[test]
fn what_was_meant_is_named() {
    let Some(_) = embedded("pf") else { return };
    for (filter, meant) in [
        ("pf/read-unmaped", "pf/read-unmapped"),
        ("levle", "level"),
        ("pf/read-unmapped:fred:block@fram:resume", "pf/read-unmapped:fred:block@frame:resume"),
        ("pf/*:ferd:*", "fred"),
    ] {
        for command in ["list", "run", "trace"] {
            let ran = midflight(&[command, filter]);
            let sentence = format!("midflight: no scenario matches `{filter}`; did you mean `{meant}`");
            ran.refused(&sentence);
        }
    }
    midflight(&["explore", "pf/read-unmaped:fred"]).refused("did you mean `pf/read-unmapped:fred`");
    let ran = list(&["nothing-like-that"]);
    assert_eq!(
        ran.stderr,
        "midflight: no scenario matches `nothing-like-that`; `midflight list` prints every id\n"
    );
}

#[test]
fn a_generated_list_may_hold_filters_that_match_nothing() {
    let Some(_) = embedded("pf") else { return };
    let run =
        |filters: &[&str]| midflight(&[&["run", "--machine", "model", "--allow-empty"], filters].concat());
    let ran = run(&["pf/gone:fred:cold", "pf/read-unmapped:fred:cold"]);
    ran.printed(0, &["1 passed, 0 failed"]);
    assert!(ran.stderr.contains("midflight: no scenario matches `pf/gone:fred:cold`"), "{ran:?}");
    // Where none matches nothing would be tested.
    run(&["pf/gone:fred:cold", "db/gone"]).refused("no scenario matches `pf/gone:fred:cold`");
    let strict = midflight(&["run", "--machine", "model", "pf/gone:fred:cold", "pf/read-unmapped:fred:cold"]);
    assert!(strict.code == 2 && strict.stdout.is_empty(), "{strict:?}");
    let listed = list(&["--allow-empty", "pf/gone", "pf/read-unmapped:fred:cold"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "pf/read-unmapped:fred:cold\n"), "{listed:?}");
}
