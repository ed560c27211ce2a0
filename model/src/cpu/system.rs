//! System instructions: flags, descriptor tables, MSRs, CPUID, the rest.

use super::decoded::{Decoded, Handler, Operand};
use super::load_segment::{null_segment, selector_fault};
use super::{Step, Stop, gp0, ud};
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::mmu::linear::seg;
use crate::processor::{DescriptorTable, Processor};
use fred::control::{CR4_OSXSAVE, rflags};
use fred::event::vector;
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
        M::Lgdt | M::Lidt => load_table,
        M::Sgdt | M::Sidt => store_table,
        M::Lldt => lldt,
        M::Ltr => ltr,
        M::Sldt => |p, m, d| p.write(m, d, 0, p.segments.ldtr.selector.into()),
        M::Str => |p, m, d| p.write(m, d, 0, p.segments.tr.selector.into()),
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

impl Processor {
    fn assign(&mut self, bit: u64, value: bool) -> Step {
        self.set_flag(bit, value);
        Ok(())
    }

    fn assign_ac(&mut self, value: bool) -> Step {
        const SMAP: fred::cpuid::Feature = fred::cpuid::Feature {
            name: "SMAP",
            leaf: 7,
            subleaf: 0,
            register: fred::cpuid::Register::Ebx,
            bit: 20,
        };
        if self.cpl() != 0 || !self.cpuid.has(SMAP) {
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

fn cli(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    if p.cpl() > p.iopl() {
        return Err(gp0());
    }
    p.assign(rflags::IF, false)
}

fn sti(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    if p.cpl() > p.iopl() {
        return Err(gp0());
    }
    p.run.sti = !p.flag(rflags::IF);
    p.assign(rflags::IF, true)
}

fn hlt(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    p.privileged(|p| p.halted = true)
}

fn load_table(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    p.require_ring_0()?;
    let size: u8 = if p.is_64_bit() { 8 } else { 4 };
    let place = p.memory_operand(m, d, usize::from(size) + 2, Kind::Read)?;
    let mut bytes = [0; 10];
    m.load_place(&place, &mut bytes[..usize::from(size) + 2]);
    let mut base = [0; 8];
    base[..size.into()].copy_from_slice(&bytes[2..usize::from(size) + 2]);
    let mut base = u64::from_le_bytes(base);
    if p.code_bits() == 16 || is_16_bit_form(d) {
        base &= 0xFF_FFFF;
    }
    if size == 8 && !fred::msr::is_canonical(base) {
        return Err(gp0());
    }
    let table = DescriptorTable { base, limit: u16::from_le_bytes([bytes[0], bytes[1]]) };
    if d.instruction.mnemonic() == Mnemonic::Lgdt {
        p.gdtr = table;
    } else {
        p.idtr = table;
    }
    Ok(())
}

fn is_16_bit_form(d: &Decoded) -> bool {
    use iced_x86::Code as C;
    matches!(d.instruction.code(), C::Lgdt_m1632_16 | C::Lidt_m1632_16)
}

fn store_table(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    let table = if d.instruction.mnemonic() == Mnemonic::Sgdt { p.gdtr } else { p.idtr };
    let size = if p.is_64_bit() { 10 } else { 6 };
    let place = p.memory_operand(m, d, size, Kind::Write)?;
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&table.limit.to_le_bytes());
    bytes[2..].copy_from_slice(&table.base.to_le_bytes());
    m.store_place(&place, &bytes[..size]);
    Ok(())
}

/// The system segment that LLDT and LTR load: descriptor base with its upper half in long mode.
fn system_segment(
    p: &mut Processor,
    m: &mut Memory,
    selector: u16,
    types: &[u8],
) -> Result<(super::load_segment::Descriptor, crate::processor::Segment), Stop> {
    let gp = || selector_fault(vector::GP, selector);
    let size = if p.is_long_mode_active() { 16 } else { 8 };
    if selector & 4 != 0 {
        return Err(gp());
    }
    let address = p.descriptor_address(selector, size).ok_or_else(gp)?;
    let low = super::load_segment::Descriptor(p.read_system(m, address, 8)?);
    if low.s() || !types.contains(&low.segment_type()) {
        return Err(gp());
    }
    let mut segment = low.load(selector);
    if size == 16 {
        let high = p.read_system(m, address.wrapping_add(8), 8)?;
        segment.base |= high << 32;
        if !fred::msr::is_canonical(segment.base) {
            return Err(gp());
        }
    }
    if !low.present() {
        return Err(selector_fault(vector::NP, selector));
    }
    Ok((low, segment))
}

fn lldt(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    if p.is_real_mode() {
        return Err(ud());
    }
    p.require_ring_0()?;
    let selector = p.read(m, d, 0)? as u16;
    p.segments.ldtr =
        if selector & !3 == 0 { null_segment(selector, 0) } else { system_segment(p, m, selector, &[2])?.1 };
    Ok(())
}

fn ltr(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    if p.is_real_mode() {
        return Err(ud());
    }
    p.require_ring_0()?;
    let selector = p.read(m, d, 0)? as u16;
    if selector & !3 == 0 {
        return Err(gp0());
    }
    let types: &[u8] = if p.is_long_mode_active() { &[9] } else { &[1, 9] };
    let (descriptor, mut segment) = system_segment(p, m, selector, types)?;
    // Busy.
    p.write_descriptor_type(m, selector, descriptor, 2)?;
    segment.segment_type |= 2;
    p.segments.tr = segment;
    Ok(())
}

fn rdmsr(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    p.require_ring_0()?;
    let value = p.read_msr(p.gpr(1, 4) as u32).ok_or_else(gp0)?;
    p.set_pair(value);
    Ok(())
}

fn wrmsr(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    p.require_ring_0()?;
    p.write_msr(p.gpr(1, 4) as u32, p.pair()).map_err(|_| gp0())?;
    p.tlb.flush();
    Ok(())
}

fn cpuid(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    const OSXSAVE: u32 = 1 << 27;
    let leaf = p.gpr(0, 4) as u32;
    let [eax, ebx, mut ecx, edx] = p.cpuid.get(leaf, p.gpr(1, 4) as u32);
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

fn rdtscp(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    const RDTSCP: fred::cpuid::Feature = fred::cpuid::Feature {
        name: "RDTSCP",
        leaf: 0x8000_0001,
        subleaf: 0,
        register: fred::cpuid::Register::Edx,
        bit: 27,
    };
    if !p.cpuid.has(RDTSCP) {
        return Err(ud());
    }
    p.rdtsc()?;
    p.set_gpr(1, 4, p.msrs.tsc_aux);
    Ok(())
}

fn clflush(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    p.memory_operand(m, d, 1, Kind::Read)?;
    Ok(())
}

fn swapgs(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    if p.fred() || !p.is_64_bit() {
        return Err(ud());
    }
    p.privileged(Processor::swap_gs)
}

impl Processor {
    /// Exchanges GS.base and IA32_KERNEL_GS_BASE.
    pub(crate) fn swap_gs(&mut self) {
        std::mem::swap(&mut self.segments.gs.base, &mut self.msrs.kernel_gs_base);
    }
}

/// As MOV to GS, but the base goes to IA32_KERNEL_GS_BASE.
fn lkgs(p: &mut Processor, m: &mut Memory, d: &Decoded) -> Step {
    if !p.is_64_bit() || !p.cpuid.has(fred::cpuid::LKGS) {
        return Err(ud());
    }
    p.require_ring_0()?;
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

fn xgetbv(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    if p.cr4 & CR4_OSXSAVE == 0 {
        return Err(ud());
    }
    match p.gpr(1, 4) {
        0 => p.set_pair(p.xcr0),
        1 => p.set_pair(p.xcr0 & p.xstate.in_use),
        _ => return Err(gp0()),
    }
    Ok(())
}

fn xsetbv(p: &mut Processor, _: &mut Memory, _: &Decoded) -> Step {
    if p.cr4 & CR4_OSXSAVE == 0 {
        return Err(ud());
    }
    p.require_ring_0()?;
    let value = p.pair();
    if p.gpr(1, 4) != 0 || !p.xcr0_is_valid(value) {
        return Err(gp0());
    }
    p.xcr0 = value;
    Ok(())
}
