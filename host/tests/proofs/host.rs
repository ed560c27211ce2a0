//! What the host does to the guest: it injects, and it rewrites registers.

use crate::case_script::{CaseScript, DISTURBANCES_AT, completed, input, pending};
use crate::fake::{State, Step};
use crate::{Conditions, Row, after, check};
use fred::event::vector;
use midflight::report::outcome::Outcome::{Fail, Pass};
use protocol::disturbance::{Disturbance, Phase, Register};
use protocol::mailbox::Mailbox;
use protocol::note::INTERRUPT;
use vm::Exit;
use zerocopy::IntoBytes;

#[test]
fn what_a_case_asks_for_is_injected() {
    let rows = [
        Row {
            name: "an NMI at Armed",
            id: "nmi/nmi:fred:none",
            script: |of| after(of, [of.passed().only_if(|state| state.nmis == 1)]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "from boot",
            id: "nmi/nmi:fred:cold",
            script: |of| after(of, [of.passed().only_if(|state| state.nmis == 1)]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an NMI at Armed, and one at the cut",
            id: "nmi/nmi-then-nmi:fred:block@frame:resume",
            script: |of| {
                let blocked = || of.blocked().only_if(|state| state.nmis == 1);
                after(of, [blocked(), blocked(), of.passed().only_if(|state| state.nmis == 2)])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "NMIs blocked",
            id: "nmi/blocked-after-pf:fred:cancel:resume",
            script: |of| {
                let blocked = of.abandoned().only_if(|state| state.events.nmi.masked == 1);
                after(of, [blocked, of.passed().only_if(|state| state.nmis == 1)])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an interrupt, as soon as the guest can take it",
            id: "nmi/interrupt:idt:none",
            script: |of| {
                let window = Step::returns(Exit::InterruptWindow).only_if(|state| state.window_requested);
                let done =
                    of.passed().only_if(|state| state.interrupts == [INTERRUPT] && !state.window_requested);
                after(of, [input().only_if(|state| state.interrupts.is_empty()), window, done])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "an interrupt that the guest never can take",
            id: "nmi/interrupt:idt:none",
            script: |of| after(of, [of.passed().only_if(|state| state.interrupts.is_empty())]),
            outcome: Pass,
            words: "",
        },
        Row {
            name: "a window that nobody has asked for",
            id: "pf/read-unmapped:idt:none",
            script: |of| {
                after(of, [Step::returns(Exit::InterruptWindow).only_if(|state| !state.window_requested)])
            },
            outcome: Fail,
            words: "KVM_EXIT_IRQ_WINDOW_OPEN, which was not requested",
        },
        Row {
            name: "an interrupt at the cut",
            id: "nmi/interrupt-after-pf:fred:cancel:resume",
            script: |of| {
                let abandoned = of.abandoned().only_if(|state| !state.window_requested);
                let window = Step::returns(Exit::InterruptWindow).only_if(|state| state.window_requested);
                after(of, [abandoned, window, of.passed().only_if(|state| state.interrupts == [INTERRUPT])])
            },
            outcome: Pass,
            words: "",
        },
    ];
    check(&rows, &Conditions::default());
}

/// Whether the host has rewritten the registers, and told the judge that the event was in `phase`.
fn disturbed(of: &CaseScript<'_>, phase: Phase) -> impl FnOnce(&State) -> bool + use<> {
    disturbed_with(of, phase, 1 << 18)
}

/// The same with the value that IA32_XFD_ERR gets.
fn disturbed_with(of: &CaseScript<'_>, phase: Phase, xfd_err: u64) -> impl FnOnce(&State) -> bool + use<> {
    let count_at = of.image.mailbox + DISTURBANCES_AT;
    let list_at = (of.image.mailbox + std::mem::offset_of!(Mailbox, disturbances) as u64) as usize;
    let told = [
        Disturbance::new(Register::Cr2, phase, 0x5A5A_DEAD_B000),
        Disturbance::new(Register::Dr6, phase, 0xFFFF_AFF4),
        Disturbance::new(Register::XfdErr, Phase::After, xfd_err),
    ];
    move |state| {
        let bytes = told.as_bytes();
        (state.sregs.cr2, state.debug_regs.dr6) == (0x5A5A_DEAD_B000, 0xFFFF_AFF4)
            // An interrupt in flight is not queued a second time.
            && state.sregs.interrupt_bitmap == [0; 4]
            && state.msrs.get(&fred::msr::XFD_ERR) == Some(&xfd_err)
            && state.word(count_at) == 3
            && &state.memory[list_at..list_at + bytes.len()] == bytes
    }
}

#[test]
fn registers_are_rewritten_and_the_judge_is_told() {
    let rows = [
        Row {
            name: "an event in flight has had its effects",
            id: "pf/read-unmapped:fred:block@frame:disturb",
            script: |of| {
                let shown = of.blocked().with(|state| state.sregs.interrupt_bitmap[0] = 1 << 31);
                let done = of.passed().only_if(disturbed(of, Phase::After));
                after(of, [shown, of.blocked(), done])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "and so has one that still shows its payload",
            id: "pf/read-unmapped:fred:block@frame:disturb",
            script: |of| {
                let blocked = || of.blocked().with(|state| state.events.exception_has_payload = 1);
                let done = of.passed().only_if(disturbed(of, Phase::After));
                after(of, [blocked(), blocked(), done])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "one that waits with its payload has not",
            id: "db/step-over-in:fred:io:disturb",
            script: |of| {
                let completed = completed().with(|state| {
                    state.events = pending(vector::DB);
                    state.events.exception_has_payload = 1;
                });
                after(of, [input(), completed, of.passed().only_if(disturbed(of, Phase::Before))])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "one that waits without a payload has",
            id: "db/step-over-in:fred:io:disturb",
            script: |of| {
                let completed = completed().with(|state| state.events = pending(vector::DB));
                after(of, [input(), completed, of.passed().only_if(disturbed(of, Phase::After))])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "nothing was rewritten, and the judge is told so",
            id: "pf/read-unmapped:fred:block@frame:resume",
            script: |of| {
                let at = of.image.mailbox + DISTURBANCES_AT;
                let done = of.passed().only_if(move |state| state.sregs.cr2 == 0 && state.word(at) == 0);
                after(of, [of.blocked(), of.blocked(), done])
            },
            outcome: Pass,
            words: "",
        },
    ];
    check(&rows, &Conditions::default());
    let set = Conditions {
        fresh: |state| {
            state.msrs.insert(fred::msr::XFD_ERR, 1 << 18);
        },
        ..Conditions::default()
    };
    let rows = [Row {
        name: "IA32_XFD_ERR, which is set, is cleared",
        id: "pf/read-unmapped:fred:block@frame:disturb",
        script: |of| {
            let done = of.passed().only_if(disturbed_with(of, Phase::After, 0));
            after(of, [of.blocked(), of.blocked(), done])
        },
        outcome: Pass,
        words: "",
    }];
    check(&rows, &set);
}
