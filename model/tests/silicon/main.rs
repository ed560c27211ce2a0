//! The model against the processor that the tests run on: random instructions with random operands,
//! executed by both; registers, memory, the flags that the manuals define, and exceptions are compared. The
//! model is of the processor's vendor.
//!
//! What is not compared is listed in tables: [`undefined`] by the manuals, [`known`] to differ by vendor,
//! generation or because of the hypervisor below, [`left_out`] where no case is generated. Forms whose
//! feature CPUID does not show are left out as well. Anything else that differs ends the test with both states, the
//! facts of this processor, and the row that it would be.
//!
//! `MIDFLIGHT_SILICON_EXECUTIONS` says how many (50,000 without it), `MIDFLIGHT_SILICON_SEED` where
//! the random numbers start, `MIDFLIGHT_SILICON_ALL=1` that a failure does not end it. What failed is kept
//! in `regressions` and executed first.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a test that cannot set itself up has failed"
)]

mod access;
mod built;
mod case;
mod choices;
mod forms;
#[path = "../guest/mod.rs"]
mod guest;
#[path = "../host/mod.rs"]
mod host;
mod judge;
mod known;
mod left_out;
mod machine;
mod masks;
mod mnemonics;
mod native;
mod row;
mod state;
mod table;
mod undefined;
mod values;
mod when;

use built::Built;
use forms::Form;
use host::{Host, Make};
use iced_x86::Code;
use judge::Verdict;
use machine::Machine;
use model::cpuid::Vendor;
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

struct Comparison {
    host: Host,
    native: Native,
    machine: Machine,
    executions: u64,
    /// Executions up to the first that differed; those after it made it smaller.
    first: Option<u64>,
    /// For each form: executions, and how many completed.
    counts: BTreeMap<String, (u64, u64)>,
    /// How often a row excused a difference, by its reason.
    excused: BTreeMap<&'static str, u64>,
}

impl Comparison {
    /// Executes a case on both; says what differs.
    fn run(&mut self, built: &Built) -> Result<State, String> {
        let Some(native) = self.native.run(&built.case).map(normalised) else {
            self.native = Native::start().expect("a child process");
            let (before, host) = (&built.case.before, &self.host);
            return Err(format!(
                "{} ({:02x?}) never came back from the processor, {host}; before: {before}",
                built.instruction,
                built.case.code()
            ));
        };
        let model = self.machine.run(&built.case);
        match judge::judge(&self.host, built, &model, &native) {
            Verdict::Agreed { excused_by } => {
                for row in excused_by {
                    *self.excused.entry(row.reason).or_default() += 1;
                }
                Ok(native)
            }
            Verdict::Different(text, parts) => {
                Err(judge::report(&self.host, built, &model, &native, (&text, parts)))
            }
        }
    }
}

/// The model's vendor on a host.
fn vendor(host: &Host) -> Vendor {
    if host.make == Make::Amd { Vendor::Amd } else { Vendor::Intel }
}

/// Without what only the kernel has set.
fn normalised(mut state: State) -> State {
    if state.vector == 14 {
        // For kernel addresses Linux reports "protection" whatever the page tables say.
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
    let host = Host::this();
    let forms = forms::every();
    let codes: HashSet<Code> =
        forms.iter().filter(|form| forms::missing(**form).is_none()).map(|form| form.code).collect();
    let mut skipped = BTreeMap::new();
    for feature in forms.iter().filter_map(|form| forms::missing(*form)) {
        *skipped.entry(format!("{feature:?}")).or_insert(0) += 1;
    }
    eprintln!("{host}");
    for (feature, count) in &skipped {
        eprintln!("{count} forms skipped: this processor has no {feature}");
    }
    let run: Vec<_> = forms.iter().copied().filter(|form| codes.contains(&form.code)).collect();
    assert!(run.len() >= 200, "{} forms", run.len());
    let comparison = RefCell::new(Comparison {
        native: Native::start().expect("a child process"),
        machine: Machine::new(vendor(&host)),
        host,
        executions: 0,
        first: None,
        counts: run.iter().map(|form| (name(*form), (0, 0))).collect(),
        excused: BTreeMap::new(),
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
        if !codes.contains(&form.code) {
            return Err(TestCaseError::reject("not on this processor"));
        }
        let Some(built) = case::build(form, &c, &codes) else {
            return Err(TestCaseError::reject("cannot be made"));
        };
        let mut comparison = comparison.borrow_mut();
        comparison.executions += 1;
        let result = match comparison.run(&built) {
            Ok(result) => result,
            Err(text) => {
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
    eprintln!("{} forms, {done} executions, seed {seed}", run.len());
    for (reason, count) in &comparison.excused {
        eprintln!("{count} differences known: {reason}");
    }
    if let Err(TestError::Fail(reason, choices)) = outcome {
        let first = comparison.first.unwrap_or(done);
        panic!("execution {first} of seed {seed} (made smaller until {done}): {reason}\n{choices:x?}");
    }
    outcome.expect("proptest");
    let failures = failures.into_inner();
    let texts = failures.values().map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} forms differ, seed {seed}:\n{texts}", failures.len());
    if executions >= 50_000 {
        for (form, (executed, completed)) in comparison.counts {
            let code = run.iter().find(|f| name(**f) == form).map(|f| f.code.mnemonic()).unwrap();
            let faults = mnemonics::ALWAYS_FAULT.contains(&code);
            let enough = executed > 0 && (completed > 0 || faults);
            assert!(enough, "{form}: {executed} executions, {completed} completed");
        }
    }
}
