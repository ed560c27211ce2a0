//! The fields that an entry may name: those that judges, restores and comparisons compare.
//!
//! A failure in any other field can never be, so that a list which names one is wrong.

use crate::report::difference::{Field, Seen, When};
use protocol::field::Field as Judged;
use vm::state;

/// The field of this name; the judge's where several have it.
pub(super) fn named(name: &str) -> Option<Field> {
    Judged::named(name)
        .map(|field| Field::judged(field, None))
        .or_else(|| name.parse::<state::Field>().ok().map(Field::Restored))
        .or_else(|| at_doorbell(name))
}

const DELIVERY: &str = "delivery ";

/// `NAME at DOORBELL`, or `delivery N: NAME at DOORBELL`.
fn at_doorbell(name: &str) -> Option<Field> {
    let (value, doorbell) = name.rsplit_once(" at ")?;
    let when =
        [When::Ready, When::Armed, When::Done].into_iter().find(|when| format!("{when:?}") == doorbell)?;
    let (name, delivery) = match value.strip_prefix(DELIVERY) {
        Some(numbered) => {
            let (number, name) = numbered.split_once(": ")?;
            (name, Some(number.parse().ok()?))
        }
        None => (value, None),
    };
    Some(Field::Seen(Seen::named(name, delivery)?, when))
}
