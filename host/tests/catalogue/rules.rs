//! The manual's rules, and the cases that prove each.

use midflight::image::Image;
use serde::Deserialize;

/// rules.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) rule: Vec<Rule>,
    /// What the suite leaves out, and why.
    pub(crate) out: Vec<Out>,
}

/// One rule: with cases, or with the reason why it has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Where the manual has it.
    pub(crate) manual: String,
    pub(crate) rule: String,
    /// `image/case`, or `image/*`, or `image/part*`.
    #[serde(default)]
    pub(crate) cases: Vec<String>,
    #[serde(default)]
    pub(crate) reason: String,
}

/// Something out of scope.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Out {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// Every case, as `image/case`.
pub(crate) fn cases(images: &[Image]) -> Vec<String> {
    let of_image =
        |image: &Image| image.cases.iter().map(|case| format!("{}/{}", image.name, case.name)).collect();
    images.iter().flat_map(|image| -> Vec<String> { of_image(image) }).collect()
}

fn means(pattern: &str, case: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => case.starts_with(start),
        None => pattern == case,
    }
}

impl Rules {
    pub(crate) fn committed() -> Self {
        toml::from_str(include_str!("rules.toml")).unwrap()
    }

    /// A sentence for each rule without a case or a reason, each pattern that means no case, and each case of no rule.
    pub(crate) fn defects(&self, cases: &[String]) -> Vec<String> {
        let mut defects: Vec<String> = self.rule.iter().flat_map(|rule| rule.defects(cases)).collect();
        let patterns: Vec<&String> = self.rule.iter().flat_map(|rule| &rule.cases).collect();
        let unruled = cases.iter().filter(|case| !patterns.iter().any(|pattern| means(pattern, case)));
        defects.extend(unruled.map(|case| format!("{case} proves no rule of rules.toml")));
        defects
    }
}

impl Rule {
    fn defects(&self, cases: &[String]) -> Vec<String> {
        if self.cases.is_empty() == self.reason.is_empty() {
            return vec![format!("\"{}\" needs either cases or a reason", self.rule)];
        }
        let stale =
            self.cases.iter().filter(|pattern| !cases.iter().any(|case| means(pattern, case.as_str())));
        stale.map(|pattern| format!("\"{}\": no case is {pattern}", self.rule)).collect()
    }
}

#[test]
fn what_is_missing_is_named() {
    let rules = |text: &str| -> Rules { toml::from_str(&format!("out = []\n{text}")).unwrap() };
    let cases = ["pf/read", "pf/write", "db/step"].map(str::to_owned);
    let rule = "[[rule]]\nmanual = \"8\"\nrule = \"R\"\n";
    let all = rules(&format!("{rule}cases = [\"pf/*\", \"db/step\"]"));
    assert!(all.defects(&cases).is_empty());
    assert_eq!(all.defects(&cases[..2]), ["\"R\": no case is db/step"]);
    let some = rules(&format!("{rule}cases = [\"pf/*\"]"));
    assert_eq!(some.defects(&cases), ["db/step proves no rule of rules.toml"]);
    assert_eq!(rules(rule).defects(&[]), ["\"R\" needs either cases or a reason"]);
    assert!(rules(&format!("{rule}reason = \"none\"")).defects(&[]).is_empty());
}
