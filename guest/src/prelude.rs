//! What an image needs: `use guest::prelude::*;`.

pub use crate::address::Address;
pub use crate::case::{Act, Cancel, Case, Check, Idt};
pub use crate::judge::Left;
pub use crate::judge::disturbed::{RESTING, Registers};
pub use crate::judge::event::{Event, Frame, Return, Rip, Stack, Top};
pub use crate::judge::general::General;
pub use protocol::disturbance::Register;
pub use protocol::need::Needs;
pub use protocol::note::CaseFlags;
pub use protocol::port::{INPUT, OUTPUT};

#[cfg(target_os = "none")]
pub use crate::{
    act, act_ring3,
    features::XCR0_TILES,
    layout::{FRAME_STACK, FRAME_TOP, OTHER_STACK, USER_STACK},
    paging,
    registers::{
        XFD, XFD_ERR, clear_task_switched, enable_components, read_msr, set_control, set_debugctl, set_dr0,
        set_dr1, set_dr2, set_dr3, set_dr6, set_dr7, set_task_switched, write_msr,
    },
    routes::{
        IST_FRAME, IST_OTHER, IST_UNMAPPED, UNMAPPED_TOP, entry_point, route, set_config,
        set_interrupt_level, set_stack,
    },
    segments::{descriptor, set_descriptor},
    tiles,
};
