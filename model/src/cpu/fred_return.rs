//! ERETS and ERETU (SDM vol. 2, their operation sections).

use super::core::Core;
use super::decoded::Handler;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::Segment;
use crate::segment::seg;
use crate::stop::{Step, Stop, gp0, ud};
use fred::config::FredConfig;
use fred::control::rflags;
use fred::msr::is_canonical;
use fred::slot::{CsSlot, SsSlot};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    match mnemonic {
        Mnemonic::Erets => Some(|p, m, _| counted(p, m, erets)),
        Mnemonic::Eretu => Some(|p, m, _| counted(p, m, eretu)),
        _ => None,
    }
}

/// The accesses of an event return are counted by themselves.
pub(super) fn counted(
    p: &mut Core,
    m: &mut Memory,
    run: impl FnOnce(&mut Core, &mut Memory) -> Step,
) -> Step {
    m.begin_return();
    let step = run(p, m);
    m.end_return();
    step
}

/// What of the RFLAGS slot must be just bit 1: for ERETS.
const ERETS_RFLAGS: u64 = 0xFFFF_FFFF_FFC2_802A;
/// And for ERETU, where IOPL must be 0 too.
const ERETU_RFLAGS: u64 = 0xFFFF_FFFF_FFC2_B02A;

/// What ERETS and ERETU pop; the error code is skipped.
struct Popped {
    rip: u64,
    cs: CsSlot,
    rflags: u64,
    rsp: u64,
    ss: SsSlot,
}

/// Pops nothing for good: RSP stays until the return is committed.
fn pop(p: &mut Core, m: &mut Memory) -> Result<Popped, Box<Stop>> {
    let mut word = |n: u64| {
        let at = p.gpr[4].wrapping_add(8 * n);
        let place = p.data(m, seg::SS, at, 8, Kind::Read)?;
        Ok::<u64, Box<Stop>>(m.load_number(&place, 8))
    };
    let (rip, cs, rflags, rsp, ss) = (word(1)?, word(2)?, word(3)?, word(4)?, word(5)?);
    Ok(Popped { rip, cs: CsSlot(cs), rflags, rsp, ss: SsSlot(ss) })
}

fn erets(p: &mut Core, m: &mut Memory) -> Step {
    if !p.fred() || p.cpl() != 0 || !p.is_64_bit() {
        return Err(ud());
    }
    let frame = pop(p, m)?;
    if !is_canonical(frame.rip)
        || frame.cs.0 & !0x7_0000 != u64::from(p.segments.cs.selector)
        || frame.rflags & ERETS_RFLAGS != 2
        || frame.ss.0 & 0xFFF8_FFFF != u64::from(p.segments.ss.selector)
    {
        return Err(gp0());
    }
    let config = FredConfig(p.msrs.fred.config);
    // A higher level is clamped.
    let level = config.csl().min(frame.cs.stack_level());
    p.msrs.fred.config = config.with_csl(level).0;
    finish(p, &frame, frame.rip);
    // Blocking by STI is established only when it was not in effect and IF is now 1.
    p.scratch.sti = frame.ss.has(SsSlot::STI) && p.flag(rflags::IF) && !p.sti_blocking;
    Ok(())
}

/// What both load, and what the SS slot asks of both: a pending single step, NMIs unblocked.
fn finish(p: &mut Core, frame: &Popped, rip: u64) {
    p.jump_to(rip);
    p.rflags = frame.rflags;
    p.scratch.keep_rf = true;
    p.gpr[4] = frame.rsp;
    if frame.ss.has(SsSlot::SOFTWARE) && p.flag(rflags::TF) {
        p.scratch.single_step = true;
    }
    if frame.ss.has(SsSlot::NMI) {
        p.nmi_blocking = false;
    }
}

fn eretu(p: &mut Core, m: &mut Memory) -> Step {
    if !p.fred() || p.cpl() != 0 || !p.is_64_bit() {
        return Err(ud());
    }
    if FredConfig(p.msrs.fred.config).csl() > 0 {
        return Err(gp0());
    }
    let frame = pop(p, m)?;
    if frame.cs.0 & 0xFFFF_FFFF_FFFF_0003 != 3
        || frame.rflags & ERETU_RFLAGS != 2
        || frame.ss.0 & 0xFFF8_0003 != 3
    {
        return Err(gp0());
    }
    let (cs, ss) = return_segments(p, m, &frame)?;
    let rip = if cs.l { frame.rip } else { frame.rip & 0xFFFF_FFFF };
    if cs.l && !is_canonical(rip) || !cs.l && rip > u64::from(cs.limit) {
        return Err(gp0());
    }
    p.segments.cs = cs;
    p.segments.ss = ss;
    p.swap_gs();
    finish(p, &frame, rip);
    Ok(())
}

/// CS and SS for ring 3: flat ones for the selectors that IA32_STAR gives, else from their
/// descriptors with IRET's checks.
fn return_segments(p: &mut Core, m: &mut Memory, frame: &Popped) -> Result<(Segment, Segment), Box<Stop>> {
    use super::load_segment::flat;
    let base = (p.msrs.star >> 48) as u16;
    let (cs, ss) = (frame.cs.selector(), frame.ss.selector());
    let star_ss = base.wrapping_add(8);
    if ss == star_ss && cs == base.wrapping_add(16) {
        return Ok((flat(cs, 11, 3, true), flat(ss, 3, 3, false)));
    }
    if ss == star_ss && cs == base {
        return Ok((flat(cs, 11, 3, false), flat(ss, 3, 3, false)));
    }
    // RIP is checked by the caller, whatever the mode returned to.
    let cs = p.return_segment(m, cs, 0)?;
    let ss = p.return_stack(m, ss, 3, cs.l)?;
    Ok((cs, Segment { dpl: 3, ..ss }))
}
