//! FRED event delivery (SDM vol. 3, "FRED event delivery"), one function for each step.
//!
//! Nothing is committed before every store is known to succeed: a delivery that faults or is
//! refused leaves the processor and the frame's memory as they were.

use crate::cpu::core::Core;
use crate::event::Event;
use crate::memory::Memory;
use crate::mmu::{Kind, Privilege};
use crate::stop::Stop;
use fred::config::{FredConfig, StackLevels};
use fred::control::rflags;
use fred::event::{EventType, vector};
use fred::frame::Frame;
use fred::msr::is_canonical;
use fred::slot::{CsSlot, SsSlot};

/// Whether data breakpoints watch the stores of FRED's frame as they do those of the IDT's.
///
/// A doubt, in `docs/open-questions.md`: no text about FRED names them.
const FRAME_IS_WATCHED: bool = true;
/// The error code of an #SS that the push of a frame meets at an address that is not canonical.
///
/// A doubt, in `docs/open-questions.md`: bit 0, EXT, by the general rule of error codes, or 0.
const PUSH_ERROR_CODE: u32 = 0;
/// From the entry page to the entry point of events that interrupt CPL 0.
const RING_0_ENTRY: u64 = 0x100;

impl Core {
    pub(super) fn deliver_by_fred(&mut self, memory: &mut Memory, event: &Event) -> Result<(), Box<Stop>> {
        let config = FredConfig(self.msrs.fred.config);
        let entry = self.entry_point(config);
        let level = self.new_stack_level(config, event);
        let top = self.new_stack(config, level);
        let frame = self.frame(config, event);
        self.push_frame(memory, top, frame)?;

        let from_user = self.cpl() == 3;
        self.rip = entry;
        self.gpr[4] = top.wrapping_sub(Frame::SIZE);
        // IA32_FMASK has no effect here: see docs/open-questions.md. With IA32_FMASK = 0 there is no difference.
        self.rflags = rflags::FIXED;
        self.msrs.fred.config = config.with_csl(level).0;
        if from_user {
            self.enter_ring_0();
        }
        Ok(())
    }

    /// Step 2: where the handler starts.
    fn entry_point(&self, config: FredConfig) -> u64 {
        config.entry_page() + if self.cpl() == 3 { 0 } else { RING_0_ENTRY }
    }

    /// Step 3: the stack level of the handler.
    fn new_stack_level(&self, config: FredConfig, event: &Event) -> u8 {
        let from_user = self.cpl() == 3;
        let current = if from_user { 0 } else { config.csl() };
        event_stack_level(config, StackLevels(self.msrs.fred.stklvls), event, from_user).max(current)
    }

    /// Step 4: the stack pointer, before the frame is pushed.
    fn new_stack(&self, config: FredConfig, level: u8) -> u64 {
        if self.cpl() == 3 || level > config.csl() {
            self.msrs.fred.rsp[usize::from(level & 3)]
        } else {
            self.gpr[4].wrapping_sub(config.redzone()) & !0x3F
        }
    }

    /// Step 5: what is pushed.
    fn frame(&self, config: FredConfig, event: &Event) -> Frame {
        let cs = CsSlot::new(self.segments.cs.selector, config.csl());
        let mut ss = SsSlot::new(self.segments.ss.selector, event.event_type, event.vector)
            .with_instruction_length(event.length);
        let software = match event.event_type {
            EventType::SoftwareInterrupt => true,
            EventType::Other => matches!(event.vector, 1 | 2),
            _ => false,
        };
        for (condition, bit) in [
            (self.sti_blocking, SsSlot::STI),
            (software, SsSlot::SOFTWARE),
            (event.event_type == EventType::Nmi, SsSlot::NMI),
            (self.is_64_bit(), SsSlot::LONG_MODE),
            (event.nested, SsSlot::NESTED),
        ] {
            if condition {
                ss = ss.with(bit);
            }
        }
        Frame {
            error_code: event.error_code.unwrap_or(0).into(),
            rip: self.saved_rip(event),
            cs,
            rflags: self.rflags,
            rsp: self.gpr[4],
            ss,
            event_data: event.data,
            reserved: 0,
        }
    }

    /// Step 5: the push. The store of each quadword is an access that the second-stage page tables must
    /// permit, from the highest address down. No store is made before all are permitted.
    fn push_frame(&mut self, memory: &mut Memory, top: u64, frame: Frame) -> Result<(), Box<Stop>> {
        let bottom = top.wrapping_sub(Frame::SIZE);
        if !is_canonical(bottom) || !is_canonical(top.wrapping_sub(8)) {
            return Err(Stop::Fault(Event::with_error_code(vector::SS, PUSH_ERROR_CODE)).into());
        }
        // The frame is aligned to its size, so that all of it is in the page of its last quadword.
        let last = self.translate(memory, top.wrapping_sub(8), Kind::Write, Privilege::Implicit)?;
        let words = frame.to_words();
        for n in 1..words.len() as u64 {
            memory.permit(last - 8 * n, true)?;
        }
        for (word, value) in (0u64..).zip(words) {
            memory.save(last - 56 + 8 * word, &value.to_le_bytes());
        }
        if FRAME_IS_WATCHED {
            self.watch_frame(bottom, Frame::SIZE);
        }
        Ok(())
    }

    /// Step 6: CS and SS for ring 0, and the kernel's GS base.
    fn enter_ring_0(&mut self) {
        let cs = (self.msrs.star >> 32) as u16 & !3;
        self.load_flat(cs, cs.wrapping_add(8), 0);
        self.swap_gs();
    }
}

/// The stack level that an event requests.
fn event_stack_level(config: FredConfig, levels: StackLevels, event: &Event, from_user: bool) -> u8 {
    if from_user && !event.nested && !is_double_fault(event) {
        return 0;
    }
    match event.event_type {
        EventType::ExternalInterrupt => config.interrupt_level(),
        EventType::Nmi
        | EventType::HardwareException
        | EventType::PrivilegedSoftwareException
        | EventType::SoftwareException => levels.level(event.vector),
        EventType::SoftwareInterrupt | EventType::Other => 0,
    }
}

fn is_double_fault(event: &Event) -> bool {
    event.event_type == EventType::HardwareException && event.vector == vector::DF
}
