//! One execution judged: what differs between the model and the processor, which row excuses it, and what a
//! reader of an unknown difference needs.

use crate::built::Built;
use crate::host::Host;
use crate::machine::Stopped;
use crate::row::{Part, Row, bits, rows};
use crate::state::State;

/// What came of a comparison.
pub(crate) enum Verdict {
    /// The same, or the difference is in parts that these rows take out.
    Agreed { excused_by: Vec<&'static Row> },
    /// In words, and the parts.
    Different(String, u64),
}

/// Compares the result of the model with that of the processor on `host`.
pub(crate) fn judge(host: &Host, built: &Built, model: &Result<State, Stopped>, native: &State) -> Verdict {
    let state = model.as_ref().ok();
    let holding: Vec<_> = rows().filter(|row| row.holds(host, built, native, state)).collect();
    let state = match model {
        Ok(state) => state,
        // Where the result is undefined the model says so instead of inventing one.
        Err(Stopped::Unknown) if holding.iter().any(|row| row.parts.contains(&Part::Result)) => {
            return Verdict::Agreed { excused_by: Vec::new() };
        }
        Err(stopped) => return Verdict::Different(format!("the model stopped: {stopped:x?}"), u64::MAX),
    };
    let not_compared = holding.iter().fold(0, |all, row| all | row.bits(built));
    let differences = state.differences(native);
    let all = differences.iter().fold(0, |all, (parts, _)| all | parts);
    if all & !not_compared == 0 {
        let excuses = |row: &&Row| row.bits(built) & all != 0;
        return Verdict::Agreed { excused_by: holding.into_iter().filter(excuses).collect() };
    }
    let unknown = differences.iter().filter(|(parts, _)| parts & !not_compared != 0);
    let text = unknown.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", ");
    Verdict::Different(text, all & !not_compared)
}

/// Everything that a reader of an unknown difference needs, and the row that it would be.
pub(crate) fn report(
    host: &Host,
    built: &Built,
    model: &Result<State, Stopped>,
    native: &State,
    (text, parts): (&str, u64),
) -> String {
    let model = match model {
        Ok(state) => state.to_string(),
        Err(stopped) => format!("stopped: {stopped:x?}"),
    };
    format!(
        "{} ({:02x?}): model against processor: {text}\n\
         before:    {}\n\
         model:     {model}\n\
         processor: {native}\n\
         this processor: {host}\n\
         If this is what it does, and no fault of the model, its row in model/tests/silicon/known.rs is:\n{}",
        built.instruction,
        built.case.code(),
        built.case.before,
        entry(host, built, native, parts),
    )
}

/// The row of a difference in these parts, for this processor alone.
fn entry(host: &Host, built: &Built, native: &State, parts: u64) -> String {
    format!(
        "    Row {{\n        of: &[M::{:?}],\n        when: When::Always,\n        ended: Ended::{:?},\n        \
         on: On {{ makes: &[Make::{:?}], models: &[({:#x}, {:#x})], only: Only::Always }},\n        \
         parts: &[{}],\n        reason: \"...\",\n        reference: \"...\",\n    }},",
        built.instruction.mnemonic(),
        crate::row::Ended::of(built, native),
        host.make,
        host.family,
        host.model,
        named(parts).join(", "),
    )
}

fn named(parts: u64) -> Vec<String> {
    if parts == u64::MAX || parts & bits::FAULTED != 0 {
        return vec!["Part::Everything".to_owned()];
    }
    let mut named = Vec::new();
    if parts & bits::FLAGS != 0 {
        named.push(format!("Part::Flags({:#x})", parts & bits::FLAGS));
    }
    for (bit, name) in [(bits::RIP, "Rip"), (bits::MEMORY, "Memory"), (bits::WHICH_FAULT, "WhichFault")] {
        if parts & bit != 0 {
            named.push(format!("Part::{name}"));
        }
    }
    for n in 0..16 {
        if parts & bits::low(n) != 0 {
            named.push(format!("Part::Register({n})"));
        } else if parts & bits::upper(n) != 0 {
            named.push(format!("Part::Upper({n})"));
        }
    }
    named
}
