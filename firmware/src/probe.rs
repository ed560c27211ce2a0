//! A guest that prints what CPUID offers, and ends the machine.

/// Where it is loaded and entered, in flat 32-bit protected mode.
pub const ENTRY: u32 = 0x10_0000;
/// What its line on port 0xE9 begins with; a digit follows, the sum of [`LONG_MODE`], [`FRED`] and [`VMX`].
pub const LINE: &str = "CPUID: ";
/// CPUID.80000001H:EDX.LM.
pub const LONG_MODE: u8 = 1;
/// CPUID.(EAX=07H,ECX=1):EAX.FRED.
pub const FRED: u8 = 2;
/// CPUID.01H:ECX.VMX.
pub const VMX: u8 = 4;

/// Bytes of the guest.
const SIZE: usize = 160;

core::arch::global_asm!(
    ".pushsection .rodata.midflight_probe, \"a\"",
    ".globl midflight_probe",
    "midflight_probe:",
    ".set at_probe_line, probe_line - midflight_probe + {ENTRY}",
    ".code32",
    "xor ebp, ebp",
    "mov eax, 0x80000000",
    "cpuid",
    "cmp eax, 0x80000001",
    "jb 2f",
    "mov eax, 0x80000001",
    "cpuid",
    "bt edx, 29",
    "jnc 2f",
    "or ebp, {LONG_MODE}",
    "2: mov eax, 1",
    "cpuid",
    "bt ecx, 5",
    "jnc 5f",
    "or ebp, {VMX}",
    "5: xor eax, eax",
    "cpuid",
    "cmp eax, 7",
    "jb 3f",
    "mov eax, 7",
    "xor ecx, ecx",
    "cpuid",
    "test eax, eax",
    "jz 3f",
    "mov eax, 7",
    "mov ecx, 1",
    "cpuid",
    "bt eax, 17",
    "jnc 3f",
    "or ebp, {FRED}",
    "3: mov esi, offset at_probe_line",
    "mov edx, 0xE9",
    "mov ecx, 7",
    "rep outsb",
    "lea eax, [ebp + 0x30]",
    "out dx, al",
    "mov al, 10",
    "out dx, al",
    "mov edx, 0x8900",
    "mov ecx, 8",
    "rep outsb",
    "4: hlt",
    "jmp 4b",
    ".code64",
    "probe_line: .ascii \"CPUID: Shutdown\"",
    ".org midflight_probe + {SIZE}, 0",
    ".popsection",
    ENTRY = const ENTRY,
    LONG_MODE = const LONG_MODE,
    FRED = const FRED,
    VMX = const VMX,
    SIZE = const SIZE,
);

unsafe extern "C" {
    #[link_name = "midflight_probe"]
    safe static PROBE: [u8; SIZE];
}

/// The guest, which is to be loaded at [`ENTRY`].
pub fn guest() -> &'static [u8; SIZE] {
    &PROBE
}
