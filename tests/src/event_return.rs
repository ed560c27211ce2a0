//! Acts whose first instruction is ERETS or ERETU, with a frame that software has built.

/// An act whose first instruction is ERETS, or ERETU, with a frame on the act stack that leads to `after`; `then` is
/// there, in ring 0. What else a case changes in the frame, it changes in `armed`.
#[macro_export]
macro_rules! act_event_return {
    (
        name: $name:literal, by: $by:literal, ss: $ss:literal, rflags: $rflags:literal, cs: $cs:literal,
        armed: [$($armed:expr),*], then: [$($then:expr),*]
    ) => {
        guest::act! {
            name: $name,
            set: ["movabs rbx, 0x8000000000000000"],
            armed: [
                // Event data and the last quadword are not read, nor is the error code.
                "push 0x5A5A5A5A",
                "push 0x3C3C3C3C",
                concat!("push ", $ss),
                "push rsp",
                "add qword ptr [rsp], 24",
                concat!("push ", $rflags),
                concat!("push ", $cs),
                concat!("push offset \"", $name, ".after\""),
                "push 0x7E7E7E7E",
                "push 2",
                "popfq"
                $(, $armed)*
            ],
            act: [$by],
            then: [$($then),*],
        }
    };
}

/// An act with several wrong frames, one after the other: `at` is the place of the slot that changes. From one return
/// to the next it is 13 bytes.
#[macro_export]
macro_rules! act_refused {
    (
        name: $name:literal, by: $by:literal, ss: $ss:literal, cs: $cs:literal, at: $at:literal,
        $first:literal $(, $next:literal)*
    ) => {
        $crate::act_event_return! {
            name: $name, by: $by, ss: $ss, rflags: "2", cs: $cs,
            armed: [concat!("mov qword ptr [rsp + ", $at, "], ", $first)],
            then: [$(concat!("mov qword ptr [rsp + ", $at, "], ", $next), $by),*]
        }
    };
}

/// An act whose first instruction is ERETU, with a frame on the act stack that leads to `user`, in ring 3. What
/// raises nothing there falls into a UD2.
#[macro_export]
macro_rules! act_eretu {
    (
        name: $name:literal, ss: $ss:literal, rflags: $rflags:literal, cs: $cs:literal,
        armed: [$($armed:expr),*], user: [$($user:expr),*]
    ) => {
        ::core::arch::global_asm!(
            ".pushsection .entry.acts, \"ax\", @progbits",
            guest::act_names!($name),
            concat!("\"", $name, ".start\":"),
            "call act_armed",
            "out dx, eax",
            "push 0x5A5A5A5A",
            "push 0x3C3C3C3C",
            concat!("push ", $ss),
            "push offset {act_user_stack} + {act_user_rsp}",
            concat!("push ", $rflags),
            concat!("push ", $cs),
            concat!("push offset \"", $name, ".after\""),
            "push 0x7E7E7E7E",
            "push 2",
            "popfq",
            $($armed,)*
            concat!("\"", $name, ".act\":"),
            // ERETU
            ".byte 0xF3, 0x0F, 0x01, 0xCA",
            // Where it is not refused.
            "jmp act_leave",
            ".popsection",
            ".pushsection .user, \"ax\", @progbits",
            concat!("\"", $name, ".after\":"),
            $($user,)*
            ".code64",
            concat!("\"", $name, ".last\":"),
            "ud2",
            ".popsection",
            act_user_stack = sym guest::layout::USER_STACK,
            act_user_rsp = const guest::layout::PAGE - guest::layout::ACT_HEADROOM,
        );
        guest::act_places!($name);
    };
}
