//! The state of a guest each time it rings its doorbell.

use crate::engine::runner::{OnSeen, Runner};
use crate::image::Image;
use crate::report::{MailboxField, Report, Seen};
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
use vm::state::Field;
use vm::state::field::{Register, Segment, SegmentPart, Table, TablePart};
use vm::{Machine, Vcpu, VcpuError};
use zerocopy::{FromBytes, IntoBytes};

/// Everything that was seen of one case on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// One for each doorbell, as they rang.
    pub observations: Vec<Observation>,
    /// The report of `midflight run` for the same scenario.
    pub report: Report,
}

/// A guest whose doorbell has rung; the OUT is completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which doorbell: its value.
    pub doorbell: u32,
    /// Every register that both machines have.
    pub registers: Vec<(Field, u64)>,
    /// How often a handler was entered, then what the judge says.
    pub mailbox: Vec<(MailboxField, u64)>,
    /// The captured deliveries: the quadwords of [`Delivery`].
    pub deliveries: Vec<Vec<u64>>,
}

/// Size of a [`Delivery`] in quadwords.
pub const DELIVERY_WORDS: usize = size_of::<Delivery>() / 8;

/// The time that has passed is not compared.
const TSC: u32 = 0x10;

/// Runs a scenario and looks at the guest at each doorbell.
pub fn observe(
    machine: &dyn Machine,
    image: &Image,
    scenario: &Scenario,
    timeout: Duration,
    on_seen: Option<OnSeen<'_>>,
) -> Observations {
    let observations = RefCell::new(Vec::new());
    let mut runner = Runner::new(machine, None, timeout);
    runner.on_seen = on_seen;
    runner.on_doorbell = Some(Box::new(|doorbell, session| {
        observations.borrow_mut().push(Observation::at(doorbell, session, machine)?);
        Ok(())
    }));
    let report = runner.run(image, scenario);
    drop(runner);
    Observations { observations: observations.into_inner(), report }
}

impl Observation {
    /// Which doorbell has rung.
    pub fn when(&self) -> Option<Doorbell> {
        Doorbell::decode(self.doorbell)
    }

    /// Everything in it that is one number, captured deliveries left out.
    pub fn numbers(&self) -> impl Iterator<Item = (Seen, u64)> {
        let of_mailbox = self.mailbox.iter().map(|(field, value)| (Seen::Mailbox(*field), *value));
        of_mailbox.chain(self.registers.iter().map(|(field, value)| (Seen::Register(*field), *value)))
    }

    fn at(doorbell: Doorbell, session: &mut Session<'_>, machine: &dyn Machine) -> Result<Self, VcpuError> {
        session.complete_io()?;
        let mailbox = session.mailbox()?;
        let captured = (mailbox.entries as usize).min(DELIVERIES);
        Ok(Self {
            doorbell: doorbell.encode(),
            registers: registers(session.vcpu.as_mut(), machine)?,
            mailbox: vec![
                (MailboxField::Entries, mailbox.entries.into()),
                (MailboxField::Verdict, mailbox.verdict.into()),
                (MailboxField::Compared, mailbox.compared.into()),
                (MailboxField::Mismatches, mailbox.mismatch_count.into()),
            ],
            deliveries: mailbox.deliveries[..captured].iter().map(to_words).collect(),
        })
    }
}

fn to_words(delivery: &Delivery) -> Vec<u64> {
    let (words, _) = delivery.as_bytes().as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// The delivery with these quadwords.
pub fn delivery(words: &[u64]) -> Delivery {
    Delivery::read_from_bytes(words.as_bytes()).unwrap_or_default()
}

fn registers(vcpu: &mut dyn Vcpu, machine: &dyn Machine) -> Result<Vec<(Field, u64)>, VcpuError> {
    let regs = vcpu.regs()?;
    let mut list: Vec<(Field, u64)> =
        Register::GENERAL.iter().map(|(register, of)| (Field::from(*register), of(&regs))).collect();
    let sregs = vcpu.sregs()?;
    for (segment, of) in [
        (Segment::Cs, &sregs.cs),
        (Segment::Ss, &sregs.ss),
        (Segment::Ds, &sregs.ds),
        (Segment::Es, &sregs.es),
        (Segment::Fs, &sregs.fs),
        (Segment::Gs, &sregs.gs),
        (Segment::Tr, &sregs.tr),
        (Segment::Ldtr, &sregs.ldt),
    ] {
        list.extend([
            (Field::Segment(segment, SegmentPart::Selector), of.selector.into()),
            (Field::Segment(segment, SegmentPart::Base), of.base),
            (Field::Segment(segment, SegmentPart::Limit), of.limit.into()),
            (Field::Segment(segment, SegmentPart::Attributes), attributes(of)),
        ]);
    }
    for (table, kvm_dtable { base, limit, .. }) in [(Table::Gdtr, sregs.gdt), (Table::Idtr, sregs.idt)] {
        list.extend([
            (Field::Table(table, TablePart::Base), base),
            (Field::Table(table, TablePart::Limit), limit.into()),
        ]);
    }
    list.extend([
        (Register::Cr0.into(), sregs.cr0),
        (Register::Cr2.into(), sregs.cr2),
        (Register::Cr3.into(), sregs.cr3),
        (Register::Cr4.into(), sregs.cr4),
        (Register::Cr8.into(), sregs.cr8),
        (Field::Msr(msr::EFER), sregs.efer),
    ]);
    let debug = vcpu.debug_regs()?;
    list.extend(Register::BREAKPOINTS.into_iter().map(Field::from).zip(debug.db));
    list.extend([(Register::Dr6.into(), debug.dr6), (Register::Dr7.into(), debug.dr7)]);
    let indices: Vec<u32> = machine.msr_indices().iter().copied().filter(|index| *index != TSC).collect();
    list.extend(vcpu.msrs(&indices)?.into_iter().map(|msr| (Field::Msr(msr.index), msr.value)));
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
