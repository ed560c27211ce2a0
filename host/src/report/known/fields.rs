//! The names of fields that a report can hold: those that judges, restores and comparisons compare.
//!
//! A failure in any other field can never be, so that a list which names one is wrong.

use crate::compare::observe;
use crate::report::decode;
use protocol::field::Field;
use vm::state;

/// Whether anything compares a field of this name.
pub(super) fn exists(name: &str) -> bool {
    is_judged(name) || state::is_field(name) || is_compared(name)
}

/// Whether a guest's judge compares a field of this name.
pub(super) fn is_judged(name: &str) -> bool {
    (0..).map_while(Field::from_number).any(|field| field.name() == name)
}

/// Whether its values are addresses of code or of a stack, which move whenever the images are built anew.
pub(super) fn is_address(name: &str) -> bool {
    [Field::Rip, Field::Rsp, Field::EntryPoint, Field::EntryRsp]
        .iter()
        .any(|field| field.name() == at_doorbell(name).unwrap_or(name))
}

/// Whether `midflight compare` compares something of this name: `NAME at DOORBELL`.
fn is_compared(name: &str) -> bool {
    let Some(value) = at_doorbell(name) else { return false };
    match name.starts_with(DELIVERY) {
        true => decode::NAMES.contains(&value),
        false => observe::is_named(value),
    }
}

const DELIVERY: &str = "delivery ";

/// The name of a value at a doorbell, without the number of its delivery.
fn at_doorbell(name: &str) -> Option<&str> {
    let (value, doorbell) = name.rsplit_once(" at ")?;
    if !["Ready", "Armed", "Done"].contains(&doorbell) {
        return None;
    }
    let Some(numbered) = value.strip_prefix(DELIVERY) else { return Some(value) };
    let (number, value) = numbered.split_once(": ")?;
    number.parse::<u8>().ok().map(|_| value)
}
