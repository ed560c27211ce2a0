//! The local APIC of a saved guest: section `apic`, hw/intc/apic_common.c of QEMU, on TCG and on KVM.

use super::saved::{Saved, SavedError};

/// LINT1 among the entries of the local vector table: `APIC_LVT_LINT1` of include/hw/i386/apic_internal.h.
const LINT1: usize = 4;
/// Delivery mode NMI, not masked: SDM vol. 3, "Local Vector Table".
const NMI: u64 = 4 << 8;
/// APIC software enable in the spurious-interrupt vector register. While it is clear each entry is masked.
const ENABLED: u64 = 1 << 8;

/// Lets the guest take NMIs by LINT1, as an operating system does; `inject-nmi` gives them there. Fails where QEMU has
/// saved no local APIC.
pub fn unmask(saved: &mut Saved) -> Result<(), SavedError> {
    let spurious = saved.get(SPURIOUS, 0).ok_or(SavedError::NoField(SPURIOUS))?;
    saved.set(SPURIOUS, 0, spurious | ENABLED)?;
    saved.set("lvt", LINT1, NMI)
}

const SPURIOUS: &str = "spurious_vec";
