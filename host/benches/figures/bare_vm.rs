//! A VM by kvm-ioctls alone: restored, run, saved.

use super::Result;
use kvm_bindings::{
    CpuId, KVM_CAP_EXCEPTION_PAYLOAD, Msrs, Xsave, kvm_debugregs, kvm_enable_cap, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_sregs, kvm_userspace_memory_region, kvm_vcpu_events, kvm_xcrs,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use memmap2::MmapRaw;
use midflight::image::MEMORY_SIZE;
use protocol::doorbell::Doorbell;
use protocol::port;
use rustix::fs::{MemfdFlags, SeekFrom};
use std::fs::File;
use std::os::unix::fs::FileExt;
use vm::PAGE;
use vm::state::VmState;

/// Where midflight puts them as well.
const IDENTITY_MAP_ADDRESS: u64 = 0xFFFB_C000;
const TSS_ADDRESS: usize = 0xFFFB_D000;
/// COM1's line status: nothing waits to be sent.
const LINE_STATUS: u16 = port::COM1 + 5;
const EMPTY: u8 = 0x60;

/// The state of a stopped guest, in the form that the ioctls take.
pub(super) struct State {
    cpuid: CpuId,
    /// Runs of pages, and where they lie.
    memory: Vec<(u64, Vec<u8>)>,
    sregs: kvm_sregs,
    /// None where there is no XSAVE.
    xcrs: Option<kvm_xcrs>,
    xsave: Xsave,
    debug_regs: kvm_debugregs,
    msrs: Msrs,
    mp_state: kvm_mp_state,
    regs: kvm_regs,
    events: kvm_vcpu_events,
}

impl State {
    /// The same in midflight's form.
    pub(super) fn of(state: &VmState) -> Result<Self> {
        let mut memory: Vec<(u64, Vec<u8>)> = Vec::new();
        for (number, page) in state.memory.pages.iter().enumerate() {
            let (Some(page), address) = (page, (number * PAGE) as u64) else { continue };
            match memory.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u64 == address => bytes.extend(page.iter()),
                _ => memory.push((address, page.to_vec())),
            }
        }
        let words = state.xsave.0.chunks_exact(4).map(|word| Ok(u32::from_le_bytes(word.try_into()?)));
        let words = words.collect::<Result<Vec<_>>>()?;
        let (region, rest) = words.split_at_checked(1024).ok_or("the XSAVE area is too short")?;
        let mut xsave = Xsave::new(rest.len()).map_err(|_| "the XSAVE area is too long")?;
        xsave.as_mut_slice().copy_from_slice(rest);
        // SAFETY: the length of the flexible part stays as it is.
        unsafe { xsave.as_mut_fam_struct() }.xsave.region.copy_from_slice(region);
        let msr = |msr: &vm::Msr| kvm_msr_entry { index: msr.index, data: msr.value, ..Default::default() };
        let msrs: Vec<_> = state.msrs.iter().map(msr).collect();
        Ok(Self {
            cpuid: CpuId::from_entries(&state.config.cpuid).map_err(|_| "too many CPUID entries")?,
            memory,
            sregs: state.sregs,
            xcrs: state.xcrs,
            xsave,
            debug_regs: state.debug_regs,
            msrs: Msrs::from_entries(&msrs).map_err(|_| "too many MSRs")?,
            mp_state: state.mp_state,
            regs: state.regs,
            events: state.events,
        })
    }
}

/// A VM with one vCPU. The descriptors are closed before the memory goes.
pub(super) struct Vm {
    pub(super) fd: VcpuFd,
    _vm: VmFd,
    memory: Memory,
}

impl Vm {
    pub(super) fn restored(kvm: &Kvm, state: &State) -> Result<Self> {
        let vm = kvm.create_vm()?;
        vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)?;
        vm.set_tss_address(TSS_ADDRESS)?;
        let payload =
            kvm_enable_cap { cap: KVM_CAP_EXCEPTION_PAYLOAD, args: [1, 0, 0, 0], ..Default::default() };
        vm.enable_cap(&payload)?;
        let memory = Memory::new()?;
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: MEMORY_SIZE,
            userspace_addr: memory.guest.as_mut_ptr() as u64,
        };
        // SAFETY: the region is `memory`, which is unmapped after the descriptors are closed.
        unsafe { vm.set_user_memory_region(region)? };
        let fd = vm.create_vcpu(0)?;
        fd.set_cpuid2(&state.cpuid)?;
        for (address, pages) in &state.memory {
            memory.file.write_all_at(pages, *address)?;
        }
        fd.set_sregs(&state.sregs)?;
        if let Some(xcrs) = &state.xcrs {
            fd.set_xcrs(xcrs)?;
        }
        // SAFETY: the area is as long as the one that KVM_GET_XSAVE2 filled.
        unsafe { fd.set_xsave2(&state.xsave)? };
        fd.set_debug_regs(&state.debug_regs)?;
        if fd.set_msrs(&state.msrs)? != state.msrs.as_slice().len() {
            return Err("an MSR was refused".into());
        }
        fd.set_mp_state(state.mp_state)?;
        fd.set_regs(&state.regs)?;
        fd.set_vcpu_events(&state.events)?;
        Ok(Self { fd, _vm: vm, memory })
    }

    /// Every GET; the CPUID and the list of MSRs are `like`'s.
    pub(super) fn save(&self, like: &State) -> Result<State> {
        let mut xsave = like.xsave.clone();
        // SAFETY: the area is as long as the one that KVM_GET_XSAVE2 filled.
        unsafe { self.fd.get_xsave2(&mut xsave)? };
        let mut msrs = like.msrs.clone();
        self.fd.get_msrs(&mut msrs)?;
        Ok(State {
            cpuid: like.cpuid.clone(),
            mp_state: self.fd.get_mp_state()?,
            events: self.fd.get_vcpu_events()?,
            sregs: self.fd.get_sregs()?,
            debug_regs: self.fd.get_debug_regs()?,
            regs: self.fd.get_regs()?,
            xcrs: like.xcrs.map(|_| self.fd.get_xcrs()).transpose()?,
            xsave,
            msrs,
            memory: self.memory.data()?,
        })
    }

    /// Runs until `doorbell` rings.
    pub(super) fn run_to(&mut self, doorbell: Doorbell) -> Result<()> {
        loop {
            match self.fd.run()? {
                VcpuExit::IoOut(port::DOORBELL, value) if value == doorbell.encode().to_le_bytes() => {
                    return Ok(());
                }
                VcpuExit::IoOut(..) => {}
                VcpuExit::IoIn(LINE_STATUS, answer) => answer.fill(EMPTY),
                other => return Err(format!("the guest stopped: {other:?}").into()),
            }
        }
    }

    /// Completes the OUT that the guest is stopped at.
    pub(super) fn complete_io(&mut self) -> Result<()> {
        self.fd.set_kvm_immediate_exit(1);
        let interrupted = self.fd.run().is_err_and(|error| error.errno() == libc::EINTR);
        self.fd.set_kvm_immediate_exit(0);
        if interrupted { Ok(()) } else { Err("the guest was entered".into()) }
    }

    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        Ok(self.memory.file.read_exact_at(bytes, address)?)
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.memory.file.write_all_at(bytes, address)?)
    }
}

/// A memfd, mapped for the guest.
struct Memory {
    file: File,
    guest: MmapRaw,
}

impl Memory {
    fn new() -> Result<Self> {
        let file = File::from(rustix::fs::memfd_create("bare", MemfdFlags::CLOEXEC)?);
        file.set_len(MEMORY_SIZE)?;
        let guest = MmapRaw::map_raw(&file)?;
        Ok(Self { file, guest })
    }

    /// The ranges that the file holds.
    fn data(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let (mut ranges, mut from) = (Vec::new(), 0);
        while let Ok(start) = rustix::fs::seek(&self.file, SeekFrom::Data(from)) {
            let end = rustix::fs::seek(&self.file, SeekFrom::Hole(start))?;
            let mut bytes = vec![0; (end - start) as usize];
            self.file.read_exact_at(&mut bytes, start)?;
            ranges.push((start, bytes));
            from = end;
        }
        Ok(ranges)
    }
}
