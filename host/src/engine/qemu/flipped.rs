//! A filter between two QEMUs that flips a bit of what one has saved and the other loads: each kind of field that an event
//! in flight is saved in, and each kind that holds one back, is red so; without the flip the same guest is green.

use super::attempt;
use super::guests::Guests;
use crate::engine::RunOptions;
use crate::image::{DeliveryMode, Image};
use crate::machines::qemu::{Accelerator, Qemu, TRY, TriedQemu};
use crate::qemu::saved::{Saved, SavedError};
use crate::report::Outcome;
use crate::scenario::Scenario;
use fred::debug::Dr6;
use std::cell::Cell;
use std::time::Duration;

/// What is done to a guest on its way. Fails where its stream has no such field.
type Filter = fn(&mut Saved) -> Result<(), SavedError>;

/// A guest that migrates and passes.
struct Sound {
    id: &'static str,
    /// What is done to it first: the same event in other fields.
    as_saved: Filter,
    cuts: u32,
}

const fn sound(id: &'static str) -> Sound {
    Sound { id, as_saved: |_| Ok(()), cuts: 1 }
}

const FAULT: Sound = sound("ud/ud2:idt:cancel:migrate");
const TRAP: Sound = sound("db/single-step:idt:cancel:migrate");
const PAGE_FAULT: Sound = sound("pf/read-unmapped:idt:cancel:migrate");
/// Its guest is saved where it has come to.
const AGAIN: Sound = Sound { cuts: 4, ..sound("ud/ud2:idt:cancel:migrate+again=3") };
/// Its error code is not 0.
const WITH_CODE: Sound = sound("gp/no-ldt:idt:cancel:migrate");
/// Its payload is IA32_XFD_ERR.
const XFD: Sound = sound("nm/tilezero-xfd:idt:cancel:migrate");
/// As a QEMU saves a #PF that KVM has not injected yet: CR2 is to be written.
const PENDING_FAULT: Sound = Sound {
    as_saved: |saved| {
        let address = saved.get("env.cr[2]", 0).ok_or(SavedError::NoField("env.cr[2]"))?;
        saved.set("env.cr[2]", 0, 0)?;
        pend(saved, address)
    },
    ..PAGE_FAULT
};
/// The same of a #DB: DR6 is to be written.
const PENDING_TRAP: Sound = Sound {
    as_saved: |saved| {
        saved.set("env.dr", 6, Dr6::RESET.0)?;
        pend(saved, Dr6::BS)
    },
    ..TRAP
};
/// On TCG, where no exception is saved in flight: a guest at `Ready`.
const ON_TCG: Sound = Sound { cuts: 0, ..sound("soft/int-n:idt:none") };

/// The exception that is saved as injected is pending, with a payload: `vmstate_exception_info` of target/i386/machine.c.
fn pend(saved: &mut Saved, payload: u64) -> Result<(), SavedError> {
    saved.add_subsection(
        "cpu/exception_info",
        &[
            ("env.exception_pending", vec![1]),
            ("env.exception_injected", vec![0]),
            ("env.exception_has_payload", vec![1]),
            ("env.exception_payload", payload.to_be_bytes().to_vec()),
        ],
    );
    Ok(())
}

/// What is flipped, in which guest, and how.
const FLIPPED: [(&str, Sound, Filter); 25] = [
    ("another vector", FAULT, |saved| flip(saved, "env.exception_nr", 0)),
    // The instruction of a fault would raise it again.
    ("no event", TRAP, |saved| saved.set("env.exception_nr", 0, u64::MAX)),
    ("an error code that it has not", FAULT, |saved| flip(saved, "env.has_error_code", 0)),
    ("no error code", PAGE_FAULT, |saved| flip(saved, "env.has_error_code", 0)),
    ("the error code", WITH_CODE, |saved| flip(saved, "env.error_code", 3)),
    ("RF", FAULT, |saved| flip(saved, "env.eflags", 16)),
    ("the payload of #PF", PAGE_FAULT, |saved| flip(saved, "env.cr[2]", 12)),
    ("the payload of #DB", TRAP, |saved| flip_in(saved, "env.dr", 6, 14)),
    ("the payload of #NM", XFD, |saved| flip(saved, "env.msr_xfd_err", 18)),
    ("DR7", TRAP, |saved| flip_in(saved, "env.dr", 7, 0)),
    ("a pending #PF injected", PENDING_FAULT, |saved| {
        flip(saved, "env.exception_pending", 0)?;
        flip(saved, "env.exception_injected", 0)
    }),
    ("a pending #DB is none", PENDING_TRAP, |saved| saved.set("env.exception_nr", 0, u64::MAX)),
    ("a pending #PF without a payload", PENDING_FAULT, |saved| flip(saved, "env.exception_has_payload", 0)),
    ("a pending #PF's payload", PENDING_FAULT, |saved| flip(saved, "env.exception_payload", 12)),
    ("a pending #DB without a payload", PENDING_TRAP, |saved| flip(saved, "env.exception_has_payload", 0)),
    ("a pending #DB's payload", PENDING_TRAP, |saved| flip(saved, "env.exception_payload", 14)),
    ("an interrupt", AGAIN, |saved| saved.set("env.interrupt_injected", 0, 0x20)),
    ("an NMI injected", AGAIN, |saved| flip(saved, "env.nmi_injected", 0)),
    ("an NMI pending", AGAIN, |saved| flip(saved, "env.nmi_pending", 0)),
    ("an NMI that waits in QEMU", AGAIN, |saved| flip(saved, "interrupt_request", 9)),
    ("NMIs blocked", AGAIN, |saved| flip(saved, "env.hflags2", 2)),
    ("the interrupt shadow", AGAIN, |saved| flip(saved, "env.hflags", 3)),
    ("HLT", FAULT, |saved| saved.set("env.mp_state", 0, KVM_MP_STATE_HALTED)),
    ("waiting for SIPI", FAULT, |saved| saved.set("env.mp_state", 0, KVM_MP_STATE_UNINITIALIZED)),
    ("a triple fault", FAULT, |saved| {
        saved.add_subsection("cpu/triple_fault", &[("env.triple_fault_pending", vec![1])]);
        Ok(())
    }),
];

/// What a KVM may take without effect. A flip of one of these is red, or it is named.
const MAY_BE_DROPPED: [(&str, Sound, Filter); 4] = [
    ("an SMI (QEMU 7.2 takes it without effect)", AGAIN, |saved| flip(saved, "interrupt_request", 6)),
    ("system-management mode (no effect seen)", AGAIN, |saved| flip(saved, "env.hflags", 19)),
    ("an interrupt of INT n (KVM_GET_VCPU_EVENTS shows none)", AGAIN, |saved| {
        flip(saved, "env.soft_interrupt", 0)?;
        saved.set("env.interrupt_injected", 0, 0x20)
    }),
    ("the vector of SIPI (KVM_GET_VCPU_EVENTS has 0 always)", AGAIN, |saved| {
        flip(saved, "env.sipi_vector", 0)
    }),
];

/// On TCG an event in flight is an NMI that waits in QEMU, and HLT holds others back.
const FLIPPED_ON_TCG: [(&str, Sound, Filter); 2] = [
    ("HLT", ON_TCG, |saved| flip(saved, "halted", 0)),
    ("an NMI", ON_TCG, |saved| flip(saved, "interrupt_request", 9)),
];

/// `linux/kvm.h`.
const KVM_MP_STATE_UNINITIALIZED: u64 = 1;
const KVM_MP_STATE_HALTED: u64 = 3;

fn flip_in(saved: &mut Saved, field: &'static str, index: usize, bit: u32) -> Result<(), SavedError> {
    let value = saved.get(field, index).ok_or(SavedError::NoField(field))?;
    saved.set(field, index, value ^ 1 << bit)
}

fn flip(saved: &mut Saved, field: &'static str, bit: u32) -> Result<(), SavedError> {
    flip_in(saved, field, 0, bit)
}

/// How long a guest may take, of its time on a processor: one whose bit is flipped may run for ever.
const LIMIT: Duration = Duration::from_secs(10);

/// A QEMU that guests migrate in.
struct Filtered {
    qemu: TriedQemu,
    images: Vec<Image>,
}

impl Filtered {
    /// `None` where no QEMU has this accelerator.
    fn new(accelerator: Accelerator) -> Option<Self> {
        let qemu = Qemu { accelerators: vec![accelerator], ..Qemu::default() };
        let (Ok(qemu), Ok(images)) = (qemu.tried(TRY), crate::images::load(&[])) else {
            eprintln!("skipped, nothing tested: no QEMU runs guests on {accelerator} here");
            return None;
        };
        Some(Self { qemu, images })
    }

    /// The outcome and the cuts of a scenario, and what its stream lacks of the fields that are written.
    fn run(&self, sound: &Sound, filter: Filter) -> (Outcome, u32, Option<SavedError>) {
        let scenario: Scenario = sound.id.parse().unwrap();
        let image = self.images.iter().find(|image| image.name == scenario.image).unwrap();
        let lacks = Cell::new(None);
        let both = |saved: &mut Saved| {
            if let Err(error) = (sound.as_saved)(saved).and_then(|()| filter(saved)) {
                lacks.set(Some(error));
            }
        };
        let mut guests = Guests::new(&self.qemu, image, DeliveryMode::Idt);
        guests.filter = &both;
        let options = RunOptions::within(LIMIT);
        let report = attempt::run(&mut guests, "qemu", &scenario, &options);
        (report.outcome, report.cuts, lacks.take())
    }

    /// Every one is red, or named: where this QEMU or this processor has none of the kind.
    fn are_red(&self, flipped: &[(&str, Sound, Filter)], may_be_dropped: bool) {
        let (mut red, mut wrong) = (0, Vec::new());
        for (what, guest, filter) in flipped {
            let (outcome, cuts, _) = self.run(guest, |_| Ok(()));
            if outcome == Outcome::Skip {
                eprintln!("not flipped on {}: {what}: {} is skipped", self.qemu.version, guest.id);
                continue;
            }
            match self.run(guest, *filter) {
                (_, _, Some(lacks)) => eprintln!("not flipped on {}: {what}: {lacks}", self.qemu.version),
                (Outcome::Fail | Outcome::Error, _, None)
                    if (outcome, cuts) == (Outcome::Pass, guest.cuts) =>
                {
                    red += 1;
                }
                (Outcome::Pass, _, None) if may_be_dropped => {
                    eprintln!("flipped on {}, without effect: {what}", self.qemu.version);
                }
                (flipped, _, None) => wrong.push(format!("{what}: {outcome:?}, flipped {flipped:?}")),
            }
        }
        eprintln!("{}: {red} of {} flipped bits are red", self.qemu.version, flipped.len());
        assert_eq!(wrong, Vec::<String>::new());
    }
}

#[test]
fn a_bit_that_is_flipped_on_the_way_is_red() {
    if let Some(filtered) = Filtered::new(Accelerator::Kvm) {
        filtered.are_red(&FLIPPED, false);
        filtered.are_red(&MAY_BE_DROPPED, true);
    }
}

#[test]
fn a_bit_that_is_flipped_on_the_way_is_red_on_tcg() {
    if let Some(filtered) = Filtered::new(Accelerator::Tcg) {
        filtered.are_red(&FLIPPED_ON_TCG, false);
    }
}
