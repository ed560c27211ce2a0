//! /dev/kvm as a [`vm::Machine`]: every ioctl, signal and mapping that a guest needs, and nearly all
//! `unsafe` code of the host side.
//!
//! It knows neither images nor scenarios nor how a stop is used. Begin at [`KvmMachine`].
//!
//! ```no_run
//! use kvm::{DEVICE, KvmMachine};
//! use vm::Machine;
//!
//! # fn main() -> Result<(), vm::VcpuError> {
//! let machine = KvmMachine::open(std::path::Path::new(DEVICE))?;
//! println!("{} leaves of CPUID, {} MSRs", machine.cpuid().len(), machine.msr_indices().len());
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `mappings` | guest memory: one memfd with a mapping for the guest and one for us |
//! | `memory` | what a page allows the guest, and the dirty ring |
//! | `vcpu` | [`KvmVcpu`]: KVM_RUN |
//! | `registers` | KVM_GET_* and KVM_SET_* |
//! | `exit` | `struct kvm_run` -> [`vm::Exit`] |
//! | `slots` | memory slots: one, or three around a page that differs |
//! | `userfault` | a page that userfaultfd watches |
//! | `ring` | the dirty ring |
//! | `signal` | the deadline's timer and the signal that cancels an entry |
//! | `needed` | the capabilities without which nothing can be run |
//! | `nested_flag` | the capability for the nested bit, which has no settled number |
//! | `facts` | what reports and `midflight doctor` say about this host's KVM |
//! | [`any_port`] | a server that gets whatever port is free |
//! | [`process`] | processes that run a VM, and end with their parent |
//! | `int1` | whether a hypervisor below this host handles INT1 correctly |
//! | `closing` | VMs that ended, closed in a thread of its own |
//! | `standing` | a VM that stays, so that KVM does not begin anew with each |
//! | `device` | the device's path, why it cannot be opened, and what helps |
//! | `error` | errno -> a sentence with advice |
//! | `sys` | the ioctls and system calls that kvm-ioctls lacks |

pub mod any_port;
mod closing;
mod device;
mod error;
mod exit;
mod facts;
mod int1;
mod mappings;
mod memory;
mod needed;
mod nested_flag;
pub mod process;
mod registers;
mod ring;
mod signal;
mod slots;
mod standing;
mod sys;
mod userfault;
mod vcpu;

pub use device::DEVICE;
pub use facts::{Capability, Facts, KvmFacts, facts};
pub use int1::rip_after_int1;
pub use nested_flag::NestedFlag;
pub use vcpu::KvmVcpu;

use device::cannot_be_opened;
use error::{call, refusal};
use fred::cpuid::FRED;
use kvm_bindings::{
    CpuId, KVM_API_VERSION, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_GET_TSC_KHZ, KVM_CAP_SREGS2, KVM_CAP_VM_TYPES,
    KVM_CAP_XSAVE2, KVM_MAX_CPUID_ENTRIES, KVM_X86_SW_PROTECTED_VM, kvm_cpuid_entry2, kvm_enable_cap,
};
use kvm_ioctls::{Kvm, VmFd};
use mappings::Mappings;
use ring::Ring;
use slots::Slots;
use standing::Standing;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use vcpu::Offered;
use vm::Machine;
use vm::state::carries_nested_bit;
use vm::{PAGE, Vcpu, VcpuError, VmConfig, VmKind};

/// Where kvm_intel without unrestricted guest keeps three private pages; guest memory ends below.
const TSS_ADDRESS: usize = 0xFFFB_D000;
/// Where kvm_intel without unrestricted guest keeps an identity-mapping page table.
const IDENTITY_MAP_ADDRESS: u64 = 0xFFFB_C000;

/// This host's KVM.
#[derive(Debug)]
pub struct KvmMachine {
    kvm: Kvm,
    cpuid: Vec<kvm_cpuid_entry2>,
    msr_indices: Vec<u32>,
    offered: Offered,
    nested_flag: NestedFlag,
    standing: OnceLock<Option<Standing>>,
}

impl KvmMachine {
    /// Opens the device (usually [`DEVICE`]) and asks it what it supports.
    ///
    /// Asks the kernel for AMX in guests first: KVM_GET_SUPPORTED_CPUID hides AMX without that
    /// permission, and the first vCPU of the process freezes it.
    ///
    /// # Errors
    /// When the device is missing, may not be opened or is no KVM that this program knows.
    pub fn open(device: &Path) -> Result<Self, VcpuError> {
        let path = CString::new(device.as_os_str().as_bytes())
            .map_err(|_| refusal("open", "the path holds a NUL byte".into()))?;
        let kvm = Kvm::new_with_path(path).map_err(|error| cannot_be_opened(device, error.errno()))?;
        let version = kvm.get_api_version();
        if version != KVM_API_VERSION as i32 {
            let what = format!("{} answers {version} instead of 12; it is no KVM", device.display());
            return Err(refusal("KVM_GET_API_VERSION", what));
        }
        if let Some(sentence) = needed::missing(|number| kvm.check_extension_raw(number.into())) {
            return Err(refusal("KVM_CHECK_EXTENSION", sentence));
        }
        sys::permit_guest_amx();
        let cpuid =
            kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(|e| call("KVM_GET_SUPPORTED_CPUID", e))?;
        let cpuid = cpuid.as_slice().to_vec();
        let list = kvm.get_msr_index_list().map_err(|e| call("KVM_GET_MSR_INDEX_LIST", e))?;
        let msr_indices = vm::msr::to_save(list.as_slice(), &cpuid);
        let offers = |capability: u32| kvm.check_extension_raw(capability.into()) > 0;
        let offered = Offered { sregs2: offers(KVM_CAP_SREGS2), tsc_khz: offers(KVM_CAP_GET_TSC_KHZ) };
        let (nested_flag, standing) = (NestedFlag::NotOffered, OnceLock::new());
        let mut machine = Self { kvm, cpuid, msr_indices, offered, nested_flag, standing };
        // Without FRED there is no nested bit to carry.
        if vm::cpuid::has(&machine.cpuid, FRED) {
            machine.nested_flag = machine.find_nested_flag();
        }
        Ok(machine)
    }

    /// How this KVM carries the nested bit. A VM in which a number cannot be tried does not carry it.
    fn find_nested_flag(&self) -> NestedFlag {
        let config = VmConfig::plain(self, PAGE as u64, false);
        nested_flag::find(
            |number| self.kvm.check_extension_raw(number.into()) > 0,
            |way| {
                self.create_with(&config, way).is_ok_and(|mut vcpu| carries_nested_bit(&mut vcpu) == Ok(true))
            },
        )
    }

    /// Whether the kernel can keep an exception's payload out of the registers until its injection.
    pub fn offers_exception_payload(&self) -> bool {
        self.kvm.check_extension_raw(KVM_CAP_EXCEPTION_PAYLOAD.into()) > 0
    }

    fn create_vm(&self, kind: VmKind) -> Result<VmFd, VcpuError> {
        let kind = if kind == VmKind::Protected { self.protected_vm()? } else { 0 };
        loop {
            match self.kvm.create_vm_with_type(kind) {
                Err(error) if error.errno() == libc::EINTR => {}
                other => return other.map_err(|error| call("KVM_CREATE_VM", error)),
            }
        }
    }

    /// The VM type whose pages can have the private attribute.
    fn protected_vm(&self) -> Result<u64, VcpuError> {
        let types = self.kvm.check_extension_raw(KVM_CAP_VM_TYPES.into());
        if types >> KVM_X86_SW_PROTECTED_VM & 1 == 0 {
            let what = "this kernel has no VM whose pages can be private: CONFIG_KVM_SW_PROTECTED_VM";
            return Err(refusal("KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)", what.into()));
        }
        Ok(KVM_X86_SW_PROTECTED_VM.into())
    }

    /// [`Machine::create`] with the type known.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_vcpu(&self, config: &VmConfig) -> Result<KvmVcpu, VcpuError> {
        self.create_with(config, self.nested_flag)
    }

    fn create_with(&self, config: &VmConfig, nested_flag: NestedFlag) -> Result<KvmVcpu, VcpuError> {
        check_memory_size(config.memory_size)?;
        // Without it everything works as well, more slowly.
        self.standing.get_or_init(|| Standing::new(&self.kvm));
        if config.exception_payload && !self.offers_exception_payload() {
            return Err(refusal(
                "KVM_ENABLE_CAP(KVM_CAP_EXCEPTION_PAYLOAD)",
                "this kernel lacks the capability: run with the payload capability off, or use Linux 4.20 or later"
                    .into(),
            ));
        }
        let vm = self.create_vm(config.kind)?;
        // The order is KVM's: addresses and capabilities of the VM before its first vCPU.
        vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)
            .map_err(|e| call("KVM_SET_IDENTITY_MAP_ADDR", e))?;
        vm.set_tss_address(TSS_ADDRESS).map_err(|e| call("KVM_SET_TSS_ADDR", e))?;
        if config.exception_payload {
            let cap =
                kvm_enable_cap { cap: KVM_CAP_EXCEPTION_PAYLOAD, args: [1, 0, 0, 0], ..Default::default() };
            vm.enable_cap(&cap).map_err(|e| call("KVM_ENABLE_CAP(KVM_CAP_EXCEPTION_PAYLOAD)", e))?;
        }
        if let NestedFlag::Capability(cap) = nested_flag {
            let cap = kvm_enable_cap { cap, args: [1, 0, 0, 0], ..Default::default() };
            vm.enable_cap(&cap).map_err(|e| call("KVM_ENABLE_CAP(KVM_CAP_EXCEPTION_NESTED_FLAG)", e))?;
        }
        let memory = Mappings::new(config.memory_size)?;
        let logs = config.kind == VmKind::DirtyRing;
        let ring_size = if logs { Some(ring::enable(&vm)?) } else { None };
        let slots = Slots::new(&vm, &memory, logs)?;
        let fd = vm.create_vcpu(0).map_err(|e| call("KVM_CREATE_VCPU", e))?;
        let cpuid = CpuId::from_entries(&config.cpuid)
            .map_err(|_| refusal("KVM_SET_CPUID2", format!("{} entries are too many", config.cpuid.len())))?;
        fd.set_cpuid2(&cpuid).map_err(|e| call("KVM_SET_CPUID2", e))?;
        // The size is 0 where the capability does not exist; it grows with the guest's AMX permission.
        let xsave_size = usize::try_from(vm.check_extension_raw(KVM_CAP_XSAVE2.into())).unwrap_or(0);
        let ring = ring_size.map(|size| Ring::map(&fd, size)).transpose()?;
        Ok(KvmVcpu::new(fd, vm, memory, slots, ring, xsave_size, self.offered))
    }
}

fn check_memory_size(size: u64) -> Result<(), VcpuError> {
    if size == 0 || !size.is_multiple_of(PAGE as u64) || size > IDENTITY_MAP_ADDRESS {
        return Err(refusal(
            "KVM_SET_USER_MEMORY_REGION",
            format!(
                "guest memory of {size:#x} bytes: it must be a multiple of 4096, from 4096 to {IDENTITY_MAP_ADDRESS:#x}"
            ),
        ));
    }
    Ok(())
}

impl Machine for KvmMachine {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn cpuid(&self) -> &[kvm_cpuid_entry2] {
        &self.cpuid
    }

    fn msr_indices(&self) -> &[u32] {
        &self.msr_indices
    }

    fn create(&self, config: &VmConfig) -> Result<Box<dyn Vcpu>, VcpuError> {
        Ok(Box::new(self.create_vcpu(config)?))
    }
}
