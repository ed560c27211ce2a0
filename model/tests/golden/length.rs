//! The longest instruction: SDM vol. 3, "Priority among concurrent events", and interrupt 13: one of more
//! than 15 bytes is #GP(0), whatever it would have been, and no byte after the 15th is fetched.

use super::*;

/// `count` times a prefix, then an opcode.
fn prefixed(prefix: u8, count: usize, opcode: &[u8]) -> Vec<u8> {
    [vec![prefix; count], opcode.to_vec()].concat()
}

#[test]
fn more_than_15_bytes_are_gp() {
    let rex = [[0x66, 0x48]; 7].concat();
    for bytes in [
        // INT 0x1F, UD2 and NOP; the third would be 24 bytes long.
        prefixed(0x66, 14, &[0xCD, 0x1F]),
        prefixed(0x66, 14, &[0x0F, 0x0B]),
        prefixed(0x66, 23, &[0x90]),
        // A REX that other prefixes follow; CS and LOCK; MOV and ADD with a displacement of 4 bytes.
        [rex, vec![0x66, 0x90]].concat(),
        prefixed(0x2E, 10, &[0x8B, 0x05, 0, 0, 0, 0]),
        prefixed(0xF0, 10, &[0x01, 0x05, 0, 0, 0, 0]),
        // REPNE before what needs its own REP.
        prefixed(0xF2, 13, &[0xF3, 0x0F, 0x1E, 0xFA]),
        // No prefix twice: LOCK ADD QWORD PTR GS:[EAX + EAX + 0], 0 with an idle operand size.
        vec![0x66, 0x67, 0x65, 0xF0, 0x48, 0x81, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut g = ring_0(&bytes);
        let frame = g.frame();
        assert_eq!((frame[0], frame[1], frame[5], frame[6]), (0, CODE, GP, 0), "{bytes:x?}");
    }
}

#[test]
fn of_15_bytes_the_opcode_decides() {
    for (bytes, ss) in [
        (prefixed(0x66, 13, &[0xCD, 0x1F]), 0xF204_001F_0002_0010),
        (prefixed(0x66, 13, &[0x0F, 0x0B]), UD),
        // No opcode of 64-bit mode.
        (prefixed(0x66, 14, &[0x06]), UD),
        // LOCK NOP.
        (prefixed(0xF0, 14, &[0x90]), UD),
        // A single byte and the same again.
        (vec![0x06; 16], UD),
    ] {
        assert_eq!(ring_0(&bytes).frame()[5], ss, "{bytes:x?}");
    }
}

/// The 15th byte is the last of its page, and the next page is not there.
#[test]
fn no_byte_after_the_15th_is_fetched() {
    let at = |place: u64| {
        let mut g = ring_0(NOP);
        g.memory.write(place, &prefixed(0x66, 14, &[0xCD, 0x1F])).unwrap();
        g.map(NEXT, 6);
        g.cpu.rip = place;
        let frame = g.frame();
        (frame[0], frame[1] - place, frame[5], frame[6], g.cpu.cr2)
    };
    assert_eq!(at(NEXT - 15), (0, 0, GP, 0, 0));
    // The 15th is the next page's first: its fetch comes before the length is known.
    assert_eq!(at(NEXT - 14), (0x10, 0, PF, NEXT, NEXT));
}

/// A byte that is no opcode is #UD where it stands, though the next page is not there.
#[test]
fn an_opcode_that_is_none_asks_for_no_more_bytes() {
    let mut g = ring_0(NOP);
    g.memory.write(NEXT - 1, &[0x06]).unwrap();
    g.map(NEXT, 6);
    g.cpu.rip = NEXT - 1;
    assert_eq!((g.frame()[5], g.cpu.cr2), (UD, 0));
}
