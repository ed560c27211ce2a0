//! Near jumps, calls and returns, and the instructions that ask for an event.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use super::operand::mask;
use crate::event::Event;
use crate::memory::Memory;
use crate::stop::{Step, Stop, gp0, ud};
use fred::control::{EFER_SCE, rflags};
use fred::event::{EventType, vector};
use fred::msr::is_canonical;
use iced_x86::{Code, Mnemonic};

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Jmp => jmp,
        M::Call => call,
        M::Ret => ret,
        M::Jcxz => |p, _, d| p.jump_if(d, p.gpr(1, 2) == 0),
        M::Jecxz => |p, _, d| p.jump_if(d, p.gpr(1, 4) == 0),
        M::Jrcxz => |p, _, d| p.jump_if(d, p.gpr[1] == 0),
        M::Loop => |p, _, d| p.loop_if(d, true),
        M::Loope => |p, _, d| p.loop_if(d, p.flag(rflags::ZF)),
        M::Loopne => |p, _, d| p.loop_if(d, !p.flag(rflags::ZF)),
        M::Int => |_, _, d| asks(d.immediate as u8, EventType::SoftwareInterrupt, d),
        M::Int1 => |_, _, d| asks(vector::DB, EventType::PrivilegedSoftwareException, d),
        M::Int3 => |_, _, d| asks(vector::BP, EventType::SoftwareException, d),
        M::Into => into,
        M::Ud0 | M::Ud1 | M::Ud2 => |_, _, _| Err(ud()),
        M::Syscall => syscall,
        M::Sysret | M::Sysretq => sysret,
        M::Sysenter | M::Sysexit | M::Sysexitq => sysenter_family,
        _ => return None,
    })
}

fn asks(vector: u8, event_type: EventType, d: &Decoded) -> Step {
    Err(Stop::Fault(Event::software(vector, event_type, d.length)).into())
}

impl Core {
    /// Makes `target` the next RIP of a near branch whose operand size is `size` bytes.
    #[inline]
    pub(crate) fn branch_to(&mut self, target: u64, size: u8) -> Step {
        let long = self.is_64_bit();
        let target = if long { target } else { target & mask(size) };
        if long && !is_canonical(target) || !long && target > u64::from(self.segments.cs.limit) {
            return Err(gp0());
        }
        self.jump_to(target);
        Ok(())
    }

    /// Makes `target`, which is checked, the next RIP of a branch that is taken.
    #[inline]
    pub(crate) fn jump_to(&mut self, target: u64) {
        self.scratch.branched = true;
        self.scratch.next_rip = target;
    }

    #[inline]
    fn branch_size(&self, d: &Decoded) -> u8 {
        if self.is_64_bit() {
            return 8;
        }
        if d.instruction.op0_kind() == iced_x86::OpKind::NearBranch16 { 2 } else { 4 }
    }

    #[inline]
    fn jump_if(&mut self, d: &Decoded, condition: bool) -> Step {
        if condition {
            let target = self.rip.wrapping_add(d.immediate);
            self.branch_to(target, self.branch_size(d))?;
        }
        Ok(())
    }

    fn loop_if(&mut self, d: &Decoded, condition: bool) -> Step {
        use Code as C;
        let size = match d.instruction.code() {
            C::Loop_rel8_16_CX
            | C::Loop_rel8_32_CX
            | C::Loope_rel8_16_CX
            | C::Loope_rel8_32_CX
            | C::Loopne_rel8_16_CX
            | C::Loopne_rel8_32_CX => 2,
            C::Loop_rel8_16_ECX
            | C::Loop_rel8_32_ECX
            | C::Loop_rel8_64_ECX
            | C::Loope_rel8_16_ECX
            | C::Loope_rel8_32_ECX
            | C::Loope_rel8_64_ECX
            | C::Loopne_rel8_16_ECX
            | C::Loopne_rel8_32_ECX
            | C::Loopne_rel8_64_ECX => 4,
            _ => 8,
        };
        let count = self.gpr(1, size).wrapping_sub(1) & mask(size);
        self.jump_if(d, condition && count != 0)?;
        self.set_gpr(1, size, count);
        Ok(())
    }
}

/// Jcc.
pub(super) fn jcc(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    let met = p.condition(d.condition);
    p.jump_if(d, met)
}

fn is_far(d: &Decoded) -> bool {
    d.instruction.is_jmp_far()
        || d.instruction.is_jmp_far_indirect()
        || d.instruction.is_call_far()
        || d.instruction.is_call_far_indirect()
}

fn jmp(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if d.operands[0] == Operand::Branch {
        return p.jump_if(d, true);
    }
    if is_far(d) {
        return super::far::jmp(p, m, d);
    }
    let target = p.read(m, d, 0)?;
    p.branch_to(target, d.size[0])
}

fn call(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if is_far(d) {
        return super::far::call(p, m, d);
    }
    let back = p.scratch.next_rip;
    if d.operands[0] == Operand::Branch {
        p.jump_if(d, true)?;
    } else {
        let target = p.read(m, d, 0)?;
        p.branch_to(target, d.size[0])?;
    }
    p.push(m, back, d.stack)
}

fn ret(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    // The stack increment includes the immediate; the pop does not.
    let size = match d.instruction.code() {
        Code::Retnw | Code::Retnw_imm16 => 2,
        Code::Retnd | Code::Retnd_imm16 => 4,
        _ => 8,
    };
    let target = p.peek(m, 0, size)?;
    p.branch_to(target, size)?;
    let above = p.stack_at(i64::from(size) + (d.immediate & 0xFFFF) as i64);
    p.set_stack(above);
    Ok(())
}

fn into(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    if p.flag(rflags::OF) {
        return asks(vector::OF, EventType::SoftwareException, d);
    }
    Ok(())
}

fn syscall(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    if !p.is_64_bit() {
        return Err(ud());
    }
    if p.fred() {
        return asks(1, EventType::Other, d);
    }
    if p.efer & EFER_SCE == 0 {
        return Err(ud());
    }
    p.gpr[1] = p.scratch.next_rip;
    p.gpr[11] = p.rflags & !rflags::RF;
    p.jump_to(p.msrs.lstar);
    p.rflags = p.rflags & !(p.msrs.fmask | rflags::RF) | rflags::FIXED;
    step_by_new_tf(p);
    let selector = (p.msrs.star >> 32) as u16 & !3;
    p.load_flat(selector, selector.wrapping_add(8), 0);
    Ok(())
}

/// TF counts as it is after SYSCALL and SYSRET; unlike IRET's, a TF that SYSRET loads traps at once.
fn step_by_new_tf(p: &mut Core) {
    let stepped = p.flag(rflags::TF);
    p.scratch.single_step = stepped;
    p.scratch.no_single_step = !stepped;
}

fn sysret(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    if p.fred() || !p.is_64_bit() || p.efer & EFER_SCE == 0 {
        return Err(ud());
    }
    if p.cpl() != 0 {
        return Err(gp0());
    }
    let long = d.instruction.code() == Code::Sysretq;
    if long && !is_canonical(p.gpr[1]) {
        return Err(gp0());
    }
    p.jump_to(if long { p.gpr[1] } else { p.gpr(1, 4) });
    let kept = 0x3C_7FD7;
    p.rflags = p.gpr[11] & kept | rflags::FIXED;
    step_by_new_tf(p);
    let base = (p.msrs.star >> 48) as u16;
    let cs = if long { base.wrapping_add(16) } else { base };
    p.load_flat(cs | 3, base.wrapping_add(8) | 3, 3);
    p.segments.cs.l = long;
    p.segments.cs.db = !long;
    Ok(())
}

/// Under FRED SYSEXIT is #UD, and SYSENTER an event whatever IA32_SYSENTER_CS holds (SDM vol. 2,
/// SYSENTER, operation). The rest is not modelled.
fn sysenter_family(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    if p.fred() && d.instruction.mnemonic() != Mnemonic::Sysenter {
        return Err(ud());
    }
    if p.fred() {
        return asks(2, EventType::Other, d);
    }
    Err(Stop::Unknown.into())
}
