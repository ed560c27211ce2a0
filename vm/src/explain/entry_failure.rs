//! `hardware_entry_failure_reason`: why the processor refused to enter the guest.
//!
//! Three things share the field (`vmx_handle_exit`, `svm_handle_exit`): VMX's exit reason with bit 31
//! set, VMX's VM-instruction error, and SVM's exit code -1.

use super::name;

/// Bit 31 of an exit reason: VM-entry failure (SDM vol. 3, "Exit Reason").
const VM_ENTRY_FAILURE: u64 = 1 << 31;
/// The basic exit reason.
const BASIC: u64 = 0xFFFF;

/// Basic exit reasons of VM-entry failures (SDM vol. 3, "VMX Basic Exit Reasons").
const VM_ENTRY_FAILURES: [(u64, &str); 3] =
    [(33, "invalid guest state"), (34, "MSR loading"), (41, "machine-check event")];

/// The numbers that a VM entry can give (SDM vol. 3, "VM-Instruction Error Numbers").
const INSTRUCTION_ERRORS: [(u64, &str); 9] = [
    (4, "VMLAUNCH with non-clear VMCS"),
    (5, "VMRESUME with non-launched VMCS"),
    (7, "VM entry with invalid control field(s)"),
    (8, "VM entry with invalid host-state field(s)"),
    (16, "VM entry with invalid executive-VMCS pointer"),
    (17, "VM entry with non-launched executive VMCS"),
    (18, "VM entry with executive-VMCS pointer not VMXON pointer"),
    (25, "VM entry with invalid VM-execution control fields in executive VMCS"),
    (26, "VM entry with events blocked by MOV SS"),
];

/// The reason in the words of the manuals.
pub fn reason(code: u64) -> String {
    let named = |names, number| name(names, number).map_or(String::new(), |name| format!(": {name}"));
    // SVM's exit code has 64 bits; older kernels report the low 32 of them.
    if code == u64::MAX || code == u64::from(u32::MAX) {
        return "VMEXIT_INVALID: VMRUN found an illegal state in the VMCB".to_owned();
    }
    if code & VM_ENTRY_FAILURE != 0 {
        let basic = code & BASIC;
        return format!("VM-entry failure, basic exit reason {basic}{}", named(&VM_ENTRY_FAILURES, basic));
    }
    format!("VM-instruction error {code}{}", named(&INSTRUCTION_ERRORS, code))
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn each_of_the_three_forms_is_decoded() {
        for (code, words) in [
            (0x8000_0021, "VM-entry failure, basic exit reason 33: invalid guest state"),
            (0x8000_0022, "VM-entry failure, basic exit reason 34: MSR loading"),
            (0x8000_0029, "VM-entry failure, basic exit reason 41: machine-check event"),
            (0x8000_0030, "VM-entry failure, basic exit reason 48"),
            (7, "VM-instruction error 7: VM entry with invalid control field(s)"),
            (26, "VM-instruction error 26: VM entry with events blocked by MOV SS"),
            (99, "VM-instruction error 99"),
            (0xFFFF_FFFF, "VMEXIT_INVALID: VMRUN found an illegal state in the VMCB"),
            (u64::MAX, "VMEXIT_INVALID: VMRUN found an illegal state in the VMCB"),
        ] {
            assert_eq!(reason(code), words, "{code:#x}");
        }
    }
}
