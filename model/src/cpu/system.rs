//! System instructions: flags, MSRs, CPUID, GS bases, XCR0.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use crate::cpuid::CpuidTable;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::{Step, gp0, ud};
use crate::xstate::component;
use fred::control::{CR4_OSXSAVE, rflags};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Nop
        | M::Pause
        | M::Mfence
        | M::Lfence
        | M::Sfence
        | M::Endbr32
        | M::Endbr64
        | M::Prefetchnta
        | M::Prefetcht0
        | M::Prefetcht1
        | M::Prefetcht2
        | M::Prefetchw => |_, _, _| Ok(()),
        M::Clc => |p, _, _| p.assign(rflags::CF, false),
        M::Stc => |p, _, _| p.assign(rflags::CF, true),
        M::Cmc => |p, _, _| p.assign(rflags::CF, !p.flag(rflags::CF)),
        M::Cld => |p, _, _| p.assign(rflags::DF, false),
        M::Std => |p, _, _| p.assign(rflags::DF, true),
        M::Clac => |p, _, _| p.assign_ac(false),
        M::Stac => |p, _, _| p.assign_ac(true),
        M::Cli => cli,
        M::Sti => sti,
        M::Hlt => hlt,
        M::Rdmsr => rdmsr,
        M::Wrmsr => wrmsr,
        M::Wrmsrns => |p, m, d| {
            if p.cpuid.has(fred::cpuid::WRMSRNS) { wrmsr(p, m, d) } else { Err(ud()) }
        },
        M::Cpuid => cpuid,
        M::Rdtsc => |p, _, _| p.rdtsc(),
        M::Rdtscp => rdtscp,
        M::Invlpg => |p, _, _| p.privileged(|p| p.tlb.flush()),
        M::Wbinvd | M::Invd => |p, _, _| p.privileged(|_| ()),
        M::Clflush | M::Clflushopt | M::Clwb => clflush,
        M::Swapgs => swapgs,
        M::Lkgs => lkgs,
        M::Xgetbv => xgetbv,
        M::Xsetbv => xsetbv,
        _ => return None,
    })
}

impl Core {
    fn assign(&mut self, bit: u64, value: bool) -> Step {
        self.set_flag(bit, value);
        Ok(())
    }

    fn assign_ac(&mut self, value: bool) -> Step {
        if self.cpl() != 0 || !self.cpuid.has(fred::cpuid::SMAP) {
            return Err(ud());
        }
        self.assign(rflags::AC, value)
    }

    /// #GP(0) above CPL 0, else the action.
    fn privileged(&mut self, action: fn(&mut Self)) -> Step {
        self.require_ring_0()?;
        action(self);
        Ok(())
    }

    /// #GP(0) above CPL 0.
    pub(crate) fn require_ring_0(&self) -> Step {
        if self.cpl() == 0 { Ok(()) } else { Err(gp0()) }
    }

    fn rdtsc(&mut self) -> Step {
        const CR4_TSD: u64 = 1 << 2;
        if self.cr4 & CR4_TSD != 0 && self.cpl() != 0 {
            return Err(gp0());
        }
        self.set_pair(self.msrs.tsc);
        Ok(())
    }

    /// EDX:EAX.
    fn set_pair(&mut self, value: u64) {
        self.set_gpr(0, 4, value);
        self.set_gpr(2, 4, value >> 32);
    }

    fn pair(&self) -> u64 {
        self.gpr(0, 4) | self.gpr(2, 4) << 32
    }
}

fn cli(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.cpl() > p.iopl() {
        return Err(gp0());
    }
    p.assign(rflags::IF, false)
}

fn sti(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.cpl() > p.iopl() {
        return Err(gp0());
    }
    p.scratch.sti = !p.flag(rflags::IF);
    p.assign(rflags::IF, true)
}

fn hlt(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.privileged(|p| p.halted = true)
}

fn rdmsr(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_ring_0()?;
    let value = p.read_msr(p.gpr(1, 4) as u32).ok_or_else(gp0)?;
    p.set_pair(value);
    Ok(())
}

fn wrmsr(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_ring_0()?;
    let (index, value) = (p.gpr(1, 4) as u32, p.pair());
    p.write_msr(index, value).map_err(|_| gp0())?;
    p.tlb.flush();
    Ok(())
}

fn cpuid(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    const OSXSAVE: u32 = 1 << 27;
    let leaf = p.gpr(0, 4) as u32;
    let subleaf = p.gpr(1, 4) as u32;
    let [eax, mut ebx, mut ecx, edx] = p.cpuid.get(leaf, subleaf);
    if leaf == 0xD && subleaf <= 1 && ebx != 0 {
        ebx = p.xsave_size(p.xcr0, subleaf == 1);
    }
    if leaf == 1 {
        ecx &= !OSXSAVE;
        if p.cr4 & CR4_OSXSAVE != 0 {
            ecx |= OSXSAVE;
        }
    }
    for (register, value) in [(0, eax), (3, ebx), (1, ecx), (2, edx)] {
        p.set_gpr(register, 4, value.into());
    }
    Ok(())
}

fn rdtscp(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if !p.cpuid.has(fred::cpuid::RDTSCP) {
        return Err(ud());
    }
    p.rdtsc()?;
    p.set_gpr(1, 4, p.msrs.tsc_aux);
    Ok(())
}

fn clflush(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.memory_operand(m, d, 1, Kind::Read)?;
    Ok(())
}

fn swapgs(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.fred() || !p.is_64_bit() {
        return Err(ud());
    }
    p.privileged(|p| p.swap_gs())
}

impl Core {
    /// Exchanges GS.base and IA32_KERNEL_GS_BASE.
    pub(crate) fn swap_gs(&mut self) {
        std::mem::swap(&mut self.state.segments.gs.base, &mut self.state.msrs.kernel_gs_base);
    }
}

/// As MOV to GS, but the base goes to IA32_KERNEL_GS_BASE. #UD above CPL 0 and outside 64-bit mode
/// (SDM vol. 2, LKGS, operation).
fn lkgs(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    if p.cpl() > 0 || !p.is_64_bit() || !p.cpuid.has(fred::cpuid::LKGS) {
        return Err(ud());
    }
    let selector = match d.operands[0] {
        Operand::Gpr(index) => p.gpr(index, 2),
        _ => {
            let place = p.memory_operand(m, d, 2, Kind::Read)?;
            m.load_number(&place, 2)
        }
    } as u16;
    let mut loaded = p.checked_segment(m, seg::GS, selector)?;
    p.msrs.kernel_gs_base = std::mem::replace(&mut loaded.base, p.segments.gs.base);
    p.segments.gs = loaded;
    Ok(())
}

fn xgetbv(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.cr4 & CR4_OSXSAVE == 0 {
        return Err(ud());
    }
    match p.gpr(1, 4) {
        0 => p.set_pair(p.xcr0),
        _ => return Err(gp0()),
    }
    Ok(())
}

fn xsetbv(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    if p.cr4 & CR4_OSXSAVE == 0 {
        return Err(ud());
    }
    p.require_ring_0()?;
    let value = p.pair();
    if p.gpr(1, 4) != 0 || !is_valid_xcr0(&p.cpuid, value) {
        return Err(gp0());
    }
    p.xcr0 = value;
    Ok(())
}

/// Whether XSETBV accepts a value for XCR0 (SDM vol. 1, "Enabling the XSAVE feature set").
fn is_valid_xcr0(cpuid: &CpuidTable, value: u64) -> bool {
    const AVX: u64 = 1 << 2;
    let [low, _, _, high] = cpuid.get(0xD, 0);
    let offered = u64::from(high) << 32 | u64::from(low);
    let tiles = component::TILECFG | component::TILEDATA;
    value & component::X87 != 0
        && value & !offered == 0
        && (value & AVX == 0 || value & component::SSE != 0)
        && (value & tiles == 0 || value & tiles == tiles)
}
