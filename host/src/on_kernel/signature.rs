//! The signature at the end of a kernel module: `struct module_signature`, include/linux/module_signature.h.

/// What ends a signed module.
const MARKER: &[u8] = b"~Module signature appended~\n";
/// The size of `struct module_signature` before the marker; its last four bytes are the signature's length.
const INFORMATION: usize = 12;

/// A module without its signature, which not every one has. An emulated processor takes longer to check it than for
/// all the rest of loading, and most kernels load a module without.
pub(super) fn without(module: &[u8]) -> &[u8] {
    unsigned(module).unwrap_or(module)
}

fn unsigned(module: &[u8]) -> Option<&[u8]> {
    let (rest, information) = module.strip_suffix(MARKER)?.split_last_chunk::<INFORMATION>()?;
    let &length = information.last_chunk::<4>()?;
    rest.get(..rest.len().checked_sub(u32::from_be_bytes(length) as usize)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(length: u32) -> Vec<u8> {
        [&b"the module"[..], b"signature", &[0, 0, 2, 0, 0, 0, 0, 0], &length.to_be_bytes(), MARKER].concat()
    }

    #[test]
    fn a_signature_is_removed_as_long_as_it_says() {
        assert_eq!(without(&signed(9)), b"the module");
        assert_eq!(without(b"the module"), b"the module", "it has none");
        let damaged = signed(20);
        assert_eq!(without(&damaged), damaged, "longer than the file");
        assert_eq!(without(MARKER), MARKER);
    }
}
