//! Frames for ERETS and ERETU that the act builds by hand, on the act stack.

use guest::prelude::*;

/// Where such a frame begins: six quadwords below the act's RSP.
pub const FRAME: Stack = Stack::ActBelow(0x30);

/// The frame's CS slot.
pub const CS: u64 = 2;
/// The frame's RFLAGS.
pub const FLAGS: u64 = 3;
/// The frame's SS slot.
pub const SS: u64 = 5;

/// Overwrites a quadword of the hand-built frame, 0 the error code, in the handler of the event that the return
/// instruction has raised.
pub fn rewrite(frame: &mut Frame, quadword: u64, value: u64) {
    let place = (frame.rsp + 8 * quadword) as *mut u64;
    // SAFETY: the return instruction has changed nothing, so that RSP is where the act built its frame, on a stack
    // that no compiled code uses. If RSP is wrong the judge says so.
    unsafe { place.write_volatile(value) }
}

/// An act in ring 0 that begins with RSP at a hand-built frame, whose RSP is the act's. `rip` pushes RIP and may use
/// RCX; the others are literals of 32 bits, signed. The error code is garbage. RBX is used.
#[macro_export]
macro_rules! act_hand_built {
    (
        name: $name:literal, rip: [$($rip:expr),*], cs: $cs:literal, rflags: $rflags:literal, ss: $ss:literal,
        armed: [$($armed:expr),*], act: [$($act:expr),*], $($operands:tt)*
    ) => {
        act! {
            name: $name,
            set: [
                "mov rbx, rsp", concat!("push ", $ss), "push rbx", concat!("push ", $rflags), concat!("push ", $cs),
                $($rip,)* "push 0x5A5A5A5A"
            ],
            armed: [$($armed),*],
            act: [$($act),*],
            $($operands)*
        }
    };
}
