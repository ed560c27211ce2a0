//! A guest whose every register holds something of its own.

use fred::control::*;
use fred::cpuid::{FRED, XSAVE};
use kvm_bindings::{KVM_VCPUEVENT_VALID_PAYLOAD, kvm_debugregs, kvm_dtable, kvm_regs, kvm_segment};
use vm::cpuid::has;
use vm::{Machine, Msr, Vcpu, VmConfig};

/// Guest memory, in bytes.
const MEMORY: u64 = 0x1_0000;
/// CF, PF, AF, ZF, SF, IF, DF, OF, IOPL 3, NT, AC and ID.
pub(crate) const RFLAGS: u64 = 0x24_7ED7;
/// OSFXSR, OSXMMEXCPT, PGE.
const CR4_MORE: u64 = 1 << 9 | 1 << 10 | 1 << 7;

/// MSRs and values other than those after reset.
pub(crate) const DIRTY_MSRS: [(u32, u64); 27] = [
    (0x3B, 0x1234),
    (0x174, 0x10),
    (0x175, 0xFFFF_8000_0000_2000),
    (0x176, 0xFFFF_8000_0000_3000),
    (0x277, 0x0007_0406_0007_0401),
    (0xC000_0081, 0x0023_0010_0000_0000),
    (0xC000_0082, 0xFFFF_8000_0000_1000),
    (0xC000_0083, 0xFFFF_8000_0000_1100),
    (0xC000_0084, 0x4_7700),
    (0xC000_0102, 0xFFFF_8000_0000_4000),
    (0xC000_0103, 0x77),
    (0x1C4, 1 << 18),
    (0x1C5, 1 << 18),
    (0x1CC, 0xFFFF_8000_0001_0000),
    (0x1CD, 0xFFFF_8000_0001_1000),
    (0x1CE, 0xFFFF_8000_0001_2000),
    (0x1CF, 0xFFFF_8000_0001_3000),
    (0x1D0, 0x1234_5678_9ABC_DEF1),
    (0x6A4, 0xFFFF_8000_0002_0000),
    (0x1D1, 0xFFFF_8000_0002_1000),
    (0x1D2, 0xFFFF_8000_0002_2000),
    (0x1D3, 0xFFFF_8000_0002_3000),
    (0x1D4, 0xFFFF_8000_0003_0003),
    (0x6A5, 0x0001_1000),
    (0x6A6, 0x0001_2000),
    (0x6A7, 0x0001_3000),
    (0x6A8, 0x0001_4000),
];

pub(crate) fn config(machine: &dyn Machine, payload: bool) -> VmConfig {
    VmConfig::plain(machine, MEMORY, payload)
}

/// Dirties everything that a guest has on `machine`.
pub(crate) fn dirty(vcpu: &mut dyn Vcpu, machine: &dyn Machine) {
    for page in [3_u64, 4, 9] {
        vcpu.write_memory(page * 4096, &[page as u8; 4096]).unwrap();
    }
    system_registers(vcpu, machine);
    extended_state(vcpu, machine);
    vcpu.set_debug_regs(&kvm_debugregs {
        db: [0x1111, 0x2222, 0x3333, 0x4444],
        // B0, B2, BD and what is always 1.
        dr6: 0xFFFF_2FF5,
        // L0, G3, RW and LEN of breakpoint 1; nothing global.
        dr7: 0x0050_0481,
        ..Default::default()
    })
    .unwrap();
    let mine: Vec<Msr> = DIRTY_MSRS
        .iter()
        .filter(|(index, _)| machine.msr_indices().contains(index))
        .map(|(index, value)| Msr { index: *index, value: *value })
        .collect();
    vcpu.set_msrs(&mine).unwrap();
    let mut regs = kvm_regs { rip: 0x3000, rflags: RFLAGS, ..Default::default() };
    let kvm_regs { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, .. } =
        &mut regs;
    let general = [rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15];
    for (register, number) in general.into_iter().zip(1..) {
        *register = 0x0101_0101_0101_0101 * number;
    }
    vcpu.set_regs(&regs).unwrap();
    let mut events = vcpu.events().unwrap();
    events.interrupt.shadow = 1;
    events.nmi.masked = 1;
    events.nmi.pending = 1;
    vcpu.set_events(&events).unwrap();
}

fn system_registers(vcpu: &mut dyn Vcpu, machine: &dyn Machine) {
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, ..Default::default() };
    let data = |selector, base| kvm_segment { selector, base, type_: 0x3, db: 1, ..flat };
    let mut sregs = vcpu.sregs().unwrap();
    sregs.cs = kvm_segment { selector: 0x8, type_: 0xB, l: 1, ..flat };
    (sregs.ss, sregs.ds, sregs.es) = (data(0x10, 0), data(0x18, 0), data(0x20, 0));
    sregs.fs = data(0x28, 0xFFFF_8000_0000_5000);
    sregs.gs = data(0x30, 0xFFFF_8000_0000_6000);
    let system = kvm_segment { present: 1, ..Default::default() };
    sregs.tr = kvm_segment { base: 0x6000, limit: 0x67, selector: 0x38, type_: 0xB, ..system };
    sregs.ldt = kvm_segment { base: 0x7000, limit: 0xF, selector: 0x48, type_: 0x2, ..system };
    sregs.gdt = kvm_dtable { base: 0x4000, limit: 0x7F, ..Default::default() };
    sregs.idt = kvm_dtable { base: 0x5000, limit: 0xFFF, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr2 = 0xFFFF_8000_1234_5678;
    sregs.cr3 = 0x1000;
    sregs.cr4 = CR4_PAE | CR4_MORE;
    if has(machine.cpuid(), XSAVE) {
        sregs.cr4 |= CR4_OSXSAVE;
    }
    if has(machine.cpuid(), FRED) {
        sregs.cr4 |= CR4_FRED;
    }
    sregs.cr8 = 5;
    sregs.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    vcpu.set_sregs(&sregs).unwrap();
}

/// Every component of XCR0 that the machine has, and a legacy area of x87 and XMM registers in use.
fn extended_state(vcpu: &mut dyn Vcpu, machine: &dyn Machine) {
    let mut components = 0b11;
    if has(machine.cpuid(), XSAVE) {
        let leaf = machine.cpuid().iter().find(|leaf| (leaf.function, leaf.index) == (0xD, 0)).unwrap();
        components = u64::from(leaf.eax) | u64::from(leaf.edx) << 32;
        let mut xcrs = vcpu.xcrs().unwrap();
        xcrs.xcrs[0].value = components;
        vcpu.set_xcrs(&xcrs).unwrap();
    }
    let mut area = vcpu.xsave().unwrap();
    // FCW with precision control of doubles; FSW with TOP = 3; FTW with two registers full.
    area.0[0..2].copy_from_slice(&0x027F_u16.to_le_bytes());
    area.0[2..4].copy_from_slice(&0x1800_u16.to_le_bytes());
    area.0[4] = 0b0001_1000;
    // MXCSR with rounding towards zero.
    area.0[24..28].copy_from_slice(&0x7F80_u32.to_le_bytes());
    for register in 0..8 {
        // 64 bits of mantissa with its integer bit, exponent of 1.
        let st = [register as u8, 1, 2, 3, 4, 5, 6, 0x80, 0xFF, 0x3F];
        area.0[32 + 16 * register..][..10].copy_from_slice(&st);
    }
    for register in 0..16 {
        area.0[160 + 16 * register..][..16].fill(0xA0 + register as u8);
    }
    let mut in_use = 0b11;
    for leaf in machine.cpuid().iter().filter(|leaf| leaf.function == 0xD && leaf.index >= 2) {
        // AVX's upper halves, AVX-512's three, and tile data: any bytes are a valid state.
        if matches!(leaf.index, 2 | 5..=7 | 18) && components >> leaf.index & 1 != 0 {
            let (start, size) = (leaf.ebx as usize, leaf.eax as usize);
            if start + size <= area.0.len() {
                area.0[start..start + size].fill(0x5A ^ leaf.index as u8);
                in_use |= 1 << leaf.index;
            }
        }
    }
    area.0[512..520].copy_from_slice(&u64::to_le_bytes(in_use));
    vcpu.set_xsave(&area).unwrap();
}

/// Queues a page fault with its payload as pending.
pub(crate) fn with_pending_page_fault(vcpu: &mut dyn Vcpu) {
    let mut events = vcpu.events().unwrap();
    (events.exception.pending, events.exception.nr) = (1, 14);
    (events.exception.has_error_code, events.exception.error_code) = (1, 2);
    (events.exception_has_payload, events.exception_payload) = (1, 0x1234_5000);
    events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    vcpu.set_events(&events).unwrap();
}
