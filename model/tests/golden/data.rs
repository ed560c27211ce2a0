//! "FRED event delivery: event data". That of #NM is in `not_available.rs`.

use super::*;

/// #PF: the linear address, which CR2 gets as well; of an access to two pages the first byte that cannot be
/// reached, and nothing is written to the first page.
#[test]
fn of_a_page_fault() {
    // Loads into RAX and stores of it: at NEXT + 0x10, NEXT - 2 and NEXT - 3.
    for (opcode, low, high, error, address) in [
        (0x8B, 0x10, 0x10, 0, 0x19_1010),
        (0x8B, 0xFE, 0x0F, 0, 0x19_1000),
        (0x8B, 0xFD, 0x0F, 0, 0x19_1000),
        (0x89, 0xFD, 0x0F, 2, 0x19_1000),
    ] {
        let mut g = ring_0(&[0x48, opcode, 0x04, 0x25, low, high, 0x19, 0]).without(NEXT);
        (g.cpu.gpr[0], g.cpu.cr2) = (u64::MAX, 0x1111);
        let frame = g.frame();
        assert_eq!(
            (frame[0], frame[6], g.cpu.cr2, g.get(NEXT - 8)),
            (error, address, address, 0),
            "{opcode:#x}, {low:#x}"
        );
    }
}

/// #DB: the conditions of this exception and of no earlier one; and what DR6 then holds.
#[test]
fn of_a_debug_exception() {
    let data_1: fn(&mut Guest) = |g| {
        // Breakpoint 1 on writes of one byte.
        (g.cpu.dr[1], g.cpu.dr7) = (DATA, 0x10_0408);
    };
    // MOV [DATA + 4], EAX, and breakpoint 0 on writes of 8 bytes.
    let upper_half = ring_0(&[0x89, 0x04, 0x25, 4, 0, 0x19, 0]).watching(WRITE_8, DATA);
    let execution_3 = ring_0(NOP).but(|g| (g.cpu.dr[3], g.cpu.dr7) = (CODE, 0x480));
    for (condition, mut g, dr6_before, data, dr6) in [
        ("BS", ring_0(NOP).stepping(), 0xFFFF_0FF0, 0x4000, 0xFFFF_4FF0),
        ("BS, B3 to B0 left over", ring_0(NOP).stepping(), 0xFFFF_EFFF, 0x4000, 0xFFFF_EFF0),
        ("BS, BT and BD left over", ring_0(NOP).stepping(), 0xFFFF_AFF0, 0x4000, 0xFFFF_EFF0),
        ("B3, of an execution", execution_3, 0xFFFF_0FF0, 8, 0xFFFF_0FF8),
        ("B1, of a write", ring_0(STORE).but(data_1), 0xFFFF_0FF0, 2, 0xFFFF_0FF2),
        ("BS and B1", ring_0(STORE).but(data_1).stepping(), 0xFFFF_0FF0, 0x4002, 0xFFFF_4FF2),
        // B3 is left over, BLD and RTM happened before: RTM is back at 1, BLD stays.
        ("BS and B0", upper_half.stepping(), 0xFFFE_07F8, 0x4001, 0xFFFF_47F1),
        ("none, of INT1", ring_0(INT1), 0xFFFF_4FF1, 0, 0xFFFF_4FF1),
    ] {
        g.cpu.dr6 = dr6_before;
        g.put(STACK - 16, 9);
        assert_eq!((g.frame()[6], g.cpu.dr6), (data, dr6), "{condition}");
    }
}
