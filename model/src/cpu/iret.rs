//! IRET.

use super::core::Core;
use super::decoded::{Decoded, Handler};
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
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => Some(iret),
        _ => None,
    }
}

fn iret(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    let size: u8 = match d.instruction.code() {
        Code::Iretw => 2,
        Code::Iretd => 4,
        _ => 8,
    };
    if p.is_real_mode() {
        return Err(Stop::Unknown);
    }
    if p.flag(rflags::NT) {
        return Err(if p.is_long_mode_active() { gp0() } else { Stop::Unknown });
    }
    let step = i64::from(size);
    let rip = p.peek(m, 0, size)?;
    let selector = p.peek(m, step, size)? as u16;
    let flags = p.peek(m, 2 * step, size)?;
    let rpl = (selector & 3) as u8;
    if !p.is_long_mode_active() && flags & rflags::VM != 0 {
        return Err(Stop::Unsupported("virtual-8086 mode"));
    }
    if p.fred() && rpl != p.cpl() {
        return Err(selector_fault(vector::GP, selector));
    }
    // From 64-bit mode SS:RSP is popped whatever the CPL.
    let stack = if p.is_64_bit() || rpl != p.cpl() {
        Some((p.peek(m, 3 * step, size)?, p.peek(m, 4 * step, size)? as u16))
    } else {
        None
    };
    let cs = p.return_segment(m, selector, rip)?;
    let ss = match stack {
        Some((_, ss)) => Some(p.return_stack(m, ss, rpl, cs.l)?),
        None => None,
    };
    // Everything that can fault has succeeded. The flags are loaded with the old CPL's rights.
    p.load_rflags(flags, size);
    p.scratch.keep_rf = true;
    let outward = rpl != p.cpl();
    let above = p.stack_at(3 * step);
    p.segments.cs = cs;
    match (stack, ss) {
        (Some((rsp, _)), Some(ss)) => {
            p.segments.ss = Segment { dpl: rpl, ..ss };
            if p.is_64_bit() {
                p.gpr[4] = rsp;
            } else {
                p.set_stack(rsp);
            }
        }
        _ => p.set_stack(above),
    }
    if outward {
        p.drop_privileged_segments();
    }
    p.scratch.branched = true;
    p.scratch.next_rip = rip & mask(size);
    p.nmi_blocking = false;
    Ok(())
}
