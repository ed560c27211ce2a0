//! An event that comes at a later instruction than the case expects, or not any more.
//!
//! Where it comes depends on time, so that no list of fields with values describes it.

use super::entry::Failure;
use crate::report::{Difference, Finding};
use fred::event::vector;
use protocol::field::Field;
use protocol::mailbox::RETURNED;
use protocol::note::INTERRUPT;
use vm::Value;

/// Whether all of a failure is that delivery `late`, counted from 0, comes late, or never: it and those after it have
/// another RIP, RSP and RFLAGS, or there are fewer deliveries, but not fewer than came before it. Where it comes when no
/// act runs any more, the guest says just that.
pub(super) fn describes(late: u32, failure: Failure<'_>) -> bool {
    match failure.why {
        _ if !failure.differences.is_empty() => failure.differences.iter().all(|one| is_late(late, one)),
        Some(Finding::Guest { words, .. }) => came_outside_an_act(words),
        Some(_) | None => false,
    }
}

fn is_late(late: u32, difference: &Difference) -> bool {
    match (difference.field.of_judge(), difference.field.delivery()) {
        (Some(Field::Entries), _) => {
            matches!((&difference.expected, &difference.got), (Value::Number(expected), Value::Number(got))
                if (u64::from(late)..*expected).contains(got))
        }
        (Some(Field::Rip | Field::Rsp | Field::Rflags | Field::EntryRflags), Some(delivery)) => {
            (late..RETURNED).contains(&delivery)
        }
        (Some(_) | None, _) => false,
    }
}

/// An exception that comes outside an act is not late: nothing has raised it.
fn came_outside_an_act(words: &str) -> bool {
    let said = words.strip_prefix("vector ").and_then(|rest| rest.split_once(' '));
    let Some((Ok(vector), place)) = said.map(|(vector, place)| (vector.parse::<u8>(), place)) else {
        return false;
    };
    let comes_of_itself = vector == vector::NMI || vector >= INTERRUPT;
    comes_of_itself && ["came inside an entry stub", "came while no act was running"].contains(&place)
}
