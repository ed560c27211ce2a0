//! Far transfers through the call gates of IA-32e mode (SDM vol. 2, CALL and JMP, "64-bit call gate").

use super::core::Core;
use super::load_segment::{Descriptor, null_segment, selector_fault};
use crate::memory::Memory;
use crate::stop::{Step, Stop, gp0};
use fred::event::vector;
use fred::msr::is_canonical;

/// The only system descriptor that a far transfer may name in IA-32e mode.
const CALL_GATE: u8 = 12;

/// A gate's target, checked.
pub(super) struct Gate {
    selector: u16,
    code: Descriptor,
    offset: u64,
}

impl Gate {
    /// Whether the handler runs at a more privileged level.
    fn goes_inwards(&self, cpl: u8) -> bool {
        !self.code.is_conforming() && self.code.dpl() < cpl
    }
}

impl Core {
    /// The call gate that `selector` names; `None` where it names a segment.
    ///
    /// # Errors
    /// The faults of the gate and of the code segment that it names.
    pub(super) fn call_gate(&mut self, m: &mut Memory, selector: u16) -> Result<Option<Gate>, Box<Stop>> {
        if !self.is_long_mode_active() || selector & !3 == 0 {
            return Ok(None);
        }
        let low = self.descriptor(m, selector)?;
        if low.s() {
            return Ok(None);
        }
        let (gp, cpl) = (|| selector_fault(vector::GP, selector), self.cpl());
        if low.segment_type() != CALL_GATE || low.dpl() < cpl || (selector & 3) as u8 > low.dpl() {
            return Err(gp());
        }
        let address = self.descriptor_address(selector, 16).ok_or_else(gp)?;
        let high = self.read_system(m, address.wrapping_add(8), 8)?;
        // The type of the upper half is 0, so that it cannot be taken for a descriptor.
        if high >> 40 & 0x1F != 0 {
            return Err(gp());
        }
        if !low.present() {
            return Err(selector_fault(vector::NP, selector));
        }
        let target = (low.0 >> 16) as u16;
        if target & !3 == 0 {
            return Err(gp0());
        }
        let code = self.descriptor(m, target)?;
        if !code.is_code() || code.dpl() > cpl || !code.l() || code.db() {
            return Err(selector_fault(vector::GP, target));
        }
        if !code.present() {
            return Err(selector_fault(vector::NP, target));
        }
        let offset = low.0 & 0xFFFF | low.0 >> 32 & 0xFFFF_0000 | high << 32;
        let gate = Gate { selector: target, code, offset };
        // Nothing but event delivery and ERETU changes rings under FRED.
        if self.fred() && gate.goes_inwards(cpl) {
            return Err(selector_fault(vector::GP, target));
        }
        if is_canonical(offset) { Ok(Some(gate)) } else { Err(gp0()) }
    }

    /// JMP: never to another privilege level.
    pub(super) fn jump_through(&mut self, m: &mut Memory, gate: &Gate) -> Step {
        let cpl = self.cpl();
        if gate.goes_inwards(cpl) {
            return Err(selector_fault(vector::GP, gate.selector));
        }
        self.enter_gate(m, gate, cpl)
    }

    /// CALL: with the stack of the TSS where the level changes, and no parameters copied.
    pub(super) fn call_through(&mut self, m: &mut Memory, gate: &Gate) -> Step {
        let (cs, back) = (self.segments.cs.selector.into(), self.scratch.next_rip);
        let (stack, cpl) = (self.gpr[4], self.cpl());
        if !gate.goes_inwards(cpl) {
            let places = self.two_pushes(m, 8)?;
            self.enter_gate(m, gate, cpl)?;
            m.store_number(&places[0], 8, cs);
            m.store_number(&places[1], 8, back);
            self.gpr[4] = stack.wrapping_sub(16);
            return Ok(());
        }
        let new_cpl = gate.code.dpl();
        let top = self.stack_of_tss(m, 4 + 8 * u64::from(new_cpl), 0)?;
        let words = [self.segments.ss.selector.into(), stack, cs, back];
        let places = self.stack_places(m, top, words.len() as u64, new_cpl, 0)?;
        self.enter_gate(m, gate, new_cpl)?;
        for (place, word) in places.iter().zip(words) {
            m.store_number(place, 8, word);
        }
        self.segments.ss = null_segment(new_cpl.into(), new_cpl);
        self.gpr[4] = top.wrapping_sub(8 * words.len() as u64);
        Ok(())
    }

    fn enter_gate(&mut self, m: &mut Memory, gate: &Gate, cpl: u8) -> Step {
        self.mark_accessed(m, gate.selector, gate.code)?;
        self.segments.cs = gate.code.load(gate.selector & !3 | u16::from(cpl));
        self.jump_to(gate.offset);
        Ok(())
    }
}
