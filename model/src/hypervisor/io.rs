//! Port I/O: an exit to user space, completed by the next KVM_RUN.

use super::queue::QueuedException;
use super::{PendingIo, Vm};
use crate::event::Event;
use crate::msr::BTF;
use fred::control::rflags;
use fred::data::DebugData;
use fred::event::vector;
use vm::Exit;

impl Vm {
    /// Answers the last exit for input. Returns false when there is none, or `data` is not as long
    /// as what was asked for.
    pub(super) fn answer_input(&mut self, data: &[u8]) -> bool {
        match &mut self.pending_io {
            Some(pending) if pending.input && pending.data.len() == data.len() => {
                pending.data.copy_from_slice(data);
                true
            }
            _ => false,
        }
    }

    /// The exit of an I/O instruction; `None` when an OUTS could not read its item.
    pub(super) fn exit_for_io(&mut self, mut io: PendingIo) -> Option<Exit> {
        let (port, size) = (io.port, io.size);
        io.data = vec![0xFF; usize::from(size)];
        if io.input {
            self.pending_io = Some(io);
            return Some(Exit::IoIn { port, size, count: 1 });
        }
        let mut data = std::mem::take(&mut io.data);
        if !io.string {
            data.copy_from_slice(&self.processor.gpr[RAX].to_le_bytes()[..usize::from(size)]);
        } else if let Err(event) = self.processor.outs_data(&mut self.memory, &mut data, size) {
            self.queue_fault(&event);
            return None;
        }
        self.pending_io = Some(io);
        Some(Exit::IoOut { port, size, data })
    }

    /// `complete_userspace_io`: the instruction takes effect, and an event that it raises is queued.
    pub(super) fn complete_io(&mut self) {
        let Some(io) = self.pending_io.take() else { return };
        if io.input && io.string {
            if let Err(event) = self.processor.finish_ins(&mut self.memory, &io.data, io.size) {
                // The instruction has not completed.
                self.queue_fault(&event);
                return;
            }
        } else if io.input {
            let rax = &mut self.processor.gpr[RAX];
            let mut bytes = rax.to_le_bytes();
            bytes[..io.data.len()].copy_from_slice(&io.data);
            *rax = u64::from_le_bytes(bytes);
            // A 32-bit IN zero-extends, as every write to a 32-bit register does.
            if io.size == 4 {
                *rax &= 0xFFFF_FFFF;
            }
        }
        self.finish_instruction(&io);
    }

    /// A fault in the emulation of an instruction becomes pending; a #PF has its address as payload.
    fn queue_fault(&mut self, event: &Event) {
        let payload = (event.vector == vector::PF).then_some(event.data);
        self.queue.exception = Some(QueuedException::pending(event.vector, event.error_code, payload));
    }

    /// `kvm_skip_emulated_instruction`: all debug conditions of the instruction are queued as one #DB. KVM
    /// itself considers TF alone.
    fn finish_instruction(&mut self, io: &PendingIo) {
        let cpu = &mut self.processor;
        let single_step = cpu.rflags & rflags::TF != 0 && cpu.msrs.debugctl & BTF == 0;
        let held_back = std::mem::take(&mut cpu.pending_debug);
        let mut conditions = held_back | cpu.io_breakpoints(io.port, io.size) | cpu.take_breakpoints();
        if single_step {
            conditions |= DebugData::BS;
        }
        if io.rep && cpu.gpr[RCX] != 0 {
            // Between two iterations, as the processor would have it.
            cpu.rflags |= rflags::RF;
        } else {
            cpu.skip_instruction(io.length);
        }
        if conditions != 0 {
            self.queue.exception = Some(QueuedException::pending(vector::DB, None, Some(conditions)));
        }
    }
}

const RAX: usize = 0;
const RCX: usize = 1;
