//! Reading a scenario's id.

use super::{Action, Delivery, Plan, Scenario, Stop};
use std::str::FromStr;

/// A text is no scenario's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a scenario's id: {problem}; `midflight list` prints every id")]
pub struct InvalidId {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FromStr for Scenario {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text).map_err(|problem| InvalidId { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Scenario, &'static str> {
    let (image, rest) = text.split_once('/').ok_or("it has no `image/`")?;
    let mut parts = rest.split(':').peekable();
    let case = parts.next().filter(|case| !case.is_empty()).ok_or("it names no case")?;
    let delivery = match parts.next() {
        Some("fred") => Delivery::Fred,
        Some("idt") => Delivery::Idt,
        _ => return Err("its delivery is neither `fred` nor `idt`"),
    };
    let payload = parts.next_if_eq(&"nopayload").is_none();
    let plan = match parts.next() {
        Some("cold") => Plan::Cold,
        Some("none") => Plan::None,
        Some("block@frame") => Plan::Cut(Stop::BlockFrame, action(parts.next())?),
        Some("cancel") => Plan::Cut(Stop::Cancel, action(parts.next())?),
        Some("io") => Plan::Cut(Stop::Io, action(parts.next())?),
        Some(other) => Plan::Cut(access(other)?, action(parts.next())?),
        None => return Err("it has no stop"),
    };
    if parts.next().is_some() {
        return Err("something follows the action");
    }
    if image.is_empty() {
        return Err("it has no `image/`");
    }
    Ok(Scenario { image: image.to_owned(), case: case.to_owned(), delivery, payload, plan })
}

fn access(text: &str) -> Result<Stop, &'static str> {
    const OTHER: &str =
        "its stop is none of `cold`, `none`, `block@frame`, `cancel`, `io`, `access@N`, `access@N,M`";
    let numbers = text.strip_prefix("access@").ok_or(OTHER)?;
    let number = |text: &str| match text.parse::<u16>() {
        // One spelling for each id: no sign, no leading zero.
        Ok(number) if number.to_string() == text => Ok(number),
        _ => Err("the number of its access is none"),
    };
    Ok(match numbers.split_once(',') {
        Some((first, second)) => Stop::Access(number(first)?, Some(number(second)?)),
        None => Stop::Access(number(numbers)?, None),
    })
}

fn action(text: Option<&str>) -> Result<Action, &'static str> {
    match text {
        Some("resume") => Ok(Action::default()),
        Some("migrate") => Ok(Action { migrate: true, disturb: false }),
        Some("disturb") => Ok(Action { migrate: false, disturb: true }),
        Some("migrate+disturb") => Ok(Action { migrate: true, disturb: true }),
        _ => Err("its action is none of `resume`, `migrate`, `disturb`, `migrate+disturb`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_documented() {
        let scenario = Scenario {
            image: "pf".to_owned(),
            case: "read-unmapped".to_owned(),
            delivery: Delivery::Fred,
            payload: true,
            plan: Plan::Cut(Stop::BlockFrame, Action { migrate: true, disturb: true }),
        };
        assert_eq!(scenario.to_string(), "pf/read-unmapped:fred:block@frame:migrate+disturb");
        let cold = Scenario { payload: false, plan: Plan::Cold, delivery: Delivery::Idt, ..scenario };
        assert_eq!(cold.to_string(), "pf/read-unmapped:idt:nopayload:cold");
    }

    #[test]
    fn every_plan_round_trips() {
        let mut plans = vec![Plan::Cold, Plan::None];
        let accesses = [Stop::Access(0, None), Stop::Access(12, Some(7))];
        for stop in [Stop::BlockFrame, Stop::Cancel, Stop::Io].into_iter().chain(accesses) {
            for (migrate, disturb) in [(false, false), (true, false), (false, true), (true, true)] {
                plans.push(Plan::Cut(stop, Action { migrate, disturb }));
            }
        }
        for plan in plans {
            for delivery in [Delivery::Fred, Delivery::Idt] {
                for payload in [true, false] {
                    let scenario =
                        Scenario { image: "db".into(), case: "single-step".into(), delivery, payload, plan };
                    let text = scenario.to_string();
                    assert_eq!(text.parse(), Ok(scenario), "{text}");
                    assert!(
                        text.chars().all(|c| c.is_ascii_alphanumeric() || "/:@+-,".contains(c)),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "pf",
            "pf/",
            "/x:fred:cold",
            "pf/x",
            "pf/x:fred",
            "pf/x:gdt:cold",
            "pf/x:fred:cold:resume",
            "pf/x:fred:io",
            "pf/x:fred:block@frame:evict",
            "pf/x:nopayload:fred:cold",
            "pf/x:fred:cancel:resume:resume",
            "pf/x:fred:access@:resume",
            "pf/x:fred:access@01:resume",
            "pf/x:fred:access@1,:resume",
            "pf/x:fred:access@1,2,3:resume",
            "pf/x:fred:access@70000:resume",
        ] {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }
}
