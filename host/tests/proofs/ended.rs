//! Guests and machines that stop where they should not: whose fault it is.

use crate::case_script::{CaseScript, ends, input, ring};
use crate::fake::Step;
use crate::{Conditions, Row, check};
use fred::control::CR4_FRED;
use midflight::report::outcome::Outcome::{Error, Fail, Pass};
use protocol::doorbell::Doorbell;
use protocol::mailbox::{Mailbox, Verdict};
use protocol::port;
use vm::{Exit, VcpuError};
use zerocopy::IntoBytes;

const ID: &str = "pf/read-unmapped:fred:none";

fn after<const N: usize>(mut begun: Vec<Step>, steps: [Step; N]) -> Vec<Step> {
    begun.extend(steps);
    begun
}

/// An image that ends itself in mid-case with `byte`, and says why in the mailbox.
fn ended_with(of: &CaseScript<'_>, byte: u8, reason: &[u8]) -> Vec<Step> {
    let mut mailbox = Mailbox::EMPTY;
    mailbox.reason[..reason.len()].copy_from_slice(reason);
    let at = of.image.mailbox;
    after(of.begun(), [ends(byte).with(move |state| state.write(at, mailbox.as_bytes()))])
}

fn failed(errno: i32) -> Step {
    Step::fails(VcpuError::Call { call: "KVM_RUN", errno, message: "no".to_owned(), advice: "" })
}

#[test]
fn a_doorbell_rings_in_turn() {
    let rows = [
        Row {
            name: "the guest is done before it is armed",
            id: ID,
            script: |of| vec![of.ready(), of.passed()],
            outcome: Fail,
            words: "the guest rang Done, but KVM_RUN had not returned at the Armed before it",
        },
        Row {
            name: "the guest cannot arm, and says why",
            id: ID,
            script: |of| vec![of.ready(), of.lost()],
            outcome: Fail,
            words: "lost",
        },
        Row {
            name: "another case is armed",
            id: ID,
            script: |of| vec![of.ready(), ring(Doorbell::Armed(of.index + 1))],
            outcome: Fail,
            words: "the guest rang Armed of case 1 out of turn",
        },
        Row {
            name: "another case is done",
            id: ID,
            script: |of| after(of.begun(), [ring(Doorbell::Done(of.index + 1))]),
            outcome: Fail,
            words: "the guest rang Done of case 1 out of turn",
        },
        Row {
            name: "the case is armed a second time",
            id: ID,
            script: |of| after(of.begun(), [of.armed()]),
            outcome: Fail,
            words: "the guest rang Armed of case 0 out of turn",
        },
        Row {
            name: "the image begins again",
            id: ID,
            script: |of| after(of.begun(), [of.ready()]),
            outcome: Fail,
            words: "the guest rang Ready out of turn",
        },
        Row {
            name: "an image that is armed before it is ready",
            id: ID,
            script: |of| vec![ring(Doorbell::Armed(of.index))],
            outcome: Fail,
            words: "the guest rang Armed of case 0 out of turn",
        },
        Row {
            name: "a value that says nothing, and another size",
            id: ID,
            script: |of| {
                let data = vec![1, 2, 3, 4];
                let nothing = Step::returns(Exit::IoOut { port: port::DOORBELL, size: 4, data });
                let done = Doorbell::Done(of.index).encode().to_le_bytes();
                let byte = Step::returns(Exit::IoOut { port: port::DOORBELL, size: 1, data: done.into() });
                after(of.begun(), [nothing, byte, of.passed()])
            },
            outcome: Pass,
            words: "",
        },
        Row {
            name: "the input port is read before the case is armed",
            id: ID,
            script: |of| vec![of.ready(), input()],
            outcome: Fail,
            words: "the guest read the input port out of turn",
        },
        Row {
            name: "the output port is written before the case is armed",
            id: ID,
            script: |of| {
                vec![of.ready(), Step::returns(Exit::IoOut { port: port::OUTPUT, size: 1, data: vec![0] })]
            },
            outcome: Fail,
            words: "the guest wrote to the output port out of turn",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn a_guest_that_ends_itself_has_no_verdict() {
    let rows = [
        Row {
            name: "as failed",
            id: ID,
            script: |of| ended_with(of, 0x11, b"vector 8 came"),
            outcome: Fail,
            words: "the image ended itself in the middle of a case, as failed: vector 8 came",
        },
        Row {
            name: "as passed",
            id: ID,
            script: |of| ended_with(of, 0x10, b""),
            outcome: Error,
            words: "the image ended itself in the middle of a case, as passed: ",
        },
        Row {
            name: "as skipped",
            id: ID,
            script: |of| ended_with(of, 0x13, b"needs fred"),
            outcome: Error,
            words: "the image ended itself in the middle of a case, as skipped: needs fred",
        },
        Row {
            name: "with a byte of nobody's, and a last line",
            id: ID,
            script: |of| {
                let line = b"one\npanicked".to_vec();
                let line = Step::returns(Exit::IoOut { port: port::COM1, size: 1, data: line });
                after(of.begun(), [line, ends(0x77)])
            },
            outcome: Error,
            words: "the image ended itself in the middle of a case, with the unknown byte 0x77: panicked",
        },
        Row {
            name: "in mid-cut, with a pass in the mailbox",
            id: "pf/read-unmapped:fred:block@frame:resume",
            script: |of| {
                let mut steps = ended_with(of, 0x10, b"");
                let mailbox =
                    Mailbox { verdict: Verdict::Pass as u32, entries: 1, compared: 60, ..Mailbox::EMPTY };
                let at = of.image.mailbox;
                let ended = steps.pop().into_iter();
                steps.extend(ended.map(|step| step.with(move |state| state.write(at, mailbox.as_bytes()))));
                steps
            },
            outcome: Error,
            words: "the image ended itself in the middle of a case, as passed: ",
        },
    ];
    check(&rows, &Conditions::default());
}

#[test]
fn an_exit_that_nobody_waited_for_is_the_machine_s_or_ours() {
    let rows = [
        Row {
            name: "KVM_RUN does not come back before the deadline",
            id: ID,
            script: |of| after(of.begun(), [Step::returns(Exit::Deadline)]),
            outcome: Error,
            words: "timeout: after 600 s the guest was still running, at pf.read-unmapped.act",
        },
        Row {
            name: "at boot",
            id: ID,
            script: |_| vec![Step::returns(Exit::Deadline)],
            outcome: Error,
            words: "timeout: after 600 s the guest was still running",
        },
        Row {
            name: "a triple fault",
            id: ID,
            script: |of| after(of.begun(), [Step::returns(Exit::Shutdown)]),
            outcome: Fail,
            words: "the guest was shut down, as by a triple fault (KVM_EXIT_SHUTDOWN), RIP at pf.read-unmapped.act",
        },
        Row {
            name: "a triple fault at boot",
            id: "pf/read-unmapped:fred:cold",
            script: |_| vec![Step::returns(Exit::Shutdown)],
            outcome: Fail,
            words: "the guest was shut down",
        },
        Row {
            name: "a signal of somebody else's",
            id: ID,
            script: |of| after(of.begun(), [Step::returns(Exit::Interrupted)]),
            outcome: Error,
            words: "KVM_RUN returned EINTR, and midflight had sent no signal",
        },
        Row {
            name: "a page that nobody has refused",
            id: ID,
            script: |of| after(of.begun(), [Step::returns(Exit::Fault { gpa: None })]),
            outcome: Fail,
            words: "KVM_RUN failed with EFAULT",
        },
        Row {
            name: "a refused entry, with what it was to be entered with",
            id: ID,
            script: |of| {
                let refused =
                    Exit::FailEntry { reason: 0x8000_0021, cpu: 3, set: vec!["KVM_SET_REGS".to_owned()] };
                after(of.begun(), [Step::returns(refused)])
            },
            outcome: Fail,
            words: "set before it: KVM_SET_REGS",
        },
        Row {
            name: "an instruction that the model lacks",
            id: ID,
            script: |of| {
                let unknown = Exit::UnknownInstruction { text: "fyl2x".to_owned(), rip: of.case.after };
                after(of.begun(), [Step::returns(unknown)])
            },
            outcome: Error,
            words: "unsupported instruction fyl2x at pf.read-unmapped.last",
        },
        Row {
            name: "KVM_RUN is refused",
            id: ID,
            script: |of| after(of.begun(), [failed(22)]),
            outcome: Fail,
            words: "KVM_RUN failed: no (errno 22)",
        },
        Row {
            name: "the host has no memory left",
            id: ID,
            script: |of| after(of.begun(), [failed(12)]),
            outcome: Error,
            words: "KVM_RUN failed: no (errno 12)",
        },
        Row {
            name: "CR4.FRED is dropped",
            id: ID,
            script: |of| vec![of.ready().with(|state| state.sregs.cr4 &= !CR4_FRED)],
            outcome: Fail,
            words: "CPUID offers FRED, the guest has set CR4.FRED, and CR4.FRED reads 0",
        },
        Row {
            name: "under the IDT nobody needs it",
            id: "pf/read-unmapped:idt:cold",
            script: |of| after(of.begun(), [of.passed()]),
            outcome: Pass,
            words: "",
        },
    ];
    check(&rows, &Conditions::default());
}
