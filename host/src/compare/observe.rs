//! What a guest looks like at each ring of its doorbell.

use crate::engine::runner::{OnSeen, Runner};
use crate::image::Image;
use crate::report::outcome::Report;
use crate::scenario::Scenario;
use crate::session::Session;
use fred::msr;
use kvm_bindings::{kvm_dtable, kvm_segment};
use protocol::delivery::Delivery;
use protocol::doorbell::Doorbell;
use protocol::mailbox::DELIVERIES;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::time::Duration;
use vm::Machine;
use vm::{Vcpu, VcpuError};
use zerocopy::{FromBytes, IntoBytes};

/// Everything that was seen of one case on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// One for each doorbell, as they rang.
    pub landmarks: Vec<Landmark>,
    /// What `midflight run` says of the same scenario.
    pub report: Report,
}

/// A guest whose doorbell has rung; the OUT is completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landmark {
    /// Which doorbell: `Ready`, `Armed(2)`, `Done(2)`.
    pub doorbell: String,
    /// Every register that both machines have, by name.
    pub registers: Vec<(String, u64)>,
    /// How often a handler was entered, then what the judge says, by name.
    pub mailbox: Vec<(String, u64)>,
    /// The captured deliveries: the quadwords of [`Delivery`].
    pub deliveries: Vec<[u64; DELIVERY_WORDS]>,
}

/// Size of a [`Delivery`] in quadwords.
pub const DELIVERY_WORDS: usize = size_of::<Delivery>() / 8;

/// The time that has passed is nobody's mistake.
const TSC: u32 = 0x10;

/// Runs a scenario and looks at the guest at each doorbell.
pub fn observe(
    machine: &dyn Machine,
    image: &Image,
    scenario: &Scenario,
    timeout: Duration,
    on_seen: Option<OnSeen<'_>>,
) -> Observation {
    let landmarks = RefCell::new(Vec::new());
    let mut runner = Runner::new(machine, None, timeout);
    runner.on_seen = on_seen;
    runner.on_doorbell = Some(Box::new(|doorbell, session| {
        landmarks.borrow_mut().push(Landmark::at(doorbell, session, machine)?);
        Ok(())
    }));
    let report = runner.run(image, scenario);
    drop(runner);
    Observation { landmarks: landmarks.into_inner(), report }
}

impl Landmark {
    fn at(doorbell: Doorbell, session: &mut Session<'_>, machine: &dyn Machine) -> Result<Self, VcpuError> {
        session.complete_io()?;
        let mailbox = session.mailbox()?;
        let captured = (mailbox.entries as usize).min(DELIVERIES);
        Ok(Self {
            doorbell: format!("{doorbell:?}"),
            registers: registers(session.vcpu.as_mut(), machine)?,
            mailbox: vec![
                ("entries".to_owned(), mailbox.entries.into()),
                ("verdict".to_owned(), mailbox.verdict.into()),
                ("compared fields".to_owned(), mailbox.compared.into()),
                ("mismatches".to_owned(), mailbox.mismatch_count.into()),
            ],
            deliveries: mailbox.deliveries[..captured].iter().map(to_words).collect(),
        })
    }
}

fn to_words(delivery: &Delivery) -> [u64; DELIVERY_WORDS] {
    let mut words = [0; DELIVERY_WORDS];
    words.as_mut_bytes().copy_from_slice(delivery.as_bytes());
    words
}

/// The delivery with these quadwords.
pub fn delivery(words: &[u64; DELIVERY_WORDS]) -> Delivery {
    Delivery::read_from_bytes(words.as_bytes()).unwrap_or_default()
}

fn registers(vcpu: &mut dyn Vcpu, machine: &dyn Machine) -> Result<Vec<(String, u64)>, VcpuError> {
    let mut list = Vec::new();
    let mut add = |name: &str, value: u64| list.push((name.to_owned(), value));
    let regs = vcpu.regs()?;
    macro_rules! general {
        ($($field:ident $name:literal),*) => { $(add($name, regs.$field);)* };
    }
    general!(
        rip "RIP", rflags "RFLAGS", rax "RAX", rbx "RBX", rcx "RCX", rdx "RDX", rsi "RSI", rdi "RDI",
        rsp "RSP", rbp "RBP", r8 "R8", r9 "R9", r10 "R10", r11 "R11", r12 "R12", r13 "R13", r14 "R14",
        r15 "R15"
    );
    let sregs = vcpu.sregs()?;
    for (name, segment) in [
        ("CS", &sregs.cs),
        ("SS", &sregs.ss),
        ("DS", &sregs.ds),
        ("ES", &sregs.es),
        ("FS", &sregs.fs),
        ("GS", &sregs.gs),
        ("TR", &sregs.tr),
        ("LDTR", &sregs.ldt),
    ] {
        add(name, segment.selector.into());
        add(&format!("{name}.base"), segment.base);
        add(&format!("{name}.limit"), segment.limit.into());
        add(&format!("{name}.attributes"), attributes(segment));
    }
    for (name, kvm_dtable { base, limit, .. }) in [("GDTR", sregs.gdt), ("IDTR", sregs.idt)] {
        add(&format!("{name}.base"), base);
        add(&format!("{name}.limit"), limit.into());
    }
    for (name, value) in [
        ("CR0", sregs.cr0),
        ("CR2", sregs.cr2),
        ("CR3", sregs.cr3),
        ("CR4", sregs.cr4),
        ("CR8", sregs.cr8),
        ("EFER", sregs.efer),
    ] {
        add(name, value);
    }
    let debug = vcpu.debug_regs()?;
    for (number, value) in debug.db.into_iter().enumerate() {
        add(&format!("DR{number}"), value);
    }
    add("DR6", debug.dr6);
    add("DR7", debug.dr7);
    let indices: Vec<u32> = machine.msr_indices().iter().copied().filter(|index| *index != TSC).collect();
    for msr in vcpu.msrs(&indices)? {
        match msr_name(msr.index) {
            Some(name) => add(name, msr.value),
            None => add(&format!("MSR {:#x}", msr.index), msr.value),
        }
    }
    Ok(list)
}

/// A segment's attributes as they lie in a descriptor's second doubleword, from bit 8 on, and
/// "unusable" in bit 16 as in a VMCS.
fn attributes(segment: &kvm_segment) -> u64 {
    let bits = [
        (segment.s, 4),
        (segment.dpl & 3, 5),
        (segment.present, 7),
        (segment.avl, 12),
        (segment.l, 13),
        (segment.db, 14),
        (segment.g, 15),
        (segment.unusable, 16),
    ];
    bits.into_iter().fold(u64::from(segment.type_ & 0xF), |all, (field, at)| all | u64::from(field) << at)
}

/// The MSRs that have a name here.
const NAMED_MSRS: [(u32, &str); 17] = [
    (msr::STAR, "STAR"),
    (msr::LSTAR, "LSTAR"),
    (msr::CSTAR, "CSTAR"),
    (msr::FMASK, "FMASK"),
    (msr::KERNEL_GS_BASE, "KERNEL_GS_BASE"),
    (msr::XFD, "XFD"),
    (msr::XFD_ERR, "XFD_ERR"),
    (msr::FRED_RSP0, "FRED_RSP0"),
    (msr::FRED_RSP1, "FRED_RSP1"),
    (msr::FRED_RSP2, "FRED_RSP2"),
    (msr::FRED_RSP3, "FRED_RSP3"),
    (msr::FRED_STKLVLS, "FRED_STKLVLS"),
    (msr::FRED_CONFIG, "FRED_CONFIG"),
    (0x174, "SYSENTER_CS"),
    (0x175, "SYSENTER_ESP"),
    (0x176, "SYSENTER_EIP"),
    (0x277, "PAT"),
];

fn msr_name(index: u32) -> Option<&'static str> {
    NAMED_MSRS.iter().find(|(number, _)| *number == index).map(|(_, name)| *name)
}

/// Whether a landmark can hold a value of this name.
pub fn is_named(name: &str) -> bool {
    const NAMES: [&str; 38] = [
        "RIP",
        "RFLAGS",
        "RAX",
        "RBX",
        "RCX",
        "RDX",
        "RSI",
        "RDI",
        "RSP",
        "RBP",
        "R8",
        "R9",
        "R10",
        "R11",
        "R12",
        "R13",
        "R14",
        "R15",
        "CR0",
        "CR2",
        "CR3",
        "CR4",
        "CR8",
        "EFER",
        "DR0",
        "DR1",
        "DR2",
        "DR3",
        "DR6",
        "DR7",
        "entries",
        "verdict",
        "compared fields",
        "mismatches",
        "GDTR.base",
        "GDTR.limit",
        "IDTR.base",
        "IDTR.limit",
    ];
    const SEGMENTS: [&str; 8] = ["CS", "SS", "DS", "ES", "FS", "GS", "TR", "LDTR"];
    let (segment, part) = name.split_once('.').unwrap_or((name, "selector"));
    NAMES.contains(&name)
        || SEGMENTS.contains(&segment) && ["selector", "base", "limit", "attributes"].contains(&part)
        || NAMED_MSRS.iter().any(|(_, msr)| *msr == name)
        || name.starts_with("MSR 0x")
}
