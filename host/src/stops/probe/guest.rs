//! The guest that probes run: 256 KiB, one 2-MiB identity page, an IDT whose gates switch stacks through IST.
//! The page that frames go to has page tables of its own.
//!
//! It starts in 64-bit mode at its act; there is no boot. Its code is a few bytes that KVM's
//! instruction emulator knows as well as any processor.

use crate::image::Place;
use fred::control::{CR0_ET, CR0_NE, CR0_PE, CR0_PG, CR0_WP, CR4_PAE, EFER_LMA, EFER_LME, rflags};
use fred::event::vector;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment};
use std::time::{Duration, Instant};
use vm::{Exit, Machine, RunMode, Vcpu, VcpuError, VmConfig, VmKind};

const MEMORY_SIZE: u64 = 0x20_0000;
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PAGE_DIRECTORY: u64 = 0x3000;
const GDT: u64 = 0x4000;
const IDT: u64 = 0x5000;
const TSS: u64 = 0x6000;
const CODE: u64 = 0x7000;
const ACT_STACK_TOP: u64 = 0x9000;
/// The page of the stack frame; nothing else touches it.
const FRAME_PAGE: u64 = 0xA000;
/// Where the processor finds it: the first page of PML4 entry 2.
const FRAME_LINEAR: u64 = 2 << 39;
const FRAME_STACK_TOP: u64 = FRAME_LINEAR + 0x1000;
const FRAME_PDPT: u64 = 0xD000;
const FRAME_PD: u64 = 0xE000;
const FRAME_PT: u64 = 0xF000;
const DOUBLE_FAULT_STACK_TOP: u64 = 0xD000;

const CODE_SELECTOR: u16 = 0x08;
const DATA_SELECTOR: u16 = 0x10;
const TSS_SELECTOR: u16 = 0x18;

/// The handler writes here.
const ENTERED: u16 = 0x10;
const DOUBLE_FAULT: u16 = 0x12;
/// The port that [`ProbeAct::InputUnderTrap`] reads.
pub(crate) const INPUT: u16 = 0x20;

const UNDEFINED: u64 = CODE;
const INPUT_ACT: u64 = CODE + 0x10;
const READ: u64 = CODE + 0x20;
const LED: u64 = CODE + 0x30;
/// The place of [`ProbeAct::Led`]'s UD2, after its first instruction.
pub(crate) const EVENT: u64 = LED + 1;
const HANDLER: u64 = CODE + 0x40;
const DOUBLE_FAULT_HANDLER: u64 = CODE + 0x60;
const END: u64 = CODE + 0x80;

/// UD2; then a loop that nothing reaches.
const UNDEFINED_CODE: [u8; 4] = [0x0F, 0x0B, 0xEB, 0xFE];
/// IN AL, [`INPUT`]; NOP; then a loop that a lost event reaches.
const INPUT_CODE: [u8; 5] = [0xE4, INPUT as u8, 0x90, 0xEB, 0xFE];
/// MOV RAX, [[`FRAME_LINEAR`]]; UD2; then a loop that nothing reaches.
const READ_CODE: [u8; 14] = [
    0x48,
    0xA1,
    0,
    0,
    0,
    0,
    (FRAME_LINEAR >> 32) as u8,
    (FRAME_LINEAR >> 40) as u8,
    0,
    0,
    0x0F,
    0x0B,
    0xEB,
    0xFE,
];
/// NOP; UD2; then a loop that nothing reaches.
const LED_CODE: [u8; 5] = [0x90, 0x0F, 0x0B, 0xEB, 0xFE];
/// OUT [`ENTERED`], AL; a loop.
const HANDLER_CODE: [u8; 4] = [0xE6, ENTERED as u8, 0xEB, 0xFE];
/// OUT [`DOUBLE_FAULT`], AL; a loop.
const DOUBLE_FAULT_CODE: [u8; 4] = [0xE6, DOUBLE_FAULT as u8, 0xEB, 0xFE];

/// The guest's first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeAct {
    /// UD2.
    Undefined,
    /// An instruction, and then UD2.
    Led,
    /// IN with RFLAGS.TF set: a #DB once it is complete.
    InputUnderTrap,
    /// A read of the page that frames go to, and then UD2.
    Read,
}

impl ProbeAct {
    fn rip(self) -> u64 {
        match self {
            Self::Undefined => UNDEFINED,
            Self::Led => LED,
            Self::InputUnderTrap => INPUT_ACT,
            Self::Read => READ,
        }
    }

    fn rflags(self) -> u64 {
        match self {
            Self::Undefined | Self::Led | Self::Read => rflags::FIXED,
            Self::InputUnderTrap => rflags::FIXED | rflags::TF,
        }
    }
}

/// How a run of the guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The handler was entered.
    Delivered,
    /// The guest's #DF handler was entered.
    DoubleFault,
    /// Anything else.
    Exit(Exit),
}

/// The guest on a fresh virtual machine.
pub(crate) struct ProbeGuest {
    pub(crate) vcpu: Box<dyn Vcpu>,
    act: ProbeAct,
}

impl ProbeGuest {
    /// A fresh virtual machine with the guest at its act, which may run for `limit`. Fails when it cannot be
    /// made.
    pub(crate) fn start(
        machine: &dyn Machine,
        payload: bool,
        kind: VmKind,
        act: ProbeAct,
        limit: Duration,
    ) -> Result<Self, VcpuError> {
        let mut vcpu = machine.create(&VmConfig {
            memory_size: MEMORY_SIZE,
            cpuid: machine.cpuid().to_vec(),
            exception_payload: payload,
            kind,
        })?;
        load(vcpu.as_mut())?;
        set_system_registers(vcpu.as_mut())?;
        vcpu.set_regs(&kvm_regs {
            rip: act.rip(),
            rsp: ACT_STACK_TOP,
            rflags: act.rflags(),
            ..Default::default()
        })?;
        vcpu.set_deadline(Instant::now() + limit);
        Ok(Self { vcpu, act })
    }

    /// Runs in `mode` and distinguishes a delivery from other exits.
    pub(crate) fn run(&mut self, mode: RunMode) -> Result<Progress, VcpuError> {
        Ok(match self.vcpu.run(mode)? {
            Exit::IoOut { port: ENTERED, .. } => Progress::Delivered,
            Exit::IoOut { port: DOUBLE_FAULT, .. } => Progress::DoubleFault,
            other => Progress::Exit(other),
        })
    }

    /// Whether RIP is in one of the guest's handlers: an event has been delivered.
    pub(crate) fn is_in_handler(&self) -> Result<bool, VcpuError> {
        Ok((HANDLER..END).contains(&self.vcpu.regs()?.rip))
    }

    /// Whether the guest is still where it started: nothing of it has run, and no handler either.
    pub(crate) fn is_at_act(&self) -> Result<bool, VcpuError> {
        Ok(self.vcpu.regs()?.rip == self.act.rip())
    }

    /// Guest-physical address of the page at a place.
    pub(crate) fn page(place: Place) -> u64 {
        match place {
            Place::Frame => FRAME_PAGE,
            Place::Pt => FRAME_PT,
            Place::Pd => FRAME_PD,
            Place::Pdpt => FRAME_PDPT,
            Place::Idt => IDT,
            Place::Gdt => GDT,
            Place::Tss => TSS,
        }
    }
}

fn load(vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
    const PRESENT_WRITABLE: u64 = 0b11;
    const LARGE: u64 = 1 << 7;
    let mut put = |address: u64, quadwords: &[u64]| {
        let bytes: Vec<u8> = quadwords.iter().flat_map(|quadword| quadword.to_le_bytes()).collect();
        vcpu.write_memory(address, &bytes)
    };
    put(PML4, &[PDPT | PRESENT_WRITABLE, 0, FRAME_PDPT | PRESENT_WRITABLE])?;
    put(FRAME_PDPT, &[FRAME_PD | PRESENT_WRITABLE])?;
    put(FRAME_PD, &[FRAME_PT | PRESENT_WRITABLE])?;
    put(FRAME_PT, &[FRAME_PAGE | PRESENT_WRITABLE])?;
    put(PDPT, &[PAGE_DIRECTORY | PRESENT_WRITABLE])?;
    put(PAGE_DIRECTORY, &[PRESENT_WRITABLE | LARGE])?;
    // Flat 64-bit code, flat data, and a busy 64-bit TSS in two quadwords.
    put(GDT, &[0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_8B00_0000_0067 | TSS << 16, 0])?;
    for number in [vector::DB, vector::UD, vector::PF] {
        put(IDT + 16 * u64::from(number), &interrupt_gate(HANDLER, 1))?;
    }
    put(IDT + 16 * u64::from(vector::DF), &interrupt_gate(DOUBLE_FAULT_HANDLER, 2))?;
    vcpu.write_memory(TSS + 0x24, &FRAME_STACK_TOP.to_le_bytes())?;
    vcpu.write_memory(TSS + 0x2C, &DOUBLE_FAULT_STACK_TOP.to_le_bytes())?;
    vcpu.write_memory(UNDEFINED, &UNDEFINED_CODE)?;
    vcpu.write_memory(INPUT_ACT, &INPUT_CODE)?;
    vcpu.write_memory(READ, &READ_CODE)?;
    vcpu.write_memory(LED, &LED_CODE)?;
    vcpu.write_memory(HANDLER, &HANDLER_CODE)?;
    vcpu.write_memory(DOUBLE_FAULT_HANDLER, &DOUBLE_FAULT_CODE)
}

/// A 64-bit interrupt gate (SDM vol. 3, "64-Bit Mode IDT") to `target` below 4 GiB, stack `ist`.
fn interrupt_gate(target: u64, ist: u64) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8E << 40;
    let offset = target & 0xFFFF | (target >> 16 & 0xFFFF) << 48;
    [offset | u64::from(CODE_SELECTOR) << 16 | ist << 32 | PRESENT_INTERRUPT_GATE, 0]
}

fn set_system_registers(vcpu: &mut dyn Vcpu) -> Result<(), VcpuError> {
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, ..Default::default() };
    let data = kvm_segment { selector: DATA_SELECTOR, type_: 0x3, db: 1, ..flat };
    let mut sregs = vcpu.sregs()?;
    sregs.cs = kvm_segment { selector: CODE_SELECTOR, type_: 0xB, l: 1, ..flat };
    (sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        base: TSS,
        limit: 0x67,
        selector: TSS_SELECTOR,
        type_: 0xB,
        present: 1,
        ..Default::default()
    };
    sregs.ldt = kvm_segment { unusable: 1, ..Default::default() };
    sregs.gdt = kvm_dtable { base: GDT, limit: 5 * 8 - 1, ..Default::default() };
    sregs.idt = kvm_dtable { base: IDT, limit: 32 * 16 - 1, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = PML4;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME | EFER_LMA;
    vcpu.set_sregs(&sregs)
}
