//! Whether FRED can be switched on: a KVM that does not know CR4.FRED may drop it in silence.

use super::Support;
use super::guest::Guest;
use fred::control::CR4_FRED;
use fred::msr::{FRED_CONFIG, FRED_RSP1, FRED_STKLVLS};
use vm::{Msr, VcpuError};

/// Values that the registers do not have at reset: entry page and CSL 1, a stack, #DB on level 2.
const VALUES: [Msr; 3] = [
    Msr { index: FRED_RSP1, value: 0xB000 },
    Msr { index: FRED_STKLVLS, value: 2 << 2 },
    Msr { index: FRED_CONFIG, value: 0x7001 },
];

/// Sets FRED's MSRs and CR4.FRED, and reads CR4 back. Whether the MSRs keep what was written is the
/// scenarios' question. `offered` says whether CPUID has FRED.
pub(super) fn fred(mut guest: Guest, offered: bool) -> Result<Support, VcpuError> {
    if !offered {
        return Ok(Support::NotOffered("KVM_GET_SUPPORTED_CPUID does not have it".to_owned()));
    }
    let vcpu = guest.vcpu.as_mut();
    let mut sregs = vcpu.sregs()?;
    sregs.cr4 |= CR4_FRED;
    if let Err(error) = vcpu.set_msrs(&VALUES).and_then(|()| vcpu.set_sregs(&sregs)) {
        return Ok(Support::NotOffered(format!("CPUID has it, and it cannot be set: {error}")));
    }
    if vcpu.sregs()?.cr4 & CR4_FRED == 0 {
        return Ok(Support::Wrong("CPUID has it, and CR4.FRED reads 0 after it was set".to_owned()));
    }
    Ok(Support::Works)
}
