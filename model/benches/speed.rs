//! Instructions a second of one core's user time, on a mixed integer kernel: xorshift, updates of a
//! table, data-dependent branches. Criterion's figures are processor time, not wall time, because the
//! machines that this runs on are shared.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot set itself up has failed")]

#[path = "../tests/guest/mod.rs"]
mod guest;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guest::{CODE, DATA, Guest};
use iced_x86::code_asm::*;
use model::processor::{Entry, ExitReason};
use std::time::Duration;

/// Ten samples of these are 20 million rounds.
const ROUNDS: u64 = 2_000_000;

/// The processor time of this process, user and system together.
struct ProcessorTime;

fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        criterion::measurement::WallTime.formatter()
    }
}

/// RCX: the state of the generator. RBX: rounds. The table of 512 words is at DATA.
fn kernel(a: &mut CodeAssembler) -> Result<(), iced_x86::IcedError> {
    let (mut round, mut other, mut next) = (a.create_label(), a.create_label(), a.create_label());
    a.set_label(&mut round)?;
    for (left, count) in [(true, 13), (false, 7), (true, 17)] {
        a.mov(rax, rcx)?;
        if left {
            a.shl(rax, count)?
        } else {
            a.shr(rax, count)?
        }
        a.xor(rcx, rax)?;
    }
    a.mov(eax, ecx)?;
    a.and(eax, 0x1FF)?;
    a.test(cl, 0x40)?;
    a.jz(other)?;
    a.add(qword_ptr(rsi + rax * 8), rcx)?;
    a.jmp(next)?;
    a.set_label(&mut other)?;
    a.mov(rdx, qword_ptr(rsi + rax * 8))?;
    a.lea(rdx, qword_ptr(rdx + rdx * 2 + 1))?;
    a.mov(qword_ptr(rsi + rax * 8), rdx)?;
    a.set_label(&mut next)?;
    a.cmp(rdi, rcx)?;
    a.cmovb(rdi, rcx)?;
    a.dec(rbx)?;
    a.jnz(round)?;
    a.hlt()
}

fn ready(rounds: u64) -> Guest {
    let mut guest = Guest::fred().with(|a| kernel(a).unwrap());
    guest.cpu.gpr[1] = 0x9E37_79B9_7F4A_7C15;
    guest.cpu.gpr[3] = rounds;
    guest.cpu.gpr[6] = DATA;
    guest.cpu.gpr[7] = 0;
    guest
}

fn run(mut guest: Guest) -> u64 {
    let exit = guest.enter(Entry::default());
    assert_eq!(exit.reason, ExitReason::Halt);
    assert!(guest.cpu.rip > CODE && guest.cpu.gpr[3] == 0);
    exit.instructions
}

fn speed(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Elements(run(ready(ROUNDS))));
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(3));
    group.sampling_mode(criterion::SamplingMode::Flat);
    group.bench_function("mixed integer kernel", |b| {
        b.iter_batched(|| ready(ROUNDS), run, criterion::BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = speed
}
criterion_main!(benches);
