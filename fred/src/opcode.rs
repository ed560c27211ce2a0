//! Encodings of FRED's instructions, for assemblers that do not know the mnemonics.

/// ERETS: event return to supervisor.
pub const ERETS: [u8; 4] = [0xF2, 0x0F, 0x01, 0xCA];
/// ERETU: event return to user.
pub const ERETU: [u8; 4] = [0xF3, 0x0F, 0x01, 0xCA];
/// LKGS AX: load the selector in AX into the GS that IA32_KERNEL_GS_BASE belongs to (F2 0F 00 /6).
pub const LKGS_AX: [u8; 4] = [0xF2, 0x0F, 0x00, 0xF0];

#[cfg(test)]
mod tests {
    #[test]
    fn encodings_are_the_manuals() {
        assert_eq!(super::ERETS, *b"\xF2\x0F\x01\xCA");
        assert_eq!(super::ERETU, *b"\xF3\x0F\x01\xCA");
        assert_eq!(super::LKGS_AX, *b"\xF2\x0F\x00\xF0");
    }
}
