//! What is given no faults, and why: files, directories, and functions after the name of their file.

const COMPUTES: &str = "what integer instructions compute; model/tests/silicon compares it with a real processor, no event depends on it";
const COMPUTES_FLOATING: &str =
    "what x87 and SSE instructions compute; the checks before it are not left out";
const FINDS: &str = "how the model finds an instruction's handler";
const FAST: &str = "how many iterations are made in one step where nobody can tell";
const WRONG: &str = "wrong behaviours on purpose; `midflight mutants` is about them";
const PRINTS: &str = "it only prints";
const OTHER_MODE: &str = "64-bit mode has no such instruction";

/// Never left out: delivery, event returns, exceptions, debug registers, the queue, requeue and cancel, save and restore.
pub(crate) const MODEL: [(&str, &str); 46] = [
    ("model/src/cpu/arithmetic.rs", COMPUTES),
    ("model/src/cpu/bit.rs", COMPUTES),
    ("model/src/cpu/bmi.rs", COMPUTES),
    ("model/src/cpu/flags.rs", COMPUTES),
    ("model/src/cpu/moves.rs", COMPUTES),
    ("model/src/cpu/operand.rs", COMPUTES),
    ("model/src/cpu/shift.rs", COMPUTES),
    ("model/src/cpu/cache.rs", FINDS),
    ("model/src/cpu/decode.rs", FINDS),
    ("model/src/cpu/decoded.rs", FINDS),
    ("model/src/cpu/dispatch.rs", FINDS),
    ("model/src/cpu/plain.rs", FINDS),
    ("model/src/cpu/stack.rs enter", COMPUTES),
    ("model/src/cpu/stack.rs leave", COMPUTES),
    ("model/src/cpu/stack.rs stack_size_of_frame", COMPUTES),
    ("model/src/cpu/stack.rs pusha", OTHER_MODE),
    ("model/src/cpu/stack.rs popa", OTHER_MODE),
    ("model/src/cpu/string.rs lods", COMPUTES),
    ("model/src/cpu/string.rs scas", COMPUTES),
    ("model/src/cpu/string.rs cmps", COMPUTES),
    ("model/src/cpu/string.rs together", FAST),
    ("model/src/cpu/control_flow.rs loop_if", COMPUTES),
    ("model/src/cpu/control_flow.rs branch_size", OTHER_MODE),
    ("model/src/cpu/descriptor_table.rs is_16_bit_form", OTHER_MODE),
    ("model/src/cpu/fpu.rs fninit", COMPUTES_FLOATING),
    ("model/src/cpu/fpu.rs fnclex", COMPUTES_FLOATING),
    ("model/src/cpu/fpu.rs store_word", COMPUTES_FLOATING),
    ("model/src/cpu/fpu.rs logic_xmm", COMPUTES_FLOATING),
    ("model/src/cpu/fpu.rs xmm", COMPUTES_FLOATING),
    ("model/src/cpu/fpu.rs set_xmm", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs value", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs fraction", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs is_denormal", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs is_invalid", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs under", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs scalar", COMPUTES_FLOATING),
    ("model/src/cpu/floating_point.rs compare", COMPUTES_FLOATING),
    ("model/src/cpu/run.rs text", PRINTS),
    ("model/src/hypervisor/behaviour/flaws.rs", WRONG),
    ("model/src/hypervisor/behaviour/injected.rs", WRONG),
    ("model/src/hypervisor/behaviour/intercepts.rs", WRONG),
    ("model/src/hypervisor/behaviour/proposals.rs", WRONG),
    ("model/src/hypervisor/clock.rs", "no guest here reads the time"),
    ("model/src/hypervisor/trace.rs", PRINTS),
    ("model/src/hypervisor/tracepoints.rs", PRINTS),
    ("model/src/lib.rs", FINDS),
];

pub(crate) const JUDGE: [(&str, &str); 2] =
    [("guest/src/judge/tests.rs", TESTS), ("guest/src/judge/tests", TESTS)];
const TESTS: &str = "the tests that must notice";

/// Never left out: what a stop does and how its cut is proved, what the runner makes of it, and the verdict.
pub(crate) const PROOFS: [(&str, &str); 20] = [
    ("host/src/stops/probe/guest.rs", PROBES_GUEST),
    ("host/src/stops/storm/aim.rs", AIMS),
    ("host/src/stops/page.rs applies", WHICH),
    ("host/src/stops/act.rs applies", WHICH),
    ("host/src/stops/io.rs applies", WHICH),
    ("host/src/stops/ring/mod.rs applies", WHICH),
    ("host/src/stops/storm/mod.rs applies", WHICH),
    ("host/src/stops/storm/mod.rs is_of_interest", WHICH),
    ("host/src/stops/evict.rs applies", WHICH),
    ("host/src/stops/event_return.rs applies", WHICH),
    ("host/src/stops/access.rs applies", WHICH),
    ("host/src/stops/cancel.rs applies", WHICH),
    ("host/src/stops/abandon.rs applies", WHICH),
    ("host/src/stops/abandon.rs actions", WHICH),
    ("host/src/stops/act.rs actions", WHICH),
    ("host/src/stops/cancel.rs actions", WHICH),
    ("host/src/stops/io.rs actions", WHICH),
    ("host/src/stops/ring/mod.rs actions", WHICH),
    ("host/src/stops/storm/mod.rs actions", WHICH),
    ("host/src/stops/read_only.rs actions_at", WHICH),
];
const PROBES_GUEST: &str = "the code, page tables and registers of the guest that probes run, which a script does not run; \
                            the model runs it, so that scenarios there would be skipped: no area checks it";
const AIMS: &str =
    "how long a signal waits: a script takes no time that it could depend on; its own tests check it";
const WHICH: &str = "which scenarios there are, before any is run: a script is of one scenario, which it names; no area checks it";
