//! MOV to and from control and debug registers, CLTS, LMSW, SMSW.

use super::core::Core;
use super::decoded::{Decoded, Handler, Operand};
use crate::event::Event;
use crate::memory::Memory;
use crate::stop::{Step, Stop, gp0, ud};
use fred::control::{
    CR0_ET, CR0_PE, CR0_PG, CR0_TS, CR4_DE, CR4_FRED, CR4_OSXSAVE, CR4_PAE, CR4_SMAP, CR4_SMEP, EFER_LMA,
    EFER_LME,
};
use fred::debug::{Dr6, Dr7};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Clts => clts,
        M::Smsw => |p, m, d| p.write(m, d, 0, p.cr0),
        M::Lmsw => lmsw,
        _ => return None,
    })
}

const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
/// PE MP EM TS ET NE WP AM NW CD PG.
const CR0_DEFINED: u64 = 0xE005_003F;

/// MOV with a control or debug register as an operand.
pub(super) fn mov(p: &mut Core, _: &mut Memory, d: &Decoded) -> Step {
    p.require_ring_0()?;
    let size = if p.is_64_bit() { 8 } else { 4 };
    match (d.operands[0], d.operands[1]) {
        (Operand::Gpr(to), Operand::Control(from)) => {
            let value = p.control_register(from)?;
            p.set_gpr(to, size, value);
            Ok(())
        }
        (Operand::Control(to), Operand::Gpr(from)) => p.set_control_register(to, p.gpr(from, size)),
        (Operand::Gpr(to), Operand::Debug(from)) => {
            let from = p.debug_register_number(from)?;
            let value = match from {
                6 => p.dr6,
                7 => p.dr7,
                n => p.dr[usize::from(n) & 3],
            };
            p.set_gpr(to, size, value);
            Ok(())
        }
        (Operand::Debug(to), Operand::Gpr(from)) => p.set_debug_register(to, p.gpr(from, size)),
        _ => Err(Stop::Unknown.into()),
    }
}

fn clts(p: &mut Core, _: &mut Memory, _: &Decoded) -> Step {
    p.require_ring_0()?;
    p.cr0 &= !CR0_TS;
    Ok(())
}

fn lmsw(p: &mut Core, m: &mut Memory, d: &Decoded) -> Step {
    p.require_ring_0()?;
    let value = p.read(m, d, 0)?;
    // PE MP EM TS; PE can be set but not cleared.
    p.set_cr0(p.cr0 & !0xE | value & 0xF)
}

impl Core {
    fn control_register(&self, number: u8) -> Result<u64, Box<Stop>> {
        Ok(match number {
            0 => self.cr0,
            2 => self.cr2,
            3 => self.cr3,
            4 => self.cr4,
            8 => self.cr8,
            _ => return Err(ud()),
        })
    }

    fn set_control_register(&mut self, number: u8, value: u64) -> Step {
        match number {
            0 => return self.set_cr0(value),
            2 => self.cr2 = value,
            3 => {
                if value >> self.features.physical_bits != 0 {
                    return Err(gp0());
                }
                self.cr3 = value;
                self.tlb.flush();
            }
            4 => return self.set_cr4(value),
            8 => {
                if value > 15 {
                    return Err(gp0());
                }
                self.cr8 = value;
            }
            _ => return Err(ud()),
        }
        Ok(())
    }

    fn set_cr0(&mut self, value: u64) -> Step {
        let (pg, pe) = (value & CR0_PG != 0, value & CR0_PE != 0);
        let not_write_through = value & CR0_NW != 0 && value & CR0_CD == 0;
        if value >> 32 != 0 || pg && !pe || not_write_through {
            return Err(gp0());
        }
        let was_pg = self.cr0 & CR0_PG != 0;
        if pg && !was_pg {
            if self.efer & EFER_LME == 0 {
                return Err(Stop::Unsupported("paging outside IA-32e mode").into());
            }
            if self.cr4 & CR4_PAE == 0 || self.segments.cs.l {
                return Err(gp0());
            }
            self.efer |= EFER_LMA;
        } else if !pg && was_pg {
            if self.is_64_bit() || self.fred() {
                return Err(gp0());
            }
            self.efer &= !EFER_LMA;
        }
        self.cr0 = value & CR0_DEFINED | CR0_ET;
        self.tlb.flush();
        Ok(())
    }

    fn set_cr4(&mut self, value: u64) -> Step {
        // TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT.
        let mut allowed = 0x7FC;
        for (feature, bit) in [
            (fred::cpuid::SMEP, CR4_SMEP),
            (fred::cpuid::XSAVE, CR4_OSXSAVE),
            (fred::cpuid::FRED, CR4_FRED),
            (fred::cpuid::SMAP, CR4_SMAP),
        ] {
            if self.cpuid.has(feature) {
                allowed |= bit;
            }
        }
        let long = self.efer & EFER_LMA != 0;
        if value & !allowed != 0 || long && value & CR4_PAE == 0 || !long && value & CR4_FRED != 0 {
            return Err(gp0());
        }
        self.cr4 = value;
        self.tlb.flush();
        Ok(())
    }

    /// Which debug register an encoding means, after the checks of any access to one.
    fn debug_register_number(&mut self, number: u8) -> Result<u8, Box<Stop>> {
        let number = match number {
            4 | 5 if self.cr4 & CR4_DE != 0 => return Err(ud()),
            4 | 5 => number + 2,
            0..=7 => number,
            _ => return Err(ud()),
        };
        if self.dr7 & Dr7::GD != 0 {
            return Err(Stop::Fault(Event::debug(fred::data::DebugData::BD)).into());
        }
        Ok(number)
    }

    fn set_debug_register(&mut self, number: u8, value: u64) -> Step {
        let number = self.debug_register_number(number)?;
        if number >= 6 && value >> 32 != 0 {
            return Err(gp0());
        }
        match number {
            6 => self.dr6 = value & Dr6::VOLATILE | Dr6::FIXED_1,
            // Bits 10 reads as 1; 12, 14 and 15 as 0; RTM (bit 11) is not offered.
            7 => self.dr7 = value & 0xFFFF_23FF | Dr7::RESET.0,
            n => self.dr[usize::from(n) & 3] = value,
        }
        Ok(())
    }
}
