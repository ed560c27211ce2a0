//! Loading an image and starting it the PVH way: 32-bit protected mode, paging off, EBX pointing at
//! `hvm_start_info` (Xen's PVH boot ABI).

use crate::image::{DeliveryMode, Image, MEMORY_SIZE};
use fred::control::{CR0_ET, CR0_PE, rflags};
use kvm_bindings::{kvm_regs, kvm_segment};
use protocol::mailbox::{HostFlags, Mailbox};
use std::mem::offset_of;
use vm::{Machine, Vcpu, VcpuError, VmConfig, VmKind};

/// Where `hvm_start_info` lies: in the free memory below the image.
const START_INFO: u64 = 0x6000;
/// Where the command line lies.
const COMMAND_LINE: u64 = 0x7000;
/// `hvm_start_info.magic`.
const START_INFO_MAGIC: u32 = 0x336E_C578;

/// A fresh VM with the image loaded, about to execute its first instruction. Fails when the VM cannot be made
/// or set up.
pub fn boot(
    machine: &dyn Machine,
    image: &Image,
    delivery: DeliveryMode,
    exception_payload: bool,
    host: HostFlags,
) -> Result<Box<dyn Vcpu>, VcpuError> {
    let mut vcpu = machine.create(&VmConfig {
        memory_size: MEMORY_SIZE,
        cpuid: machine.cpuid().to_vec(),
        exception_payload,
        kind: VmKind::Plain,
    })?;
    for segment in &image.segments {
        vcpu.write_memory(segment.address, &segment.bytes)?;
    }
    let flags_at = image.mailbox + offset_of!(Mailbox, host) as u64;
    vcpu.write_memory(flags_at, &host.bits().to_le_bytes())?;
    write_start_info(vcpu.as_mut(), delivery)?;
    set_entry_state(vcpu.as_mut(), image.entry)?;
    Ok(vcpu)
}

fn write_start_info(vcpu: &mut dyn Vcpu, delivery: DeliveryMode) -> Result<(), VcpuError> {
    let command_line = format!("delivery={delivery}\0");
    vcpu.write_memory(COMMAND_LINE, command_line.as_bytes())?;
    // magic, version, flags, nr_modules: u32; modlist_paddr, cmdline_paddr, rsdp_paddr: u64.
    let mut info = [0; 40];
    info[0..4].copy_from_slice(&START_INFO_MAGIC.to_le_bytes());
    info[24..32].copy_from_slice(&COMMAND_LINE.to_le_bytes());
    vcpu.write_memory(START_INFO, &info)
}

fn set_entry_state(vcpu: &mut dyn Vcpu, entry: u32) -> Result<(), VcpuError> {
    let flat = kvm_segment { limit: 0xFFFF_FFFF, present: 1, s: 1, db: 1, g: 1, ..Default::default() };
    let code = kvm_segment { selector: 0x08, type_: 0xB, ..flat };
    let data = kvm_segment { selector: 0x10, type_: 0x3, ..flat };
    let mut sregs = vcpu.sregs()?;
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment { limit: 0x67, present: 1, type_: 0xB, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&kvm_regs {
        rip: u64::from(entry),
        rbx: START_INFO,
        rflags: rflags::FIXED,
        ..Default::default()
    })
}
