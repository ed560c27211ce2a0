//! A copy of a guest that stands still, as gdb looks at it.

use super::walk::physical;
use crate::image::{Image, MEMORY_SIZE};
use crate::session::Session;
use gdbstub::common::Signal;
use gdbstub::outputln;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{SingleThreadBase, SingleThreadResume, SingleThreadResumeOps};
use gdbstub::target::ext::exec_file::ExecFileOps;
use gdbstub::target::ext::host_io::HostIoOps;
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::{X86_64CoreRegs, X86SegmentRegs};
use kvm_bindings::{kvm_regs, kvm_sregs};
use std::convert::Infallible;
use vm::VcpuError;

/// EFAULT, as gdb numbers it.
const EFAULT: u8 = 14;
/// EROFS, likewise.
const EROFS: u8 = 30;

/// A guest that stands still.
pub(crate) struct StoppedGuest {
    /// The image's name.
    pub(super) name: String,
    /// The image's file.
    pub(super) file: Vec<u8>,
    regs: kvm_regs,
    sregs: kvm_sregs,
    /// The legacy region of XSAVE: x87 and SSE state.
    fpu: Vec<u8>,
    memory: Vec<u8>,
    /// What is known of it, for people, a line each.
    said: Vec<String>,
}

impl StoppedGuest {
    /// The guest as it is now; `said` is what is known of it. Fails when its state cannot be read.
    pub(crate) fn of(session: &mut Session<'_>, said: Vec<String>) -> Result<Self, VcpuError> {
        let mut memory = vec![0; MEMORY_SIZE as usize];
        session.vcpu.read_memory(0, &mut memory)?;
        let Image { name, file, .. } = session.image();
        let (name, file) = (name.clone(), file.clone());
        let fpu = session.vcpu.xsave()?.0.into_iter().take(512).collect();
        Ok(Self { name, file, regs: session.vcpu.regs()?, sregs: session.vcpu.sregs()?, fpu, memory, said })
    }

    /// What is known of it.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }
}

impl Target for StoppedGuest {
    type Arch = X86_64_SSE;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Self::Arch, Self::Error> {
        BaseOps::SingleThread(self)
    }

    /// gdb may try to write breakpoints into memory, which refuses them.
    fn guard_rail_implicit_sw_breakpoints(&self) -> bool {
        true
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        Some(self)
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadBase for StoppedGuest {
    fn read_registers(&mut self, to: &mut X86_64CoreRegs) -> TargetResult<(), Self> {
        let (regs, sregs) = (&self.regs, &self.sregs);
        to.regs = [
            regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9,
            regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ];
        (to.rip, to.eflags) = (regs.rip, regs.rflags as u32);
        let [cs, ss, ds, es, fs, gs] =
            [sregs.cs, sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs].map(|one| u32::from(one.selector));
        to.segments = X86SegmentRegs { cs, ss, ds, es, fs, gs };
        // FXSAVE's layout: MXCSR, eight x87 registers of 16 bytes, XMM0 to XMM15.
        let at = |offset: usize| self.fpu.get(offset..).unwrap_or_default();
        to.mxcsr = at(24).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        for (number, register) in to.st.iter_mut().enumerate() {
            *register = at(32 + 16 * number).first_chunk().copied().unwrap_or_default();
        }
        for (number, register) in to.xmm.iter_mut().enumerate() {
            *register = at(160 + 16 * number).first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        }
        Ok(())
    }

    fn write_registers(&mut self, _: &X86_64CoreRegs) -> TargetResult<(), Self> {
        Err(TargetError::Errno(EROFS))
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        let byte = |linear: u64| {
            let address = usize::try_from(physical(&self.memory, &self.sregs, linear)?).ok()?;
            self.memory.get(address).copied()
        };
        let mut count = 0;
        for (place, to) in data.iter_mut().enumerate() {
            let Some(value) = byte(start.wrapping_add(place as u64)) else { break };
            *to = value;
            count += 1;
        }
        if count == 0 && !data.is_empty() { Err(TargetError::Errno(EFAULT)) } else { Ok(count) }
    }

    fn write_addrs(&mut self, _: u64, _: &[u8]) -> TargetResult<(), Self> {
        Err(TargetError::Errno(EROFS))
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadResume for StoppedGuest {
    /// The guest itself is run by whoever serves gdb.
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl MonitorCmd for StoppedGuest {
    /// Whatever is asked: there is one thing to say.
    fn handle_monitor_cmd(&mut self, _: &[u8], mut output: ConsoleOutput<'_>) -> Result<(), Self::Error> {
        for line in &self.said {
            outputln!(output, "{line}");
        }
        Ok(())
    }
}
