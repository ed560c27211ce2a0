//! Whether the Bochs that was found runs guests, how it wants to be told, and which of its CPU models has FRED. All
//! of it is found by booting a guest that prints what CPUID offers.

use super::{Bochs, said};
use crate::bochs::configuration::Dialect;
use crate::bochs::error::BochsError;
use crate::bochs::memory::{Disk, Memory};
use crate::bochs::program::{Machine, Program, Running};
use crate::bounded::Ended;
use firmware::disk::Registers;
use firmware::probe;
use std::thread;
use std::time::{Duration, Instant};

/// How long a Bochs may take for each try: a busy host needs a second or two.
pub(crate) const TRY: Duration = Duration::from_secs(10);
/// How many of the newest CPU models are tried for FRED: makers alternate at the end of the list.
const NEWEST: usize = 4;
/// Memory of a guest in bytes.
pub(super) const MEMORY: u64 = 64 << 20;

/// A Bochs that was found and tried.
#[derive(Clone, Debug)]
pub(crate) struct TriedBochs {
    program: Program,
    dialect: Dialect,
    cpu: String,
    offers: u8,
    /// The program's version and the CPU model.
    pub(crate) version: String,
    /// The CPU models that were tried.
    pub(super) tried: String,
}

impl Bochs {
    /// Looks for Bochs and tries it. Each try may take `limit`.
    ///
    /// # Errors
    /// [`BochsError::Missing`], or [`BochsError::Unusable`] with what it did instead.
    pub(crate) fn tried(&self, limit: Duration) -> Result<TriedBochs, BochsError> {
        let program = Program::find(&self.program, limit)?;
        let models = self.models(&program)?;
        let (dialect, first) = understood(&program, &models[0], limit)?;
        let others = if first & probe::FRED == 0 { &models[1..] } else { &[] };
        let others = all_offers(&program, dialect, others, limit)?;
        let tried = models[..=others.len()].join(", ");
        let all = [Some(first)].into_iter().chain(others);
        let found: Vec<_> =
            models.into_iter().zip(all).filter_map(|(cpu, offers)| Some((cpu, offers?))).collect();
        let best =
            [probe::FRED, probe::LONG_MODE].iter().find_map(|bit| found.iter().find(|one| one.1 & bit != 0));
        let Some((cpu, offers)) = best.or(found.first()).cloned() else {
            return Err(program.unusable("none of its CPU models starts"));
        };
        if offers & probe::LONG_MODE == 0 {
            return Err(program.unusable(&format!(
                "its CPU model {cpu} has no 64-bit mode; choose another with --bochs-cpu"
            )));
        }
        let version = format!("{} ({cpu})", program.version);
        Ok(TriedBochs { program, dialect, cpu, offers, version, tried })
    }

    /// The CPU models to try, the best first; not empty.
    fn models(&self, program: &Program) -> Result<Vec<String>, BochsError> {
        match &self.cpu {
            None => Ok(program.models.iter().rev().take(NEWEST).cloned().collect()),
            Some(cpu) if program.models.contains(cpu) => Ok(vec![cpu.clone()]),
            Some(cpu) => {
                let models = program.models.join(", ");
                Err(program
                    .unusable(&format!("it has no CPU model {cpu}; for --bochs-cpu there are {models}")))
            }
        }
    }
}

impl TriedBochs {
    pub(crate) fn has_fred(&self) -> bool {
        self.offers & probe::FRED != 0
    }

    pub(crate) fn has_vmx(&self) -> bool {
        self.offers & probe::VMX != 0
    }

    /// Whether it has a CPU model of this name.
    pub(crate) fn lists(&self, model: &str) -> bool {
        self.program.models.iter().any(|listed| listed == model)
    }

    /// Starts a guest on the CPU model that was chosen, in a machine that is otherwise as `machine` says.
    ///
    /// # Errors
    /// When a file or the process cannot be made.
    pub(crate) fn start(&self, machine: &Machine<'_>, disk: &Disk) -> std::io::Result<Running> {
        self.program.start(self.dialect, &Machine { cpu: &self.cpu, ..*machine }, disk)
    }

    pub(super) fn run(&self, disk: &Disk, deadline: Instant) -> Result<Ended, BochsError> {
        self.program.run(self.dialect, &machine(&self.cpu), disk, deadline)
    }
}

/// A try without an answer.
enum Tried {
    /// It ended otherwise, and said so.
    Said(String),
    /// It did not end.
    Failed(BochsError),
}

/// The first dialect that this Bochs understands, and what the CPU model offers.
fn understood(program: &Program, cpu: &str, limit: Duration) -> Result<(Dialect, u8), BochsError> {
    let mut says = String::new();
    for dialect in Dialect::ALL {
        match offers(program, dialect, cpu, limit) {
            Ok(offers) => return Ok((dialect, offers)),
            Err(Tried::Said(what)) => says = what,
            Err(Tried::Failed(error)) => return Err(error),
        }
    }
    Err(program.unusable(&format!("given a guest that ends at once on CPU model {cpu} it says: {says}")))
}

/// What each of several CPU models offers; `None` for one that does not start. Side by side: most of the time is
/// not spent computing.
fn all_offers(
    program: &Program,
    dialect: Dialect,
    models: &[String],
    limit: Duration,
) -> Result<Vec<Option<u8>>, BochsError> {
    let one = |model: &str| match offers(program, dialect, model, limit) {
        Ok(offers) => Ok(Some(offers)),
        Err(Tried::Said(_)) => Ok(None),
        Err(Tried::Failed(error)) => Err(error),
    };
    thread::scope(|scope| {
        let threads: Vec<_> = models.iter().map(|model| scope.spawn(move || one(model))).collect();
        // A thread that panicked is a fault of this program.
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// What a CPU model offers, by the guest's CPUID.
fn offers(program: &Program, dialect: Dialect, cpu: &str, limit: Duration) -> Result<u8, Tried> {
    let disk = disk().map_err(Tried::Failed)?;
    let ended = program
        .run(dialect, &machine(cpu), &disk, Instant::now() + limit)
        .map_err(|error| Tried::Failed(program.unusable_after("a guest that ends at once", error, limit)))?;
    let digit = ended.output.lines().find_map(|line| line.strip_prefix(probe::LINE)?.trim_end().parse().ok());
    digit.ok_or_else(|| Tried::Said(said(&ended)))
}

fn disk() -> Result<Disk, BochsError> {
    let mut memory = Memory::default();
    memory.add(probe::ENTRY.into(), probe::guest().to_vec(), 0, MEMORY)?;
    Ok(memory.disk(probe::ENTRY, Registers::default())?)
}

/// COM1 would cost a millisecond a character; without it images use port 0xE9 alone.
fn machine(cpu: &str) -> Machine<'_> {
    Machine { cpu, ips: 50_000_000, megabytes: 64, more: "com1: enabled=0\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bochs::program::PROGRAM;

    /// Runs code in flat 32-bit protected mode; `None` where there is no Bochs.
    fn run(code: &[u8], prepare: impl Fn(&mut Memory)) -> Option<String> {
        let bochs = match (Bochs { program: PROGRAM.into(), cpu: None }).tried(TRY) {
            Ok(bochs) => bochs,
            Err(BochsError::Missing(_)) => {
                eprintln!("skipped, nothing tested: there is no Bochs here");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let mut memory = Memory::default();
        memory.add(probe::ENTRY.into(), code.to_vec(), 0, MEMORY).unwrap();
        prepare(&mut memory);
        let registers = Registers { esi: 0x20_0000, ecx: 6, edx: 0xE9, ..Registers::default() };
        let disk = memory.disk(probe::ENTRY, registers).unwrap();
        Some(bochs.run(&disk, Instant::now() + TRY).unwrap().output)
    }

    /// Of its VNC display, which listens on one of the ports.
    #[test]
    fn it_runs_although_all_its_ports_are_taken() {
        let listeners: Vec<_> =
            (5900..5950).filter_map(|port| std::net::TcpListener::bind(("0.0.0.0", port)).ok()).collect();
        let Some(output) = run(&[0x0F, 0x0B], |_| {}) else { return };
        assert!(output.lines().any(|line| line == firmware::RESET), "{output}, {listeners:?}");
    }

    #[test]
    fn a_triple_fault_ends_the_machine_with_a_line() {
        // UD2, without an IDT.
        let Some(output) = run(&[0x0F, 0x0B], |_| {}) else { return };
        assert!(output.lines().any(|line| line == firmware::RESET), "{output}");
    }

    #[test]
    fn memory_and_registers_are_as_laid_out() {
        // REP OUTSB of what lies at ESI, then UD2. The second piece lies in the first one's last sector.
        let Some(output) = run(&[0xF3, 0x6E, 0x0F, 0x0B], |memory| {
            memory.add(0x20_0000, b"ABC".to_vec(), 3, MEMORY).unwrap();
            memory.add(0x20_0003, b"DE\n".to_vec(), 3, MEMORY).unwrap();
        }) else {
            return;
        };
        assert!(output.lines().any(|line| line == "ABCDE"), "{output}");
    }
}
