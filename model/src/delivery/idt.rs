//! Delivery through the IDT in IA-32e mode (SDM vol. 3, "Exception and interrupt handling in
//! 64-bit mode").

use crate::cpu::core::Core;
use crate::cpu::load_segment::{Descriptor, null_segment};
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::access::Place;
use crate::mmu::{Kind, Privilege};
use crate::stop::Stop;
use fred::control::rflags;
use fred::event::{EventType, vector};
use fred::msr::is_canonical;

/// Bits of an error code that names a descriptor.
const EXTERNAL: u32 = 1 << 0;
const IN_IDT: u32 = 1 << 1;

/// A 16-byte gate.
#[derive(Clone, Copy, Debug)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    fn offset(self) -> u64 {
        self.low & 0xFFFF | self.low >> 32 & 0xFFFF_0000 | self.high << 32
    }

    fn selector(self) -> u16 {
        (self.low >> 16) as u16
    }

    fn ist(self) -> u8 {
        (self.low >> 32) as u8 & 7
    }

    fn descriptor(self) -> Descriptor {
        Descriptor(self.low)
    }

    /// A trap gate leaves IF alone.
    fn is_trap(self) -> bool {
        self.descriptor().segment_type() == 15
    }
}

impl Core {
    pub(super) fn deliver_by_idt(&mut self, memory: &mut Memory, event: &Event) -> Result<(), Box<Stop>> {
        if !self.is_long_mode_active() {
            // With no table at all every delivery faults, and the processor shuts down.
            if self.idtr.limit == 0 {
                return Err(fault(vector::GP, u32::from(event.vector) * 8 + IN_IDT));
            }
            return Err(Stop::Unsupported("event delivery outside IA-32e mode").into());
        }
        let external = if is_software(event) { 0 } else { EXTERNAL };
        let gate = self.gate(memory, event, external)?;
        let code = self.handler_segment(memory, gate, external)?;
        let new_cpl = if code.is_conforming() { self.cpl() } else { code.dpl() };
        let top = self.handler_stack(memory, gate, new_cpl, external)? & !0xF;
        // The whole stack before the handler's address (SDM vol. 2, INT n, operation).
        if !is_canonical(top) {
            return Err(fault(vector::SS, external));
        }
        if !is_canonical(gate.offset()) {
            return Err(fault(vector::GP, external));
        }
        let words = self.idt_frame(event);
        let places = self.stack_places(memory, top, words.len() as u64, new_cpl, external)?;
        self.mark_accessed(memory, gate.selector(), code)?;

        for (place, word) in places.iter().zip(&words) {
            memory.store_number(place, 8, *word);
        }
        let size = 8 * words.len() as u64;
        self.watch_frame(top.wrapping_sub(size), size);
        self.gpr[4] = top.wrapping_sub(size);
        self.enter_handler(gate, code, new_cpl);
        Ok(())
    }

    /// What is pushed, from the highest address down.
    fn idt_frame(&self, event: &Event) -> Vec<u64> {
        let mut words = vec![
            self.segments.ss.selector.into(),
            self.gpr[4],
            self.rflags,
            self.segments.cs.selector.into(),
            self.saved_rip(event),
        ];
        words.extend(event.error_code.map(u64::from));
        words
    }

    /// The handler's CS, SS, RIP and RFLAGS.
    fn enter_handler(&mut self, gate: Gate, code: Descriptor, new_cpl: u8) {
        if new_cpl != self.cpl() {
            self.segments.ss = null_segment(new_cpl.into(), new_cpl);
        }
        self.segments.cs = code.load(gate.selector() & !3 | u16::from(new_cpl));
        self.rip = gate.offset();
        self.rflags &= !(rflags::TF | rflags::NT | rflags::RF | rflags::VM);
        if !gate.is_trap() {
            self.rflags &= !rflags::IF;
        }
    }

    /// The event's gate, checked.
    fn gate(&mut self, memory: &mut Memory, event: &Event, external: u32) -> Result<Gate, Box<Stop>> {
        let offset = u64::from(event.vector) * 16;
        let named = u32::from(event.vector) * 8 + IN_IDT + external;
        if offset + 15 > u64::from(self.idtr.limit) {
            return Err(fault(vector::GP, named));
        }
        let address = self.idtr.base.wrapping_add(offset);
        let gate = Gate {
            low: self.read_system(memory, address, 8)?,
            high: self.read_system(memory, address.wrapping_add(8), 8)?,
        };
        let descriptor = gate.descriptor();
        if descriptor.s() || !matches!(descriptor.segment_type(), 14 | 15) {
            return Err(fault(vector::GP, named));
        }
        if is_software(event) && descriptor.dpl() < self.cpl() {
            return Err(fault(vector::GP, named));
        }
        if !descriptor.present() {
            return Err(fault(vector::NP, named));
        }
        Ok(gate)
    }

    /// The handler's code segment, checked.
    fn handler_segment(
        &mut self,
        memory: &mut Memory,
        gate: Gate,
        external: u32,
    ) -> Result<Descriptor, Box<Stop>> {
        let selector = gate.selector();
        let named = u32::from(selector & !3) + external;
        if selector & !3 == 0 {
            return Err(fault(vector::GP, external));
        }
        let address = self.descriptor_address(selector, 8).ok_or_else(|| fault(vector::GP, named))?;
        let code = Descriptor(self.read_system(memory, address, 8)?);
        if !code.is_code() || code.dpl() > self.cpl() || !code.l() || code.db() {
            return Err(fault(vector::GP, named));
        }
        if !code.present() {
            return Err(fault(vector::NP, named));
        }
        Ok(code)
    }

    /// The stack pointer that the handler starts from: IST, the TSS's RSPn, or the current one.
    fn handler_stack(
        &mut self,
        memory: &mut Memory,
        gate: Gate,
        new_cpl: u8,
        external: u32,
    ) -> Result<u64, Box<Stop>> {
        let offset = match gate.ist() {
            0 if new_cpl == self.cpl() => return Ok(self.gpr[4]),
            0 => 4 + 8 * u64::from(new_cpl),
            ist => 36 + 8 * (u64::from(ist) - 1),
        };
        self.stack_of_tss(memory, offset, external)
    }

    /// A stack pointer of the TSS, at an offset in it.
    pub(crate) fn stack_of_tss(
        &mut self,
        memory: &mut Memory,
        offset: u64,
        external: u32,
    ) -> Result<u64, Box<Stop>> {
        let tr = self.segments.tr;
        if offset + 7 > u64::from(tr.limit) {
            return Err(fault(vector::TS, u32::from(tr.selector & !3) + external));
        }
        self.read_system(memory, tr.base.wrapping_add(offset), 8)
    }

    /// Where each quadword of the frame goes, from the highest address down.
    pub(crate) fn stack_places(
        &mut self,
        memory: &mut Memory,
        top: u64,
        count: u64,
        new_cpl: u8,
        external: u32,
    ) -> Result<Vec<Place>, Box<Stop>> {
        let privilege = if new_cpl == 3 { Privilege::User } else { Privilege::Implicit };
        (1..=count)
            .map(|n| {
                let linear = top.wrapping_sub(8 * n);
                if !is_canonical(linear) {
                    return Err(fault(vector::SS, external));
                }
                self.resolve(memory, linear, 8, Kind::Write, privilege)
            })
            .collect()
    }
}

/// INT n, INT3 and INTO: the gate's DPL is checked and error codes do not say "external". INT1 is
/// treated as a hardware exception.
fn is_software(event: &Event) -> bool {
    matches!(event.event_type, EventType::SoftwareInterrupt | EventType::SoftwareException)
}

fn fault(vector: u8, error_code: u32) -> Box<Stop> {
    Stop::Fault(Event::with_error_code(vector, error_code)).into()
}
