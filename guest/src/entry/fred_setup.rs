//! FRED: MSRs and CR4.FRED.

use crate::layout::{DOUBLE_FAULT_STACK, FRAME_TOP, OTHER_STACK};
use crate::registers::{set_cr4, write_msr};
use fred::config::{FredConfig, StackLevels};
use fred::control::CR4_FRED;
use fred::event::vector;
use fred::msr::{FMASK, FRED_CONFIG, FRED_RSP0, FRED_RSP1, FRED_RSP2, FRED_RSP3, FRED_STKLVLS, STAR};

unsafe extern "C" {
    static fred_entry_page: u8;
}

/// The entry page.
pub(crate) const ENTRY_PAGE: crate::address::Address =
    crate::address::Address::of(&raw const fred_entry_page);

/// #PF, #DB and #NM enter on level 1, #DF on level 3, the others on level 2, so that an event
/// nobody expects does not touch the frame page. From ring 3 every event enters on level 0, whose
/// stack is the frame page too.
const LEVELS: StackLevels = {
    let mut levels = StackLevels(0xAAAA_AAAA_AAAA_AAAA);
    levels = levels.with(vector::PF, 1).with(vector::DB, 1).with(vector::NM, 1);
    levels.with(vector::DF, 3)
};

/// Sets FRED up and turns it on. CPUID must have it.
pub(crate) fn init() {
    write_msr(STAR, crate::segments::STAR);
    // Some texts let IA32_FMASK mask flags for every FRED event; with 0 both readings agree.
    write_msr(FMASK, 0);
    set_stacks();
    set_cr4(CR4_FRED);
}

/// Gives the MSRs that say where events land their usual values, stack level 0 among them.
pub(crate) fn set_stacks() {
    write_msr(FRED_RSP0, FRAME_TOP.value());
    write_msr(FRED_RSP1, FRAME_TOP.value());
    write_msr(FRED_RSP2, OTHER_STACK.end().value());
    write_msr(FRED_RSP3, DOUBLE_FAULT_STACK.end().value());
    write_msr(FRED_STKLVLS, LEVELS.0);
    write_msr(FRED_CONFIG, FredConfig(ENTRY_PAGE.value()).0);
}
