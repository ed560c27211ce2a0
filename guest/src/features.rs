//! What this machine has, from CPUID.

use core::arch::x86_64::__cpuid_count;
use fred::cpuid::{AMX_TILE, Feature, INTEL, PAGE_1G, RDTSCP, SMAP, SMEP, XFD, XSAVE, vendor};
use protocol::need::Needs;

/// TILECFG and TILEDATA in XCR0.
pub const XCR0_TILES: u32 = 1 << 17 | 1 << 18;

/// The needs that this processor meets. [`Needs::FRED`] is not for it to say: that is the delivery in
/// use.
pub(crate) fn met() -> Needs {
    let mut met = Needs::USER;
    met.set(Needs::RDTSCP, has(&RDTSCP));
    met.set(Needs::SMEP, has(&SMEP));
    met.set(Needs::SMAP, has(&SMAP));
    met.set(Needs::PAGE_1G, has(&PAGE_1G));
    met.set(Needs::INTEL, vendor(cpuid(0, 0)) == INTEL);
    let xsave = has(&XSAVE);
    met.set(Needs::XSAVE, xsave);
    met.set(Needs::XFD, xsave && has(&XFD));
    met.set(Needs::AMX, xsave && has(&AMX_TILE) && cpuid(0xD, 0)[0] & XCR0_TILES == XCR0_TILES);
    met
}

/// Whether CPUID has a feature.
pub(crate) fn has(feature: &Feature) -> bool {
    cpuid(feature.leaf & 0x8000_0000, 0)[0] >= feature.leaf
        && feature.is_in(cpuid(feature.leaf, feature.subleaf))
}

fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let output = __cpuid_count(leaf, subleaf);
    [output.eax, output.ebx, output.ecx, output.edx]
}
