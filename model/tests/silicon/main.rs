//! The model against the processor that the tests run on: random instructions with random operands,
//! executed by both; registers, memory, the flags that the manual defines, and exceptions are
//! compared.
//!
//! `MIDFLIGHT_SILICON_EXECUTIONS` says how many (50,000 without it), `MIDFLIGHT_SILICON_SEED` where
//! the random numbers start, `MIDFLIGHT_SILICON_ALL=1` that a failure does not end it. What failed is kept in `regressions` and executed first.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a test that cannot set itself up has failed"
)]

mod case;
mod choices;
mod forms;
mod machine;
mod mnemonics;
mod native;
mod state;
mod undefined;
mod values;

use case::Built;
use forms::Form;
use iced_x86::{Code, Mnemonic};
use machine::{Machine, Stopped};
use native::Native;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use state::State;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a decimal number"))
}

/// Bits of RFLAGS that are compared: the status flags, DF, TF, AC and ID, and RF.
const FLAGS: u64 = 0x25_0DD5;

const RF: u64 = 1 << 16;

struct Comparison {
    native: Native,
    machine: Machine,
    executions: u64,
    /// Executions up to the first that differed; those behind it made it smaller.
    first: Option<u64>,
    /// For each form: executions, and how many completed.
    counts: BTreeMap<String, (u64, u64)>,
}

impl Comparison {
    /// Executes a case on both; says what differs.
    fn run(&mut self, built: &Built) -> Result<State, String> {
        let there = self.native.run(&built.case).map(normalised);
        let Some(there) = there else {
            self.native = Native::start().expect("a child process");
            return Err("the child process died or never answered".into());
        };
        // A fault at another RIP is the next instruction's.
        let completed = matches!(there.vector, 1 | 3) || there.rip != built.case.before.rip;
        let (mut flags, register) = if completed { case::compared(built) } else { (u64::MAX, None) };
        if there.vector == 1 {
            // RF of the single step after an iteration of REP: set by Intel, not by AMD.
            flags &= !RF;
        }
        let here = match self.machine.run(&built.case) {
            Ok(here) => here,
            // Where the result is undefined the model says so instead of inventing one.
            Err(Stopped::Unknown) if case::is_undefined(built) => return Ok(there),
            Err(stopped) => return Err(format!("{stopped:x?}")),
        };
        let mut there = there;
        if !completed && built.instruction.mnemonic() == Mnemonic::Enter {
            // Below the stack pointer processors leave what they had pushed when they met the fault.
            there.stack = here.stack;
            there.data = here.data;
        }
        let differences = here.differences(&there, flags & FLAGS, register);
        if differences.is_empty() { Ok(there) } else { Err(differences.join(", ")) }
    }
}

/// Without what only the kernel has put there.
fn normalised(mut state: State) -> State {
    if state.vector == 14 {
        // For addresses of its own the kernel says "protection" whatever the tables say.
        if state.address >> 47 != 0 {
            state.error &= !1;
        }
    } else {
        state.address = 0;
    }
    state
}

fn name(form: Form) -> String {
    format!("{:?}{}", form.code, if form.memory { " m" } else { "" })
}

#[test]
fn the_model_agrees_with_this_processor() {
    let executions = number("MIDFLIGHT_SILICON_EXECUTIONS", 50_000);
    let seed = number("MIDFLIGHT_SILICON_SEED", 1);
    let (forms, skipped) = forms::all();
    let codes: HashSet<Code> = forms.iter().map(|form| form.code).collect();
    for (feature, count) in &skipped {
        eprintln!("{count} forms skipped: this processor has no {feature}");
    }
    assert!(forms.len() >= 200, "{} forms", forms.len());
    let comparison = RefCell::new(Comparison {
        native: Native::start().expect("a child process"),
        machine: Machine::new(),
        executions: 0,
        first: None,
        counts: forms.iter().map(|form| (name(*form), (0, 0))).collect(),
    });
    let config = Config {
        cases: executions.try_into().expect("fewer than 2^32 executions"),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/silicon/regressions"
        )))),
        max_global_rejects: u32::MAX,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let go_on = number("MIDFLIGHT_SILICON_ALL", 0) != 0;
    let failures = RefCell::new(BTreeMap::new());
    let outcome = runner.run(&choices::choices(), |c| {
        let form = forms[c.form % forms.len()];
        let Some(built) = case::build(form, &c, &codes) else {
            return Err(TestCaseError::reject("cannot be encoded"));
        };
        let mut comparison = comparison.borrow_mut();
        comparison.executions += 1;
        let result = match comparison.run(&built) {
            Ok(result) => result,
            Err(text) => {
                let text = format!("{} ({:02x?}): {text}", built.instruction, built.case.code());
                let text = format!(
                    "{text}; registers {:x?}, RFLAGS {:x}",
                    built.case.before.gpr, built.case.before.rflags
                );
                let done = comparison.executions;
                comparison.first.get_or_insert(done);
                if go_on {
                    failures.borrow_mut().insert(name(form), text);
                    return Ok(());
                }
                return Err(TestCaseError::fail(text));
            }
        };
        let count = comparison.counts.entry(name(form)).or_default();
        count.0 += 1;
        count.1 += u64::from(matches!(result.vector, 1 | 3));
        Ok(())
    });
    let comparison = comparison.into_inner();
    let done = comparison.executions;
    eprintln!("{} forms, {done} executions, seed {seed}", forms.len());
    if let Err(TestError::Fail(reason, choices)) = outcome {
        let first = comparison.first.unwrap_or(done);
        panic!("execution {first} (made smaller by {done}): {reason}\n{choices:x?}");
    }
    outcome.expect("proptest");
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{} forms differ: {failures:#?}", failures.len());
    if executions >= 50_000 {
        for (form, (run, completed)) in comparison.counts {
            let code = forms.iter().find(|f| name(**f) == form).map(|f| f.code.mnemonic()).unwrap();
            let faults = mnemonics::ALWAYS_FAULT.contains(&code);
            assert!(run > 0 && (completed > 0 || faults), "{form}: {run} executions, {completed} completed");
        }
    }
}
