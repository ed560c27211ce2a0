//! The tables are live: each row names forms that there are, cases meet it on each make that it is for,
//! and it takes out of the comparison what it says and nothing else. On any machine: the processor is
//! played by the model's own result, changed.

use crate::built::Built;
use crate::case;
use crate::choices;
use crate::forms::{self, Form};
use crate::host::Host;
use crate::judge::{Verdict, judge};
use crate::left_out;
use crate::machine::{Machine, Stopped};
use crate::row::{Row, bits, rows};
use crate::state::{CODE, DATA, PAGE, State};
use iced_x86::Code;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::HashSet;

/// Cases that are tried before a row counts as dead.
const TRIES: usize = 20_000;
/// Cases of each row and make that are judged.
const ENOUGH: usize = 5;

fn the_row(row: &Row) -> String {
    format!("the row of {:?}, {:?}: {}", &row.of[..row.of.len().min(4)], row.when, row.reason)
}

#[test]
fn every_row_names_forms_that_there_are() {
    let forms = forms::every();
    for row in rows() {
        let text = the_row(row);
        assert!(
            !row.of.is_empty() && !row.parts.is_empty() && !row.on.makes.is_empty(),
            "{text} names nothing"
        );
        assert!(!row.reason.is_empty() && !row.reference.is_empty(), "{text} gives no reason");
        for mnemonic in row.of {
            let named = forms.iter().any(|form| form.code.mnemonic() == *mnemonic);
            assert!(named, "{text}: {mnemonic:?} is no form that is compared");
        }
    }
}

#[test]
fn what_is_left_out_would_be_there_otherwise() {
    let forms = forms::every();
    for left_out in left_out::FORMS {
        for code in left_out.codes {
            assert!(forms::could_be(*code), "{code:?} would be no form anyway: {}", left_out.reason);
            let there = forms.iter().any(|form| form.code == *code && (form.memory || !left_out.memory));
            assert!(!there, "{code:?} is compared: {}", left_out.reference);
        }
    }
    let mut state = State::new(1);
    (state.gpr[3], state.gpr[2], state.gpr[6], state.gpr[7]) = (1 << 56, DATA + 0x3C, 0xF_8000, 0xF_8000);
    // In the middle of the code, and where it ends in the instruction.
    let states = [CODE + 0x800, CODE + PAGE - 2].map(|rip| State { rip, ..state.clone() });
    for left_out in left_out::CASES {
        let applies = |bytes: &[u8]| {
            let made = |state: &State| Built::of(bytes, state.clone()).expect(left_out.reason);
            states.iter().any(|state| (left_out.applies)(&made(state)))
        };
        assert!(applies(left_out.example), "{}: {}", left_out.reason, left_out.reference);
        // ADD RAX, RBX.
        assert!(!applies(&[0x48, 0x01, 0xD8]), "{}: it applies to anything", left_out.reason);
    }
}

/// What the processor may have answered, so that a row can hold: the model's own result, or a #PF at an
/// address that only five levels of paging reach.
fn answers(built: &Built, model: &Result<State, Stopped>) -> [State; 2] {
    let mut completed = built.case.before.clone();
    (completed.vector, completed.rip) = (3, completed.rip + built.case.length as u64);
    let answer = model.as_ref().unwrap_or(&completed).clone();
    let mut five_levels = answer.clone();
    (five_levels.vector, five_levels.error, five_levels.address) = (14, 4, 1 << 50);
    [answer, five_levels]
}

/// Changes these parts of a result.
fn change(state: &mut State, parts: u64) {
    state.rflags ^= parts & bits::FLAGS;
    if parts & bits::RIP != 0 {
        state.rip ^= 0x40;
    }
    if parts & bits::MEMORY != 0 {
        state.data[0x123] ^= 0xFF;
        state.stack[0x321] ^= 0xFF;
    }
    if parts & bits::WHICH_FAULT != 0 && state.faulted() {
        state.vector ^= 2;
        state.address ^= 0x1000;
    }
    for n in 0..16 {
        state.gpr[n] ^= if parts & bits::low(n) != 0 { 0xFF00 } else { 0 };
        state.gpr[n] ^= if parts & bits::upper(n) != 0 { 0xFF << 40 } else { 0 };
    }
}

fn check(row: &Row, host: &Host, built: &Built, model: &Result<State, Stopped>, answer: &State) {
    let state = model.as_ref().ok();
    let text = || format!("{}, {}, {host}", the_row(row), built.instruction);
    let mut changed = answer.clone();
    let parts = row.bits(built);
    change(&mut changed, parts);
    // What changed must not have been what made the row hold.
    if row.holds(host, built, &changed, state) {
        let verdict = judge(host, built, model, &changed);
        assert!(matches!(verdict, Verdict::Agreed { .. }), "{} does not take out what it says", text());
    }
    let taken_out =
        rows().filter(|row| row.holds(host, built, answer, state)).fold(0, |all, row| all | row.bits(built));
    let (true, Some(other)) = (model.is_ok(), (0..16).find(|n| taken_out & bits::low(*n) == 0)) else {
        return;
    };
    let mut changed = answer.clone();
    changed.gpr[other] ^= 1;
    match judge(host, built, model, &changed) {
        Verdict::Different(_, parts) => assert_eq!(parts, bits::low(other), "{}", text()),
        Verdict::Agreed { .. } => panic!("{}: register {other} differs and nobody says so", text()),
    }
}

#[test]
fn every_row_is_met_and_takes_out_what_it_says() {
    let all = forms::every();
    let codes: HashSet<Code> = all.iter().map(|form| form.code).collect();
    let mut runner = TestRunner::deterministic();
    for row in rows() {
        let forms: Vec<Form> =
            all.iter().copied().filter(|form| row.of.contains(&form.code.mnemonic())).collect();
        for make in row.on.makes {
            let host = Host::of(*make);
            let mut machine = Machine::new(crate::vendor(&host));
            let mut met = 0;
            for _ in 0..TRIES {
                let c = choices::choices().new_tree(&mut runner).unwrap().current();
                let Some(built) = case::build(forms[c.form % forms.len()], &c, &codes) else { continue };
                let model = machine.run(&built.case);
                for answer in answers(&built, &model) {
                    if row.holds(&host, &built, &answer, model.as_ref().ok()) {
                        met += 1;
                        check(row, &host, &built, &model, &answer);
                    }
                }
                if met >= ENOUGH {
                    break;
                }
            }
            assert!(met >= ENOUGH, "{}: no case meets it on {make:?}", the_row(row));
        }
    }
}
