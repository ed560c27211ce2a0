//! The run: set up, take cases one by one, end.

use crate::case::{CHECKS, Case};
use crate::entry::stubs::IDT_STUBS;
use crate::entry::{capture, fred_setup, handler, idt};
use crate::exit::{CURRENT, NEXT, NO_CASE, error, exit};
use crate::image::IMAGE;
use crate::judge::event::{Event, Rip};
use crate::judge::{Machine, Places, Seen, Told, judge};
use crate::options::{DeliveryMode, Options, parse};
use crate::report::{
    Recorder, clear, deliveries, host, introduce, mail, mail_array, print, print_frames, ring, verdict,
    verdict_because,
};
use crate::{act, boot, features, layout, paging, registers, routes, segments, serial};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use fred::cpuid::FRED;
use protocol::delivery::Delivery;
use protocol::doorbell::Doorbell;
use protocol::exit::ImageExit;
use protocol::field::Field;
use protocol::mailbox::{DISTURBANCES, HostFlags, Verdict};
use protocol::need::Needs;
use protocol::port::INPUT_BYTE;

/// What holds for the whole run.
struct Setting<'a> {
    options: Options<'a>,
    machine: Machine,
    met: Needs,
}

/// Compiled code begins here; `magic` and `information` are EAX and EBX at entry.
pub(crate) extern "sysv64" fn main(magic: u32, information: u32) -> ! {
    introduce();
    // The stacks first: the IDT leads to them.
    paging::init();
    segments::init();
    idt::init();
    let mut line = [0; 512];
    let line = boot::info::command_line(magic, information, &mut line);
    if !host().contains(HostFlags::PRESENT) || host().contains(HostFlags::SERIAL) {
        serial::init();
    }
    let options = match parse(line) {
        Ok(options) => options,
        Err(wrong) => error(format_args!("{wrong}")),
    };
    NEXT.store(options.next.unwrap_or(0), Relaxed);
    let mut met = features::met();
    // Nobody injects anything into an image that runs alone, nor bounds its cases one by one, nor sees how it ends.
    let by_host = Needs::NMI | Needs::INTERRUPT | Needs::SHUTDOWN | Needs::HOST;
    met.set(by_host, host().contains(HostFlags::PRESENT));
    let fred = features::has(&FRED);
    let delivery = match options.delivery {
        Some(DeliveryMode::Fred) if !fred => error(format_args!(
            "delivery=fred, but CPUID does not offer FRED; use delivery=idt or another machine"
        )),
        Some(delivery) => delivery,
        None if fred => DeliveryMode::Fred,
        None => DeliveryMode::Idt,
    };
    // A case depends on how events are delivered, not on what the processor could do.
    met.set(Needs::FRED, delivery == DeliveryMode::Fred);
    met.set(Needs::IDT, delivery == DeliveryMode::Idt);
    let machine = Machine { delivery, xfd: met.contains(Needs::XFD), debugctl: false };
    registers::enable_xmm();
    capture::XFD.store(machine.xfd as u8, Relaxed);
    if delivery == DeliveryMode::Fred {
        act::FRED_MODE.store(1, Relaxed);
        fred_setup::init();
    }
    layout::poison(layout::PAGE);
    // As every case leaves them.
    registers::rest(machine.xfd);
    let setting = Setting { options, machine, met };
    if host().contains(HostFlags::PRESENT) { serve(&setting) } else { run_alone(&setting) }
}

/// Runs the cases that the host asks for, without end.
fn serve(setting: &Setting<'_>) -> ! {
    ring(Doorbell::Ready);
    loop {
        let index = mail!(case);
        match IMAGE.cases.get(index as usize) {
            Some(case) => run_case(index, case, setting),
            None => {
                clear();
                verdict_because(Verdict::Error, format_args!("case {index} does not exist"));
            }
        }
        ring(Doorbell::Done(index as u16));
    }
}

/// Runs every case, or the one that the command line names, and ends.
fn run_alone(setting: &Setting<'_>) -> ! {
    if let Some(name) = setting.options.case
        && !IMAGE.cases.iter().any(|case| case.name == name)
    {
        error(format_args!("case={name} is not a case of {}; leave it out to run all", IMAGE.name));
    }
    let (mut passed, mut failed, mut skipped, mut errors) = (0u32, 0u32, 0u32, 0u32);
    for (index, case) in IMAGE.cases.iter().enumerate() {
        if setting.options.case.is_some_and(|name| case.name != name) {
            continue;
        }
        run_case(index as u32, case, setting);
        ring(Doorbell::Done(index as u16));
        match Verdict::from_number(mail!(verdict)) {
            Some(Verdict::Pass) => passed += 1,
            Some(Verdict::Fail) => failed += 1,
            Some(Verdict::Skip) => skipped += 1,
            _ => errors += 1,
        }
    }
    let image = IMAGE.name;
    serial::line(format_args!("SUMMARY: {image}: {passed} passed, {failed} failed, {skipped} skipped"));
    exit(match (errors, failed, passed) {
        (1.., _, _) => ImageExit::Error,
        (_, 1.., _) => ImageExit::Fail,
        (_, _, 1..) => ImageExit::Pass,
        _ => ImageExit::Skip,
    })
}

/// Runs one case and leaves its verdict in the mailbox.
fn run_case(index: u32, case: &Case, setting: &Setting<'_>) {
    clear();
    let lacking = case.needs - setting.met;
    if lacking.is_empty() {
        CURRENT.store(index, Relaxed);
        act_and_judge(index, case, setting.machine);
        CURRENT.store(NO_CASE, Relaxed);
    } else {
        verdict_because(Verdict::Skip, format_args!("needs {}", Names(lacking)));
    }
    if setting.options.frames {
        print_frames(IMAGE.name, case.name, setting.machine.delivery.name());
    }
    print(IMAGE.name, case.name);
}

fn act_and_judge(index: u32, case: &Case, machine: Machine) {
    if POISONED.swap(0, Relaxed) == 0 {
        layout::poison(layout::REACHED);
    }
    (case.prepare)();
    paging::forget_frame_stack();
    handler::begin();
    capture::ACTING.store(1, Relaxed);
    // SAFETY: a case's act is an act, and the handlers go back to it.
    unsafe { act::enter(case.act.start.value(), Doorbell::Armed(index as u16).encode()) };
    capture::ACTING.store(0, Relaxed);
    let machine = Machine { debugctl: capture::DEBUGCTL.load(Relaxed) == 1, ..machine };
    let left = left(machine);
    let mut results = [0; CHECKS];
    for (result, check) in results.iter_mut().zip(case.results) {
        *result = (check.read)();
    }
    registers::rest(machine.xfd);
    routes::rest();

    let expected = case.expected(machine.delivery);
    let disturbances = match mail!(disturbance_count) as usize {
        0 => &[][..],
        count => &mail_array!(disturbances)[..count.min(DISTURBANCES)],
    };
    let deliveries = deliveries();
    put_in_order(expected.events, mail!(entries), deliveries);
    let seen = Seen {
        armed: act::armed(),
        // Without a host, or with one that has nothing at the ports, the port reads as all ones.
        input: if host() & (HostFlags::PRESENT | HostFlags::HOLD) == HostFlags::PRESENT {
            INPUT_BYTE
        } else {
            0xFF
        },
        entries: mail!(entries),
        deliveries,
        left,
        disturbances,
    };
    judge(&expected, &places(case), machine, &seen, Recorder);
    for (check, got) in case.results.iter().zip(results) {
        Recorder.compared(0, Field::Result, check.expected, got);
    }
    verdict(if mail!(mismatch_count) == 0 { Verdict::Pass } else { Verdict::Fail });
}

/// 1 until the first case: the whole stacks were poisoned before `Ready`, once for all guests that fork from there.
static POISONED: AtomicU32 = AtomicU32::new(1);

/// What the symbols in the events of a case stand for.
fn places(case: &Case) -> Places {
    Places {
        act: case.act.act.value(),
        after: case.act.after.value(),
        last: case.act.last.value(),
        act_rsp: layout::ACT_RSP.value(),
        user_rsp: layout::USER_RSP.value(),
        frame_stack_end: layout::FRAME_TOP.value(),
        other_stack_end: layout::OTHER_STACK.end().value(),
        act_stack_end: layout::ACT_STACK.end().value(),
        entry_page: fred_setup::ENTRY_PAGE.value(),
        idt_stubs: IDT_STUBS.value(),
    }
}

/// An event that came before a handler's first instruction was captured before that handler had
/// captured its own.
fn put_in_order(events: &[Event], entries: u32, deliveries: &mut [Delivery]) {
    let captured = deliveries.len().min(entries as usize);
    for (index, event) in events.iter().enumerate().take(captured).skip(1) {
        if matches!(event.rip, Rip::Entry(_) | Rip::UserEntry(_))
            && deliveries[index - 1].vector == event.vector
        {
            deliveries.swap(index - 1, index);
        }
    }
}

/// What the act has left, in a delivery's form.
fn left(machine: Machine) -> &'static Delivery {
    let msr = |exists: bool, number: u32| if exists { registers::read_msr(number) } else { 0 };
    let left = act::left();
    left.cr0 = registers::cr0();
    left.fs_base = msr(true, fred::msr::FS_BASE);
    left.gs_base = msr(true, fred::msr::GS_BASE);
    left.kernel_gs_base = msr(true, fred::msr::KERNEL_GS_BASE);
    left.cr2 = registers::cr2();
    left.dr6 = registers::dr6();
    left.dr7 = registers::dr7();
    left.debugctl = msr(machine.debugctl, registers::DEBUGCTL);
    left.fred_config = msr(machine.delivery == DeliveryMode::Fred, fred::msr::FRED_CONFIG);
    left.xfd = msr(machine.xfd, fred::msr::XFD);
    left.xfd_err = msr(machine.xfd, fred::msr::XFD_ERR);
    left
}

/// Needs as words.
struct Names(Needs);

impl core::fmt::Display for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, name) in self.0.names().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}
