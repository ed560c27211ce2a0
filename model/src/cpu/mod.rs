//! The interpreter.
pub(crate) mod cache;
use crate::event::Event;
use crate::memory::Memory;
use crate::processor::{Entry, Exit, ExitReason, Processor};
/// What one entry keeps beside the architectural state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Run {}
impl Processor {
    pub(crate) fn enter_guest(&mut self, _: &mut Memory, _: &Entry) -> Exit {
        Exit { reason: ExitReason::Budget, original: None, instructions: 0 }
    }
    pub(crate) fn advance(&mut self, length: u8) {
        self.rip = self.rip.wrapping_add(length.into());
    }
    pub(crate) fn finish_ins_item(&mut self, _: &mut Memory, _: &[u8], _: u8) -> Result<(), Event> {
        Ok(())
    }
    pub(crate) fn outs_item(&mut self, _: &mut Memory, _: &mut [u8], _: u8) -> Result<(), Event> {
        Ok(())
    }
}
