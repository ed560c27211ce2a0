//! Images that nobody drives: they boot on the model, run every case, print lines and end through the
//! exit port.
//!
//! Without embedded images there is nothing to run.

use crate::binary::images;
use fred::cpuid::FRED;
use kvm_bindings::kvm_cpuid_entry2;
use midflight::engine::plan::{Abilities, met_needs};
use midflight::engine::questions::{Question, StopSupport, Support};
use midflight::image::{Case, Image};
use midflight::machines::transcript::{CaseOutcome, ImageRun, read};
use midflight::scenario::{DeliveryMode, Plan, Scenario, is_possible};
use midflight::session::boot::boot;
use midflight::session::devices::{DeviceAccess, Devices};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use protocol::exit::ImageExit;
use protocol::mailbox::HostFlags;
use protocol::need::Needs;
use protocol::port::{COM1, INPUT};
use std::collections::VecDeque;
use std::convert::Infallible;
use vm::{Exit, Machine, RunMode, Vcpu, VcpuError, VmConfig};

/// The model, with or without FRED in its CPUID.
struct Processor(ModelMachine, Vec<kvm_cpuid_entry2>);

impl Processor {
    fn new(has_fred: bool) -> Self {
        let model = ModelMachine::new(&CORRECT);
        let mut cpuid = model.cpuid().to_vec();
        for entry in &mut cpuid {
            if !has_fred && (entry.function, entry.index) == (FRED.leaf, FRED.subleaf) {
                entry.eax &= !FRED.mask();
            }
        }
        Self(model, cpuid)
    }
}

impl Machine for Processor {
    fn name(&self) -> &'static str {
        "model"
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        &self.1
    }

    fn msr_indices(&self) -> &[u32] {
        self.0.msr_indices()
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        self.0.create(config)
    }
}

/// A transmitter that takes a time for each byte, counted in accesses to the port: a FIFO of 16 bytes
/// and the byte that is being shifted out.
struct Transmitter {
    accesses_each: u64,
    now: u64,
    /// When each byte that is not sent yet will be.
    ends: VecDeque<u64>,
    /// Takes every byte, and never says that the last one has been sent.
    stuck: bool,
}

/// As fast as a virtual one.
const AT_ONCE: u64 = 0;
/// Line status: the FIFO is empty, and the transmitter is, too.
const THR_EMPTY: u8 = 1 << 5;
const TRANSMITTER_EMPTY: u8 = 1 << 6;

impl Transmitter {
    fn new(accesses_each: u64) -> Self {
        Self { accesses_each, now: 0, ends: VecDeque::new(), stuck: false }
    }

    fn pass(&mut self) {
        self.now += 1;
        while self.ends.front().is_some_and(|end| *end <= self.now) {
            self.ends.pop_front();
        }
    }

    fn send(&mut self) {
        let begin = self.ends.back().copied().unwrap_or(self.now).max(self.now);
        self.ends.push_back(begin.saturating_add(self.accesses_each));
    }

    fn line_status(&self, otherwise: u8) -> u8 {
        let mut status = otherwise | THR_EMPTY | TRANSMITTER_EMPTY;
        if !self.ends.is_empty() {
            status &= !TRANSMITTER_EMPTY;
        }
        if self.ends.len() > 1 && !self.stuck {
            status &= !THR_EMPTY;
        }
        status
    }
}

/// What a port reads as where there is no device.
const NO_DEVICE: u8 = 0xFF;

/// Runs `image` alone to its end: its exit, and what has left the serial port by then.
fn run(
    machine: &dyn Machine,
    image: &Image,
    delivery: DeliveryMode,
    mut transmitter: Transmitter,
) -> (ImageExit, String) {
    const DATA: u16 = COM1;
    const LINE_CONTROL: u16 = COM1 + 3;
    const LINE_STATUS: u16 = COM1 + 5;
    let mut vcpu = boot(machine, image, delivery, true, HostFlags::empty()).unwrap();
    let mut devices = Devices::default();
    let mut divisor = false;
    loop {
        let exit = vcpu.run(RunMode::Normal).unwrap();
        match &exit {
            Exit::IoOut { port: DATA, .. } if !divisor => transmitter.send(),
            Exit::IoOut { port: LINE_CONTROL, data, .. } => divisor = data[0] & 0x80 != 0,
            _ => {}
        }
        match devices.serve(&exit) {
            Some(DeviceAccess::Served(mut items)) => {
                if let Exit::IoIn { port, .. } = exit {
                    if port == LINE_STATUS {
                        transmitter.pass();
                        items[0] = transmitter.line_status(items[0]);
                    }
                    if port == INPUT {
                        items.fill(NO_DEVICE);
                    }
                    vcpu.set_io_data(&items).unwrap();
                }
            }
            Some(DeviceAccess::Doorbell(_)) => {}
            Some(DeviceAccess::Ended(byte)) => {
                let mut text = devices.serial_text();
                text.truncate(text.len() - transmitter.ends.len());
                return (ImageExit::from_byte(byte).unwrap(), text);
            }
            None => panic!("{}: {exit:?} after\n{}", image.name, devices.serial_text()),
        }
    }
}

fn transcript(machine: &dyn Machine, image: &Image, delivery: DeliveryMode) -> ImageRun {
    let (exit, text) = run(machine, image, delivery, Transmitter::new(AT_ONCE));
    read(&text, exit).unwrap_or_else(|error| panic!("{}: {error}\n{text}", image.name))
}

/// What a case may need that this delivery is not.
fn of_another(delivery: DeliveryMode) -> Needs {
    match delivery {
        DeliveryMode::Fred => Needs::IDT,
        DeliveryMode::Idt => Needs::FRED,
    }
}

/// What `case` lacks on a processor with everything, where there is no host.
fn missing(case: &Case, delivery: DeliveryMode) -> String {
    let mut lacking = case.needs & (Needs::NMI | Needs::INTERRUPT | Needs::SHUTDOWN | Needs::HOST);
    lacking |= case.needs & of_another(delivery);
    lacking.names().collect::<Vec<_>>().join(", ")
}

#[test]
fn every_image_alone_runs_what_its_delivery_allows_and_fails_nothing() {
    use DeliveryMode::{Fred, Idt};
    for (has_fred, delivery) in [(true, Fred), (true, Idt), (false, Idt)] {
        let machine = Processor::new(has_fred);
        for image in images() {
            let run = transcript(&machine, &image, delivery);
            assert_eq!((run.errors, run.cases.len()), (Vec::new(), image.cases.len()), "{}", image.name);
            for (case, ran) in image.cases.iter().zip(run.cases) {
                let name = format!("{}/{}:{delivery} with FRED {has_fred}", image.name, case.name);
                let missing = missing(case, delivery);
                match ran.outcome {
                    CaseOutcome::Pass => assert_eq!(missing, "", "{name} ran"),
                    CaseOutcome::Skip(why) => assert_eq!(why, format!("needs {missing}"), "{name}"),
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    }
}

/// The host decides as the image does.
#[test]
fn the_host_skips_a_case_of_fred_under_the_idt_whatever_the_processor_has() {
    let machine = Processor::new(true);
    for image in images() {
        for case in &image.cases {
            for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
                let scenario = Scenario {
                    image: image.name.clone(),
                    case: case.name.clone(),
                    delivery,
                    payload: true,
                    plan: Plan::Cold,
                };
                let answer = |_, questions: &[Question]| {
                    let works = |question: &Question| (*question, Support::Works);
                    Ok::<_, Infallible>(StopSupport(questions.iter().map(works).collect()))
                };
                let (images, scenarios) = (std::slice::from_ref(&image), [(0, scenario)]);
                let abilities =
                    Abilities::find_out("model", met_needs(&machine), images, &scenarios, answer).unwrap();
                let another = of_another(delivery).names().collect::<Vec<_>>().join(", ");
                let lack = (!is_possible(case, delivery)).then(|| format!("needs {another}"));
                let [(_, scenario)] = &scenarios;
                assert_eq!(abilities.lacks(&image, scenario), lack, "{scenario}");
            }
        }
    }
}

#[test]
fn a_delivery_that_the_processor_lacks_is_a_sentence() {
    let machine = Processor::new(false);
    for image in images() {
        let run = transcript(&machine, &image, DeliveryMode::Fred);
        assert_eq!((run.exit, run.cases.len()), (ImageExit::Error, 0), "{}", image.name);
        assert_eq!(
            run.errors,
            ["delivery=fred, but CPUID does not offer FRED; use delivery=idt or another machine"]
        );
    }
}

/// A byte takes a millisecond at 9600 baud, and a status read a microsecond.
#[test]
fn what_an_image_prints_last_has_left_the_port_before_it_ends() {
    let machine = Processor::new(true);
    for image in images().iter().take(2) {
        let (_, whole) = run(&machine, image, DeliveryMode::Idt, Transmitter::new(AT_ONCE));
        assert!(whole.trim_end().lines().last().unwrap().starts_with("EXIT: "), "{whole}");
        for accesses_each in [1, 10, 200] {
            let (_, text) = run(&machine, image, DeliveryMode::Idt, Transmitter::new(accesses_each));
            assert_eq!(text, whole, "{accesses_each} accesses each");
        }
    }
}

/// A port that takes nothing any more, or never says that it has sent everything, is not waited for for
/// ever.
#[test]
fn an_image_ends_though_its_port_never_gets_empty() {
    let machine = Processor::new(true);
    for stuck in [false, true] {
        if let Some(image) = images().first() {
            let transmitter = Transmitter { stuck, ..Transmitter::new(u64::MAX) };
            let (exit, _) = run(&machine, image, DeliveryMode::Idt, transmitter);
            assert_eq!(exit, ImageExit::Pass);
        }
    }
}
