//! Results that processors of both vendors are known or said to have, judged on any machine.

use crate::built::Built;
use crate::host::{Host, Make};
use crate::judge::{Verdict, judge, report};
use crate::machine::{Machine, Stopped};
use crate::row::{On, Only, bits};
use crate::state::{CODE, DATA, DATA_SIZE, STACK, State};
use crate::undefined::{AF, CF, OF, PF, SF, ZF};

const TF: u64 = 1 << 8;
const DF: u64 = 1 << 10;
const RF: u64 = 1 << 16;

/// An instruction and what it starts from: the middle of the code and of the stack.
fn case(bytes: &[u8], set: impl FnOnce(&mut State)) -> Built {
    let mut before = State::new(1);
    before.rip = CODE + 0x800;
    before.gpr[4] = STACK + 0x800;
    set(&mut before);
    Built::of(bytes, before).unwrap()
}

fn model(host: &Host, built: &Built) -> Result<State, Stopped> {
    Machine::new(crate::vendor(host)).run(&built.case)
}

/// The judgement where the processor did what the model does but for a change: the parts that differ.
fn differing(host: &Host, built: &Built, change: impl FnOnce(&mut State)) -> u64 {
    let model = model(host, built);
    let mut native = model.as_ref().unwrap().clone();
    change(&mut native);
    match judge(host, built, &model, &native) {
        Verdict::Agreed { .. } => 0,
        Verdict::Different(_, parts) => parts,
    }
}

fn intel() -> Host {
    Host::of(Make::Intel)
}

fn amd() -> Host {
    Host::of(Make::Amd)
}

/// REPNE SCASB of 11 bytes backwards, AL 0 and the first byte 0x8E: CF, AF and PF.
fn interrupted() -> Built {
    case(&[0xF2, 0xAE], |state| {
        state.rflags |= TF | DF;
        (state.gpr[0], state.gpr[1], state.gpr[7]) = (0, 11, DATA + 0x800);
        state.put(DATA + 0x800, &[0x8E]);
    })
}

#[test]
fn a_single_step_of_a_repeated_comparison_is_each_vendors() {
    let built = interrupted();
    let status = CF | AF | PF;
    let flags = |host: &Host| model(host, &built).unwrap().rflags & 0xFFFF;
    assert_eq!((flags(&intel()) & 0xDD5, flags(&amd()) & 0xDD5), (TF | DF, TF | DF | status));
    // What an Intel processor was seen to leave, 0x500 where the model then had 0x515; and the reverse.
    let leaves = |flags: u64| move |native: &mut State| native.rflags = native.rflags & !0xDD5 | flags;
    assert_eq!(differing(&intel(), &built, leaves(TF | DF)), 0);
    assert_eq!(differing(&intel(), &built, leaves(TF | DF | status)), status);
    assert_eq!(differing(&amd(), &built, leaves(TF | DF | status)), 0);
    assert_eq!(differing(&amd(), &built, leaves(TF | DF)), status);
    // A third vendor may do either.
    assert_eq!(differing(&Host::of(Make::Other), &built, leaves(TF | DF | status)), 0);
}

#[test]
fn rf_between_two_iterations_is_intels_on_hardware() {
    let built = interrupted();
    let clear = |native: &mut State| native.rflags &= !RF;
    assert_eq!(differing(&intel().bare(), &built, clear), RF);
    assert_eq!(differing(&intel(), &built, clear), 0);
    assert_eq!(differing(&amd().bare(), &built, clear), 0);
    // After the last iteration, or without REP, it is clear on all.
    let last = case(&[0xAE], |state| {
        state.rflags |= TF;
        state.gpr[7] = DATA;
    });
    for host in [intel(), amd()] {
        assert_eq!(differing(&host, &last, |native| native.rflags |= RF), RF);
    }
}

#[test]
fn flags_that_the_manuals_leave_undefined() {
    let and = case(&[0x48, 0x21, 0xD8], |_| ());
    let shift = case(&[0xC1, 0xE0, 0x03], |state| state.gpr[0] = 5);
    let by_one = case(&[0xC1, 0xE0, 0x01], |state| state.gpr[0] = 5);
    let by_none = case(&[0xC1, 0xE0, 0x20], |state| state.gpr[0] = 5);
    let divide = case(&[0x48, 0xF7, 0xF3], |state| (state.gpr[2], state.gpr[3]) = (0, 7));
    let by_zero = case(&[0x48, 0xF7, 0xF3], |state| state.gpr[3] = 0);
    for (built, undefined) in [
        (&and, AF),
        (&shift, AF | OF),
        (&by_one, AF),
        (&by_none, 0),
        (&divide, CF | PF | AF | ZF | SF | OF),
        // A fault leaves the state as it was.
        (&by_zero, 0),
    ] {
        for host in [intel(), amd()] {
            let all = CF | PF | AF | ZF | SF | OF;
            let found = differing(&host, built, |native| native.rflags ^= all);
            assert_eq!(found, all & !undefined, "{}, {host}", built.instruction);
        }
    }
}

#[test]
fn results_that_only_one_manual_leaves_open() {
    // BSF EAX, EBX of zero: AMD's manual keeps the destination.
    let scan = case(&[0x0F, 0xBC, 0xC3], |state| (state.gpr[0], state.gpr[3]) = (0x1234_5678_9ABC, 0));
    let upper = bits::upper(0);
    let cleared = |native: &mut State| native.gpr[0] &= 0xFFFF_FFFF;
    assert_eq!((differing(&intel(), &scan, cleared), differing(&amd(), &scan, cleared)), (0, upper));
    // CMPXCHG ECX, EBX that fails: whether ECX is written.
    let exchange = case(&[0x0F, 0xB1, 0xD9], |state| (state.gpr[0], state.gpr[1]) = (1, 0x1234_5678_9ABC));
    let upper = bits::upper(1);
    let cleared = |native: &mut State| native.gpr[1] &= 0xFFFF_FFFF;
    assert_eq!((differing(&intel(), &exchange, cleared), differing(&amd(), &exchange, cleared)), (0, upper));
    // REP MOVSB with ECX, which is 0 and RCX is not.
    let none = case(&[0xF3, 0x67, 0xA4], |state| {
        (state.gpr[1], state.gpr[6], state.gpr[7]) = (7 << 32, DATA | 5 << 32, DATA | 5 << 32);
    });
    let quirk = |native: &mut State| {
        native.gpr[1] = 0;
        (native.gpr[6], native.gpr[7]) = (DATA, DATA);
    };
    assert_eq!(differing(&intel(), &none, quirk), 0);
    assert_ne!(differing(&amd(), &none, quirk), 0);
    // With ECX not 0 the lower halves must be equal.
    assert_ne!(differing(&intel(), &none, |native| native.gpr[6] ^= 1), 0);
}

#[test]
fn what_is_underneath_counts() {
    let int1 = case(&[0xF1], |_| ());
    let at = |native: &mut State| native.rip -= 1;
    for host in [intel(), amd()] {
        assert_eq!(differing(&host, &int1, at), 0);
        assert_eq!(differing(&host.clone().bare(), &int1, at), bits::RIP);
        assert_ne!(differing(&host, &int1, |native| native.vector = 6), 0, "the exception is still compared");
    }
    // JMP RAX to an address of 57 bits: the model's #GP, where five-level paging jumps and then faults.
    let jump = case(&[0xFF, 0xE0], |state| state.gpr[0] = 1 << 50);
    let jumped = |native: &mut State| {
        (native.rip, native.vector, native.error, native.address) = (1 << 50, 14, 0x14, 1 << 50);
    };
    let four_levels = Host { la57: false, ..intel() };
    assert_eq!(differing(&intel(), &jump, jumped), 0);
    assert_ne!(differing(&four_levels, &jump, jumped), 0);
    // MOV RAX, [RBX] of a kernel's address.
    let read = case(&[0x48, 0x8B, 0x03], |state| state.gpr[3] = 0xFFFF_8000_0000_1000);
    let refused = |native: &mut State| (native.vector, native.error, native.address) = (13, 0, 0);
    assert_eq!(differing(&intel(), &read, refused), 0);
    assert_ne!(differing(&Host { lass: false, ..intel() }, &read, refused), 0);
}

#[test]
fn a_row_can_be_of_one_model_alone() {
    let on = On { makes: &[Make::Intel], models: &[(6, 0x8F)], only: Only::Always };
    assert!(on.holds(&intel()) && !on.holds(&amd()));
    assert!(!on.holds(&Host { model: 0x55, ..intel() }) && !on.holds(&Host { family: 0x13, ..intel() }));
}

#[test]
fn a_bit_beside_what_is_not_mapped() {
    let end = DATA + DATA_SIZE as u64;
    // BT [RBX], EAX of the last byte's bit: the byte is there, the doubleword is not.
    let bit = |at: u64| case(&[0x0F, 0xA3, 0x03], |state| (state.gpr[0], state.gpr[3]) = (1, at));
    for host in [intel(), amd()] {
        let byte_alone = |native: &mut State| (native.vector, native.error, native.address) = (3, 0, 0);
        assert_eq!(differing(&host, &bit(end - 1), byte_alone), 0);
        assert_eq!(differing(&host, &bit(end - 4), |native| native.rflags ^= CF), CF);
    }
}

#[test]
fn an_unknown_difference_is_reported_in_full() {
    let host = Host { microcode: "0x2b000590".to_owned(), ..intel() };
    let built = interrupted();
    let model = model(&host, &built);
    let mut native = model.as_ref().unwrap().clone();
    native.rflags |= CF | AF | PF;
    let Verdict::Different(text, parts) = judge(&host, &built, &model, &native) else {
        panic!("known");
    };
    let report = report(&host, &built, &model, &native, (&text, parts));
    for part in [
        "repne scasb",
        "([f2, ae]): model against processor: RFLAGS 0x10500 instead of 0x10515",
        "before:    RIP 100800, RFLAGS 702",
        "model:     RIP 100800, RFLAGS 10702",
        "processor: RIP 100800, RFLAGS 10717",
        "this processor: GenuineIntel family 0x6 model 0x8f stepping 0x8, microcode 0x2b000590, \
         under the hypervisor \"KVMKVMKVM\"",
        "of: &[M::Scasb],",
        "ended: Ended::BetweenIterations,",
        "on: On { makes: &[Make::Intel], models: &[(0x6, 0x8f)], only: Only::Always },",
        "parts: &[Part::Flags(0x15)],",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
}
