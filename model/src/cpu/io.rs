//! IN, OUT, INS and OUTS: each is an exit, and what completes it.

use super::core::Core;
use super::decoded::{Decoded, Handler};
use super::scratch::Item;
use crate::event::Event;
use crate::exit::ExitReason;
use crate::memory::Memory;
use crate::mmu::Kind;
use crate::segment::seg;
use crate::stop::{Step, Stop, gp0};
use iced_x86::Mnemonic;

pub(super) fn handler(mnemonic: Mnemonic) -> Option<Handler> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::In => |p, m, d| port_operand(p, m, d, true),
        M::Out => |p, m, d| port_operand(p, m, d, false),
        M::Insb | M::Insw | M::Insd => |p, m, d| string_io(p, m, d, true),
        M::Outsb | M::Outsw | M::Outsd => |p, m, d| string_io(p, m, d, false),
        _ => return None,
    })
}

impl Core {
    /// The I/O permission check: CPL against IOPL, then the TSS's bitmap.
    fn require_port(&mut self, memory: &mut Memory, port: u16, size: u8) -> Step {
        if self.is_real_mode() || self.cpl() <= self.iopl() {
            return Ok(());
        }
        let tr = self.segments.tr;
        let limit = u64::from(tr.limit);
        if !tr.present || limit < 0x67 {
            return Err(gp0());
        }
        let map = self.read_system(memory, tr.base.wrapping_add(0x66), 2)?;
        let byte = map + u64::from(port / 8);
        if byte + 1 > limit {
            return Err(gp0());
        }
        let bits = self.read_system(memory, tr.base.wrapping_add(byte), 2)? >> (port % 8);
        if bits & ((1 << size) - 1) != 0 {
            return Err(gp0());
        }
        Ok(())
    }
}

fn port_operand(p: &mut Core, m: &mut Memory, d: &Decoded, input: bool) -> Step {
    let (value, port) = if input { (0, 1) } else { (1, 0) };
    let size = d.instruction.op_register(value).size() as u8;
    let port = match d.operands[port as usize] {
        super::decoded::Operand::Immediate => d.immediate as u8 as u16,
        _ => p.gpr(2, 2) as u16,
    };
    p.require_port(m, port, size)?;
    Err(Box::new(Stop::Exit(ExitReason::Io {
        port,
        size,
        input,
        string: false,
        rep: false,
        address_size: if p.is_64_bit() { 8 } else { 4 },
        segment: seg::DS,
        length: d.length,
    })))
}

fn string_io(p: &mut Core, m: &mut Memory, d: &Decoded, input: bool) -> Step {
    let item = Item::of(&d.instruction);
    if item.rep && p.gpr(1, item.address_size) == 0 {
        return Ok(());
    }
    let port = p.gpr(2, 2) as u16;
    p.require_port(m, port, item.size)?;
    p.scratch.io = Some(item);
    Err(Box::new(Stop::Exit(ExitReason::Io {
        port,
        size: item.size,
        input,
        string: true,
        rep: item.rep,
        address_size: item.address_size,
        segment: if input { seg::ES } else { item.segment },
        length: d.length,
    })))
}

impl Core {
    /// The item of the last exit; a 64-bit one without REP when there was none here.
    fn last_item(&self, size: u8, segment: u8) -> Item {
        let default = Item { size, address_size: 8, segment, rep: false, while_equal: false };
        Item { size, ..self.scratch.io.unwrap_or(default) }
    }

    fn count_item(&mut self, item: &Item, register: u8) {
        self.move_index(register, item, 1);
        if item.rep {
            let count = self.gpr(1, item.address_size).wrapping_sub(1);
            self.set_gpr(1, item.address_size, count);
        }
    }

    /// See [`finish_ins`](crate::processor::Processor::finish_ins).
    pub(crate) fn finish_ins(&mut self, memory: &mut Memory, data: &[u8], size: u8) -> Result<(), Event> {
        let last = self.last_item(size, seg::ES);
        let bytes = &data[..data.len().min(size.into())];
        let offset = self.gpr(7, last.address_size);
        let place = self.hypervisor_access(memory, seg::ES, offset, size, Kind::Write)?;
        memory.store_place(&place, bytes);
        self.count_item(&last, 7);
        Ok(())
    }

    /// See [`outs_data`](crate::processor::Processor::outs_data).
    pub(crate) fn outs_data(&mut self, memory: &mut Memory, data: &mut [u8], size: u8) -> Result<(), Event> {
        let last = self.last_item(size, seg::DS);
        let length = data.len().min(size.into());
        let offset = self.gpr(6, last.address_size);
        let place = self.hypervisor_access(memory, last.segment, offset, size, Kind::Read)?;
        memory.load_place(&place, &mut data[..length]);
        self.count_item(&last, 6);
        Ok(())
    }

    fn hypervisor_access(
        &mut self,
        memory: &mut Memory,
        segment: u8,
        offset: u64,
        size: u8,
        kind: Kind,
    ) -> Result<crate::mmu::access::Place, Event> {
        self.prepare();
        self.scratch.breakpoints = 0;
        memory.set_unchecked(true);
        let place = self.data(memory, segment, offset, size.max(1).into(), kind);
        memory.set_unchecked(false);
        place.map_err(|stop| match *stop {
            Stop::Fault(event) => event,
            // A paging mode that the model does not support ends the next entry with its own message.
            _ => Event::gp(0),
        })
    }
}
