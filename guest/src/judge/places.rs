//! Where things lie in an image.

use super::event::{Rip, Stack, Top};
use crate::options::DeliveryMode;

/// Where things lie in this image: what the symbols in an [`Event`](super::Event) stand for.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The act's first instruction.
    pub act: u64,
    /// The instruction after the act.
    pub after: u64,
    /// The instruction after the second act.
    pub last: u64,
    /// RSP while an act runs in ring 0.
    pub act_rsp: u64,
    /// RSP while an act runs in ring 3.
    pub user_rsp: u64,
    /// Just past the frame stack, the linear address of the frame page.
    pub frame_stack_end: u64,
    /// Just past the stack of other events.
    pub other_stack_end: u64,
    /// Just past the act stack.
    pub act_stack_end: u64,
    /// The FRED entry page.
    pub entry_page: u64,
    /// The first of the IDT stubs, 16 bytes each.
    pub idt_stubs: u64,
}

impl Places {
    pub(super) fn rip(&self, rip: Rip, delivery: DeliveryMode) -> u64 {
        match rip {
            Rip::Act => self.act,
            Rip::Plus(bytes) => self.act + bytes,
            Rip::After => self.after,
            Rip::Last => self.last,
            Rip::Entry(vector) => self.entry(vector, 0x100, delivery),
            Rip::UserEntry(vector) => self.entry(vector, 0, delivery),
            Rip::At(offset) => offset,
        }
    }

    fn entry(&self, vector: u64, offset: u64, delivery: DeliveryMode) -> u64 {
        match delivery {
            DeliveryMode::Fred => self.entry_page + offset,
            DeliveryMode::Idt => self.idt_stubs + 0x10 * vector,
        }
    }

    pub(super) fn stack(&self, stack: Stack, delivery: DeliveryMode) -> u64 {
        match stack {
            Stack::Act => self.act_rsp,
            Stack::ActBelow(bytes) => self.act_rsp - bytes,
            Stack::User => self.user_rsp,
            Stack::Frame(below) => self.frame_stack_end - below,
            Stack::Handler(idt_frame_bytes) => match delivery {
                DeliveryMode::Fred => self.frame_stack_end - 0x40,
                DeliveryMode::Idt => self.frame_stack_end - idt_frame_bytes,
            },
            Stack::At(address) => address,
        }
    }

    pub(super) fn top(&self, top: Top) -> u64 {
        match top {
            Top::Frame(below) => self.frame_stack_end - below,
            Top::Other(below) => self.other_stack_end - below,
            Top::Act(below) => self.act_stack_end - below,
        }
    }
}
