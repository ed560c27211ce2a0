//! What a case needs of the machine; decided by the host before boot and by the guest before acting.

bitflags::bitflags! {
    /// Needs of a case. A machine that lacks one gives a skip with the need's name as its reason.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Needs: u32 {
        /// FRED: the case makes no sense under the IDT.
        const FRED = 1 << 0;
        /// Extended feature disable: IA32_XFD and IA32_XFD_ERR.
        const XFD = 1 << 1;
        /// AMX tiles.
        const AMX = 1 << 2;
        /// Ring 3.
        const USER = 1 << 3;
        /// Supervisor shadow stacks or indirect-branch tracking.
        const CET = 1 << 4;
        /// NMIs that the host injects.
        const NMI = 1 << 5;
        /// External interrupts that the host injects.
        const INTERRUPT = 1 << 6;
        /// RDTSCP, and with it IA32_TSC_AUX.
        const RDTSCP = 1 << 7;
        /// An Intel processor: where the vendors' manuals differ, it follows Intel's.
        const INTEL = 1 << 8;
        /// A host that sees the guest's shutdown.
        const SHUTDOWN = 1 << 9;
        /// SMEP: ring 0 does not execute pages of ring 3.
        const SMEP = 1 << 10;
        /// SMAP: ring 0 does not access pages of ring 3 but with RFLAGS.AC.
        const SMAP = 1 << 11;
        /// A host beside the image, which bounds the case: where the processor is wrong it waits for ever, and an
        /// image that runs alone would lose its other cases with it.
        const HOST = 1 << 12;
        /// The IDT: FRED does not have what the case is about, or nobody says what it does with it.
        const IDT = 1 << 13;
        /// XSAVE, XRSTOR and XCR0.
        const XSAVE = 1 << 14;
        /// Pages of 1 GiB.
        const PAGE_1G = 1 << 15;
    }
}

impl Needs {
    /// The need's name on command lines and in reasons, lower case.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [(Needs, &str); 16] = [
            (Needs::FRED, "fred"),
            (Needs::XFD, "xfd"),
            (Needs::AMX, "amx"),
            (Needs::USER, "user"),
            (Needs::CET, "cet"),
            (Needs::NMI, "nmi"),
            (Needs::INTERRUPT, "interrupt"),
            (Needs::RDTSCP, "rdtscp"),
            (Needs::INTEL, "intel"),
            (Needs::SHUTDOWN, "shutdown"),
            (Needs::SMEP, "smep"),
            (Needs::SMAP, "smap"),
            (Needs::HOST, "host"),
            (Needs::IDT, "idt"),
            (Needs::XSAVE, "xsave"),
            (Needs::PAGE_1G, "page-1g"),
        ];
        NAMES.into_iter().filter(move |(need, _)| self.contains(*need)).map(|(_, name)| name)
    }
}
