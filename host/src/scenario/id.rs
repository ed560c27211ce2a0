//! Reading a scenario's id.

use super::{Action, DeliveryMode, Plan, Scenario, Stop, renamed};
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

impl TryFrom<String> for Scenario {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Scenario> for String {
    fn from(scenario: Scenario) -> Self {
        scenario.to_string()
    }
}

fn parse(text: &str) -> Result<Scenario, &'static str> {
    if let Some(problem) = renamed::problem(text) {
        return Err(problem);
    }
    let (image, rest) = text.split_once('/').ok_or("it has no `image/`")?;
    let mut parts = rest.split(':').peekable();
    let case = parts.next().filter(|case| !case.is_empty()).ok_or("it names no case")?;
    let delivery = parts.next().and_then(|delivery| delivery.parse::<DeliveryMode>().ok());
    let delivery = delivery.ok_or("its delivery is neither `fred` nor `idt`")?;
    let payload = parts.next_if_eq(&"nopayload").is_none();
    let plan = match parts.next() {
        Some("cold") => Plan::Cold,
        Some("none") => Plan::None,
        Some(stop) => {
            let stop: Stop = stop.parse()?;
            let action: Action = parts.next().ok_or("it has no action")?.parse()?;
            check(stop, action, delivery)?;
            Plan::Cut(stop, action)
        }
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

/// Stops and actions that do not go together.
fn check(stop: Stop, action: Action, delivery: DeliveryMode) -> Result<(), &'static str> {
    if !stop.stands_still() && action != Action::RESUME {
        return Err("its stop does not stop the guest for the host, so its action can only be `resume`");
    }
    if action.again > 0 && !stop.is_repeatable() {
        return Err("its stop cannot be repeated");
    }
    if stop.facts().place.is_some_and(|place| !place.is_touched(delivery)) {
        return Err("its delivery does not access the page of its stop");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Migration, Place};
    use super::*;
    use crate::stops::{Access, Block, Storm};

    #[test]
    fn ids_are_written_as_documented() {
        let scenario = Scenario {
            image: "pf".to_owned(),
            case: "read-unmapped".to_owned(),
            delivery: DeliveryMode::Fred,
            payload: true,
            plan: Plan::Cut(Block(Place::Frame).into(), Action::MIGRATE_DISTURB),
        };
        assert_eq!(scenario.to_string(), "pf/read-unmapped:fred:block@frame:migrate+disturb");
        let cold = Scenario { payload: false, plan: Plan::Cold, delivery: DeliveryMode::Idt, ..scenario };
        assert_eq!(cold.to_string(), "pf/read-unmapped:idt:nopayload:cold");
    }

    #[test]
    fn every_plan_round_trips() {
        let mut plans = vec![Plan::Cold, Plan::None];
        let others = [
            Storm(7).into(),
            Access { first: 0, second: None }.into(),
            Access { first: 12, second: Some(7) }.into(),
        ];
        for stop in Stop::all().into_iter().chain(others) {
            let repeats = if stop.is_repeatable() { [0, 3].as_slice() } else { &[0] };
            for migrate in [None, Some(Migration::Here), Some(Migration::Process)] {
                for (disturb, &again) in
                    [false, true].into_iter().flat_map(|d| repeats.iter().map(move |a| (d, a)))
                {
                    let action = Action { migrate, disturb, again };
                    if stop.stands_still() || action == Action::RESUME {
                        plans.push(Plan::Cut(stop, action));
                    }
                }
            }
        }
        for plan in plans {
            for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
                let place = if let Plan::Cut(stop, _) = plan { stop.facts().place } else { None };
                if place.is_some_and(|place| !place.is_touched(delivery)) {
                    continue;
                }
                for payload in [true, false] {
                    let scenario =
                        Scenario { image: "db".into(), case: "single-step".into(), delivery, payload, plan };
                    let text = scenario.to_string();
                    assert_eq!(text.parse(), Ok(scenario), "{text}");
                    assert!(
                        text.chars().all(|c| c.is_ascii_alphanumeric() || "/:@+-,=".contains(c)),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = "pf pf/ /x:fred:cold pf/x pf/x:fred pf/x:gdt:cold pf/x:fred:cold:resume pf/x:fred:io \
                     pf/x:fred:block@frame:evict pf/x:nopayload:fred:cold pf/x:fred:cancel:resume:resume \
                     pf/x:fred:block@cr3:resume pf/x:fred:block@idt:resume pf/x:idt:evict@frame:migrate \
                     pf/x:idt:ring:again=2 pf/x:idt:cancel:resume+again=2 pf/x:idt:cancel:again=0 \
                     pf/x:idt:cancel:disturb+migrate pf/x:idt:cancel:migrate+migrate \
                     pf/x:idt:cancel:migrate+migrate-process pf/x:idt:storm=0:resume pf/x:idt:storm=01:resume \
                     pf/x:fred:access@:resume pf/x:fred:access@01:resume pf/x:fred:access@1,:resume \
                     pf/x:fred:access@1,2,3:resume pf/x:fred:access@70000:resume";
        for text in texts.split(' ').chain([""]) {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }
}
