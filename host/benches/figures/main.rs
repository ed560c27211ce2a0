//! The figures of docs/figures.md: sizes of the images, and what a scenario costs.
//!
//! Each figure is printed beside its bound, and a bound that does not hold makes the run fail. The
//! machines that this runs on are shared, so the times are medians of one run.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod bare;
mod bare_vm;
mod qemu;

use kvm::{DEVICE, KvmMachine};
use midflight::engine::runner::Runner;
use midflight::image::{Image, LOWEST, MEMORY_SIZE};
use midflight::images;
use midflight::report::outcome::Outcome;
use midflight::scenario::{DeliveryMode, Scenario, is_possible};
use midflight::session::boot::boot;
use midflight::session::{Session, Stopped};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use protocol::doorbell::Doorbell;
use protocol::mailbox::{HostFlags, Verdict};
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vm::{Machine, PAGE, VmConfig, state};

const TSC: u32 = 0x10;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Prints figures and remembers whether each kept its bound.
#[derive(Default)]
struct Figures {
    broken: bool,
}

impl Figures {
    fn at_most(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        let verdict = if figure <= bound { "" } else { "  EXCEEDED" };
        self.broken |= figure > bound;
        println!("{what:52} {figure:>12.3} {unit:8} at most {bound}{verdict}");
    }

    fn at_least(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        let verdict = if figure >= bound { "" } else { "  MISSED" };
        self.broken |= figure < bound;
        println!("{what:52} {figure:>12.3} {unit:8} at least {bound}{verdict}");
    }
}

fn main() -> ExitCode {
    match figures() {
        Ok(figures) if figures.broken => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn figures() -> Result<Figures> {
    let mut figures = Figures::default();
    let images = images::load(&[])?;
    for image in &images {
        sizes(&mut figures, image)?;
    }
    let model = ModelMachine::new(&CORRECT);
    let id = "pf/read-unmapped:fred:block@frame:migrate+disturb";
    let before = on_processor()?;
    figures.at_most("one forked scenario, model", median_ms(&model, &images, id, 2000)?, 1.0, "ms");
    let per_second = 2000.0 / (on_processor()? - before).as_secs_f64();
    figures.at_least("forked scenarios, model, processor time", per_second, 10_000.0, "/s");
    match std::env::var_os("MIDFLIGHT_SPEED_IMAGE") {
        Some(file) => speed(&mut figures, Path::new(&file))?,
        None => println!("no speed of the model: MIDFLIGHT_SPEED_IMAGE names no image; use make bench"),
    }
    let first = images.iter().find(|image| image.name == "pf").ok_or("the image pf is missing")?;
    figures.at_most("memory of a fork parked at its act", parked_kib(first)?, 64.0, "KiB");
    match KvmMachine::open(Path::new(DEVICE)) {
        Ok(kvm) => {
            let resume = median_ms(&kvm, &images, "pf/read-unmapped:idt:cancel:resume", 200)?;
            figures.at_most("one forked scenario, KVM, resume", resume, 10.0, "ms");
            let migrate = median_ms(&kvm, &images, "pf/read-unmapped:idt:cancel:migrate", 200)?;
            figures.at_most("one forked scenario, KVM, migrate", migrate, 20.0, "ms");
            for (id, what) in [
                ("pf/read-unmapped:idt:none", "one fresh VM"),
                ("pf/read-unmapped:idt:cancel:migrate", "two, a migration"),
            ] {
                let [ours, bare] = bare::against_bare(&kvm, first, id, 300)?;
                println!("{what}: {ours:.3} ms of processor time, by bare ioctls {bare:.3} ms");
                figures.at_most(&format!("{what} against bare ioctls, KVM"), ours / bare, 1.5, "times");
            }
        }
        Err(error) => println!("no figures for KVM: {error}"),
    }
    migrated_by_qemu(&mut figures, first)?;
    figures.at_most("the whole default run", default_run()?.as_secs_f64(), 30.0, "s");
    Ok(figures)
}

fn migrated_by_qemu(figures: &mut Figures, image: &Image) -> Result<()> {
    let Some([ours, bare]) = qemu::against_bare(image)? else {
        println!("no figures for QEMU: it is not here, or runs no guests");
        return Ok(());
    };
    println!("a migrated scenario on TCG: {ours:.1} ms, QEMU's own migration of the same guest {bare:.1} ms");
    figures.at_most("one migrated scenario, QEMU, TCG", ours, 80.0, "ms");
    figures.at_most("the same against QEMU's own migration", ours / bare, 1.5, "times");
    Ok(())
}

fn sizes(figures: &mut Figures, image: &Image) -> Result<()> {
    let name = &image.name;
    figures.at_most(&format!("{name}: image file"), image.file.len() as f64 / 1024.0, 64.0, "KiB");
    let end = image.segments.iter().map(|s| s.address + s.size).max().unwrap_or(LOWEST);
    figures.at_most(&format!("{name}: memory"), (end - LOWEST) as f64 / 1024.0, 512.0, "KiB");
    for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
        // An image may have cases for one of the two only: with the other they are skipped, and never arm.
        let Some(case) = image.cases.iter().position(|case| is_possible(case, delivery)) else { continue };
        let what = format!("{name}: entry to the first check, {delivery}");
        figures.at_most(&what, instructions(image, case, delivery)? as f64, 20_000.0, "instr.");
    }
    Ok(())
}

/// A guest that has booted.
fn at_ready<'i>(
    machine: &dyn Machine,
    image: &'i Image,
    delivery: DeliveryMode,
    payload: bool,
) -> Result<Session<'i>> {
    let mut session = Session::new(boot(machine, image, delivery, payload, HostFlags::PRESENT)?, image);
    while session.advance()? != Stopped::Doorbell(Doorbell::Ready) {}
    Ok(session)
}

/// Instructions from the entry to `Armed` of a case, by its number; the model's TSC counts them.
fn instructions(image: &Image, case: usize, delivery: DeliveryMode) -> Result<u64> {
    let model = ModelMachine::new(&CORRECT);
    let mut session = at_ready(&model, image, delivery, true)?;
    session.choose_case(u16::try_from(case)?)?;
    match session.advance()? {
        Stopped::Doorbell(Doorbell::Armed(_)) => tsc(&session),
        other => Err(format!("{} did not arm: {other:?}", image.name).into()),
    }
}

/// Instructions a second of the image `speed`: from its choice of a case to `Armed`, boot excluded.
fn speed(figures: &mut Figures, file: &Path) -> Result<()> {
    let image = Image::read(file)?;
    let model = ModelMachine::new(&CORRECT);
    let mut session = at_ready(&model, &image, DeliveryMode::Fred, true)?;
    session.choose_case(0)?;
    let (counted, time) = (tsc(&session)?, on_processor()?);
    let armed = session.advance()?;
    let (instructions, time) = (tsc(&session)? - counted, on_processor()? - time);
    if armed != Stopped::Doorbell(Doorbell::Armed(0)) {
        return Err(format!("the image speed did not arm: {armed:?}").into());
    }
    // Speed counts for nothing if what was computed is wrong.
    while session.advance()? != Stopped::Doorbell(Doorbell::Done(0)) {}
    let mailbox = session.mailbox()?;
    if Verdict::from_number(mailbox.verdict) != Some(Verdict::Pass) {
        return Err("the image speed came to something else than a processor does".into());
    }
    // One instruction at least a step of each round.
    figures.at_least("mixed integer kernel: instructions", instructions as f64 / 1e6, 300.0, "million");
    let per_second = instructions as f64 / time.as_secs_f64() / 1e6;
    figures.at_least("mixed integer kernel, an image, processor time", per_second, 50.0, "M/s");
    Ok(())
}

fn tsc(session: &Session<'_>) -> Result<u64> {
    Ok(session.vcpu.msrs(&[TSC])?.first().map_or(0, |msr| msr.value))
}

/// Processor time of this thread: what other programs take on a shared machine is not in it.
fn on_processor() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = stat.split(' ').next().ok_or("/proc/thread-self/schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The pages that a fork of the snapshot at `Ready` has changed when its case is armed, in KiB.
fn parked_kib(image: &Image) -> Result<f64> {
    let model = ModelMachine::new(&CORRECT);
    let mut session = at_ready(&model, image, DeliveryMode::Fred, true)?;
    let config = VmConfig::plain(&model, MEMORY_SIZE, true);
    let snapshot = state::save(session.vcpu.as_mut(), &model, &config)?;
    let mut fork = Session::new(state::restore(&model, &snapshot)?, image);
    while fork.advance()? != Stopped::Doorbell(Doorbell::Armed(0)) {}
    let changed =
        fork.vcpu.save_memory()?.pages.into_iter().zip(&snapshot.memory.pages).filter(|(now, then)| {
            match (now, then) {
                (Some(now), Some(then)) => !Arc::ptr_eq(now, then),
                (now, then) => now.is_some() != then.is_some(),
            }
        });
    Ok((changed.count() * PAGE) as f64 / 1024.0)
}

fn median_ms(machine: &dyn Machine, images: &[Image], id: &str, runs: usize) -> Result<f64> {
    let scenario: Scenario = id.parse()?;
    let image = images.iter().find(|image| image.name == scenario.image).ok_or("the image is missing")?;
    let mut runner = Runner::new(machine, None, Duration::from_secs(10));
    // The first run boots and takes the snapshot.
    runner.run(image, &scenario);
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        let report = runner.run(image, &scenario);
        times.push(start.elapsed());
        if report.outcome != Outcome::Pass {
            return Err(format!("{id}: {:?}", report.why).into());
        }
    }
    Ok(median(times))
}

/// In ms.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn default_run() -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_midflight")).arg("run").stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("the default run ended with {status}").into());
    }
    Ok(start.elapsed())
}
