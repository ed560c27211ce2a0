//! The ROM's code.

use crate::disk::{CODE_SELECTOR, DATA_SELECTOR, MAGIC, Piece, Registers, SECTOR, TABLE, Table};
use core::mem::offset_of;

/// Bytes of the ROM. It ends at 1 MiB, and once more at 4 GiB, where the processor begins.
pub const SIZE: usize = 0x1000;
/// Its lower address.
pub const ADDRESS: u32 = 0x10_0000 - SIZE as u32;

// Names of 16-bit code are offsets into this segment.
const REAL_MODE_SEGMENT: u32 = 0xF000;

/// Ports of the primary ATA channel, ATA-4 9.1: sector count, LBA bits 0-7, 8-15, 16-23, device and LBA bits
/// 24-27, command and status.
const ATA_DATA: u16 = 0x1F0;
const ATA_COUNT: u16 = 0x1F2;
const ATA_LBA_LOW: u16 = 0x1F3;
const ATA_LBA_MIDDLE: u16 = 0x1F4;
const ATA_LBA_HIGH: u16 = 0x1F5;
const ATA_DEVICE: u16 = 0x1F6;
const ATA_COMMAND: u16 = 0x1F7;
/// Device register: LBA, device 0.
const LBA_MASTER: u32 = 0xE0;
/// READ SECTOR(S).
const READ_SECTORS: u8 = 0x20;
/// Status register: BSY, DRQ, DF and ERR.
const BUSY: u8 = 0x80;
const DATA_REQUEST: u8 = 0x08;
const FAULT_OR_ERROR: u8 = 0x21;
/// The most sectors of one command.
const MOST_SECTORS: u32 = 128;
/// How often the status is read before the disk counts as dead.
const ATTEMPTS: u32 = 1 << 24;

/// A byte of CMOS memory that neither the PC nor an operating system uses, and what it is after the first pass.
const CMOS_INDEX: u16 = 0x70;
const CMOS_DATA: u16 = 0x71;
const CMOS_BYTE: u8 = 0x7F;
const BEEN_HERE: u8 = 0x6D;

/// System control port A; bit 1 is A20, bit 0 would reset the processor.
const CONTROL_A: u16 = 0x92;

core::arch::global_asm!(
    ".pushsection .rodata.midflight_rom, \"a\"",
    ".balign 16",
    ".globl midflight_rom",
    "midflight_rom:",
    // Where labels are when the ROM is in its place.
    ".set at_reset, rom_reset - midflight_rom + {address}",
    ".set at_table, rom_table - midflight_rom + {address}",
    ".set at_no_table, rom_no_table - midflight_rom + {address}",
    ".set at_loaded, rom_loaded - midflight_rom + {address}",
    ".set at_no_disk, rom_no_disk - midflight_rom + {address}",
    ".set at_shutdown, rom_shutdown - midflight_rom + {address}",
    ".set at_gdt_pointer, rom_gdt_pointer - midflight_rom + {address} - ({segment} << 4)",
    // The reset vector jumps here.
    ".code16",
    "rom_start:",
    "cli",
    "cld",
    "mov dx, {CONTROL_A}",
    "in al, dx",
    "or al, 2",
    "and al, 0xFE",
    "out dx, al",
    "mov eax, cr0",
    "or al, 1",
    // The descriptor table is in the segment that the far jump has loaded; 24 bits reach it.
    "lgdt cs:[at_gdt_pointer]",
    "mov cr0, eax",
    ".byte 0x66, 0xEA",
    ".long rom_protected - midflight_rom + {address}",
    ".short {CODE}",
    ".code32",
    "rom_protected:",
    "mov eax, {DATA}",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "mov fs, eax",
    "mov gs, eax",
    // A second pass is the end of the guest.
    "mov al, {CMOS_BYTE}",
    "out {CMOS_INDEX}, al",
    "in al, {CMOS_DATA}",
    "cmp al, {BEEN_HERE}",
    "mov esi, offset at_reset",
    "je rom_end",
    "mov al, {CMOS_BYTE}",
    "out {CMOS_INDEX}, al",
    "mov al, {BEEN_HERE}",
    "out {CMOS_DATA}, al",
    // The table: sector 0 to TABLE. EBP is where to go on after a piece.
    "mov edi, {TABLE}",
    "xor ebx, ebx",
    "mov ecx, 1",
    "mov ebp, offset at_table",
    "jmp rom_read",
    "rom_table:",
    "mov esi, offset at_no_table",
    "cmp dword ptr [{TABLE}], {MAGIC}",
    "jne rom_end",
    "mov esp, {TABLE} + {pieces}",
    "mov ebp, offset at_loaded",
    // ESP is the piece; there is no stack.
    "rom_piece:",
    "sub dword ptr [{TABLE} + {count}], 1",
    "jc rom_enter",
    "mov edi, [esp + {piece_address}]",
    "mov ebx, [esp + {piece_first}]",
    "mov ecx, [esp + {piece_sectors}]",
    "jmp rom_read",
    "rom_loaded:",
    "mov ecx, [esp + {piece_zeros}]",
    "xor eax, eax",
    "rep stosb",
    "add esp, {piece_size}",
    "jmp rom_piece",
    "rom_enter:",
    "mov esp, {TABLE} + {registers}",
    "popad",
    "jmp dword ptr [{TABLE} + {entry}]",
    // Reads ECX sectors from EBX on to EDI, which goes on, and jumps to EBP.
    "rom_read:",
    "test ecx, ecx",
    "jnz 2f",
    "jmp ebp",
    "2:",
    "mov esi, {MOST_SECTORS}",
    "cmp ecx, esi",
    "jae 3f",
    "mov esi, ecx",
    "3:",
    "sub ecx, esi",
    "mov dx, {ATA_DEVICE}",
    "mov eax, ebx",
    "shr eax, 24",
    "or al, {LBA_MASTER}",
    "out dx, al",
    "mov dx, {ATA_COUNT}",
    "mov eax, esi",
    "out dx, al",
    "mov dx, {ATA_LBA_LOW}",
    "mov eax, ebx",
    "out dx, al",
    "mov dx, {ATA_LBA_MIDDLE}",
    "shr eax, 8",
    "out dx, al",
    "mov dx, {ATA_LBA_HIGH}",
    "shr eax, 8",
    "out dx, al",
    "mov dx, {ATA_COMMAND}",
    "mov al, {READ_SECTORS}",
    "out dx, al",
    "add ebx, esi",
    // What is left for further commands.
    "mov [{LEFT}], ecx",
    "4:",
    "mov ecx, {ATTEMPTS}",
    "mov dx, {ATA_COMMAND}",
    "5:",
    "sub ecx, 1",
    "jc rom_dead",
    "in al, dx",
    "test al, {BUSY}",
    "jnz 5b",
    "test al, {FAULT_OR_ERROR}",
    "jnz rom_dead",
    "test al, {DATA_REQUEST}",
    "jz 5b",
    "mov dx, {ATA_DATA}",
    "mov ecx, {SECTOR} / 2",
    "rep insw",
    "dec esi",
    "jnz 4b",
    "mov ecx, [{LEFT}]",
    "jmp rom_read",
    "rom_dead:",
    "mov esi, offset at_no_disk",
    // Prints the text at ESI and ends the machine.
    "rom_end:",
    "cs lodsb",
    "out 0xE9, al",
    "cmp al, 10",
    "jne rom_end",
    "mov esi, offset at_shutdown",
    "mov ecx, 8",
    "mov dx, 0x8900",
    "rep outsb",
    "6: hlt",
    "jmp 6b",
    ".code64",
    "rom_shutdown: .ascii \"Shutdown\"",
    "rom_reset: .ascii \"FIRMWARE: the machine was reset\\n\"",
    "rom_no_disk: .ascii \"FIRMWARE: the disk cannot be read\\n\"",
    "rom_no_table: .ascii \"FIRMWARE: the disk has no table\\n\"",
    // Accessed bits are set: nothing can be written here.
    ".balign 8",
    "rom_gdt: .quad 0, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF",
    "rom_gdt_pointer: .short 31",
    ".long rom_gdt - midflight_rom + {address}",
    // The reset vector.
    ".org midflight_rom + {SIZE} - 16, 0xFF",
    ".byte 0xEA",
    ".short rom_start - midflight_rom + {address} - ({segment} << 4)",
    ".short {segment}",
    ".org midflight_rom + {SIZE}, 0xFF",
    ".popsection",
    address = const ADDRESS,
    segment = const REAL_MODE_SEGMENT,
    SIZE = const SIZE,
    CODE = const CODE_SELECTOR,
    DATA = const DATA_SELECTOR,
    TABLE = const TABLE,
    MAGIC = const MAGIC,
    entry = const offset_of!(Table, entry),
    registers = const offset_of!(Table, registers),
    count = const offset_of!(Table, count),
    pieces = const offset_of!(Table, pieces),
    piece_address = const offset_of!(Piece, address),
    piece_first = const offset_of!(Piece, first),
    piece_sectors = const offset_of!(Piece, sectors),
    piece_zeros = const offset_of!(Piece, zeros),
    piece_size = const size_of::<Piece>(),
    SECTOR = const SECTOR,
    LEFT = const TABLE + SECTOR as u32,
    ATA_DATA = const ATA_DATA,
    ATA_COUNT = const ATA_COUNT,
    ATA_LBA_LOW = const ATA_LBA_LOW,
    ATA_LBA_MIDDLE = const ATA_LBA_MIDDLE,
    ATA_LBA_HIGH = const ATA_LBA_HIGH,
    ATA_DEVICE = const ATA_DEVICE,
    ATA_COMMAND = const ATA_COMMAND,
    LBA_MASTER = const LBA_MASTER,
    READ_SECTORS = const READ_SECTORS,
    BUSY = const BUSY,
    DATA_REQUEST = const DATA_REQUEST,
    FAULT_OR_ERROR = const FAULT_OR_ERROR,
    MOST_SECTORS = const MOST_SECTORS,
    ATTEMPTS = const ATTEMPTS,
    CMOS_INDEX = const CMOS_INDEX,
    CMOS_DATA = const CMOS_DATA,
    CMOS_BYTE = const CMOS_BYTE,
    BEEN_HERE = const BEEN_HERE,
    CONTROL_A = const CONTROL_A,
);

const _: () = assert!(size_of::<Registers>() == 32, "POPAD takes eight registers");

unsafe extern "C" {
    #[link_name = "midflight_rom"]
    safe static ROM: [u8; SIZE];
}

/// The ROM, which lies at [`ADDRESS`].
pub fn rom() -> &'static [u8; SIZE] {
    &ROM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NO_DISK, NO_TABLE, RESET};

    #[test]
    fn the_reset_vector_is_a_far_jump_into_the_rom() {
        let jump: [u8; 5] = ROM[SIZE - 16..SIZE - 11].try_into().unwrap();
        let [opcode, o0, o1, s0, s1] = jump;
        let target = u32::from(u16::from_le_bytes([s0, s1])) << 4;
        let target = target + u32::from(u16::from_le_bytes([o0, o1]));
        assert_eq!((opcode, target, ROM[0]), (0xEA, ADDRESS, 0xFA), "the first instruction is CLI");
        assert_eq!(ROM[SIZE - 11..], [0xFF; 11], "nothing follows the jump");
    }

    #[test]
    fn it_prints_what_the_host_reads() {
        for text in [RESET, NO_DISK, NO_TABLE] {
            let line = [text.as_bytes(), b"\n"].concat();
            assert!(ROM.windows(line.len()).any(|bytes| bytes == line), "{text}");
        }
    }
}
