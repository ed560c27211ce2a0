//! IRET.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::fred_return::counted;
use super::load_segment::selector_fault;
use super::operand::mask;
use crate::memory::Memory;
use crate::segment::Segment;
use crate::stop::{Step, Stop, gp0};
use fred::control::rflags;
use fred::event::vector;
use iced_x86::{Code, Mnemonic};

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    match mnemonic {
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => Some(iret_unblocks),
        _ => None,
    }
}

/// What IRET pops; nothing has been popped for good yet.
struct Popped {
    rip: u64,
    cs: u16,
    flags: u64,
    /// RSP and SS.
    stack: Option<(u64, u16)>,
}

fn pop(p: &mut Core, m: &mut Memory, size: u8) -> Result<Popped, Box<Stop>> {
    let step = i64::from(size);
    let rip = p.peek(m, 0, size)?;
    let cs = p.peek(m, step, size)? as u16;
    let flags = p.peek(m, 2 * step, size)?;
    let rpl = (cs & 3) as u8;
    if !p.is_long_mode_active() && flags & rflags::VM != 0 {
        return Err(Stop::Unsupported("virtual-8086 mode").into());
    }
    if p.fred() && rpl != p.cpl() {
        return Err(selector_fault(vector::GP, cs));
    }
    // From 64-bit mode SS:RSP is popped whatever the CPL.
    let stack = if p.is_64_bit() || rpl != p.cpl() {
        Some((p.peek(m, 3 * step, size)?, p.peek(m, 4 * step, size)? as u16))
    } else {
        None
    };
    Ok(Popped { rip, cs, flags, stack })
}

/// IRET ends blocking by NMI even where the second-stage page tables refuse its frame: the exit says that it has
/// (SDM vol. 3, exit qualification of EPT violations, "NMI unblocking due to IRET").
fn iret_unblocks(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let step = counted(p, m, |p, m| iret(p, m, d));
    if step.as_ref().is_err_and(|stop| matches!(**stop, Stop::Refused(_))) {
        p.scratch.unblocked_nmis = std::mem::take(&mut p.nmi_blocking);
    }
    step
}

fn iret(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size: u8 = match d.instruction.code() {
        Code::Iretw => 2,
        Code::Iretd => 4,
        _ => 8,
    };
    if p.is_real_mode() {
        return Err(Stop::Unknown.into());
    }
    if p.flag(rflags::NT) {
        return Err(if p.is_long_mode_active() { gp0() } else { Stop::Unknown.into() });
    }
    let popped = pop(p, m, size)?;
    let rpl = (popped.cs & 3) as u8;
    let cs = p.return_segment(m, popped.cs, popped.rip)?;
    let stack = match popped.stack {
        Some((rsp, ss)) => Some((rsp, p.return_stack(m, ss, rpl, cs.l)?)),
        None => None,
    };
    // Everything that can fault has succeeded. The flags are loaded with the old CPL's rights.
    p.load_rflags(popped.flags, size);
    p.scratch.keep_rf = true;
    let outward = rpl != p.cpl();
    let above = p.stack_at(3 * i64::from(size));
    p.segments.cs = cs;
    match stack {
        Some((rsp, ss)) => {
            p.segments.ss = Segment { dpl: rpl, ..ss };
            if p.is_64_bit() {
                p.gpr[4] = rsp;
            } else {
                p.set_stack(rsp);
            }
        }
        None => p.set_stack(above),
    }
    if outward {
        p.drop_privileged_segments();
    }
    p.jump_to(popped.rip & mask(size));
    p.nmi_blocking = false;
    Ok(())
}
