//! The processor at hand: a child process that executes one instruction at a time.
//!
//! The child waits in a loop. For each case it takes a breakpoint exception whose handler returns
//! into the instruction with all its registers; the exception that ends the instruction, at the
//! latest the INT3 after it, is recorded by the same handler, which then returns to the loop.

use crate::state::{CODE, Case, DATA, DATA_SIZE, FILLER, GS_BASE, PAGE, RESERVED, STACK, STACK_SIZE, State};
use libc::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What parent and child share.
#[repr(C)]
struct Exchange {
    case: Case,
    after: State,
}

/// The child, and the two ends to talk to it.
pub(crate) struct Native {
    child: c_int,
    to_child: c_int,
    from_child: c_int,
    exchange: *mut Exchange,
}

/// How much processor time of the child a single instruction may take, in seconds; on a busy host that is
/// many more of wall time.
const PROCESSOR_TIME: i64 = 2;
/// How long the child may take for anything, in seconds, also when it does not get to run.
const WALL_TIME: u64 = 120;

static EXCHANGE: AtomicPtr<Exchange> = AtomicPtr::new(ptr::null_mut());
/// 0: the loop asks to be sent into the instruction. 1: the instruction runs.
static PHASE: AtomicU32 = AtomicU32::new(0);
static mut LOOP: [libc::greg_t; 23] = [0; 23];

/// General-purpose registers in encoding order.
const GREGS: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Native {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (mut to_child, mut from_child) = ([0; 2], [0; 2]);
        // SAFETY: plain system calls; the child does nothing that another thread's lock could stop:
        // it neither allocates nor unwinds.
        unsafe {
            let size = size_of::<Exchange>();
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let shared =
                libc::mmap(ptr::null_mut(), size, prot, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0);
            if shared == libc::MAP_FAILED
                || libc::pipe(to_child.as_mut_ptr()) != 0
                || libc::pipe(from_child.as_mut_ptr()) != 0
            {
                return Err(std::io::Error::last_os_error());
            }
            let exchange = shared.cast::<Exchange>();
            let child = libc::fork();
            if child < 0 {
                return Err(std::io::Error::last_os_error());
            }
            if child == 0 {
                libc::close(to_child[1]);
                libc::close(from_child[0]);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                serve(exchange, to_child[0], from_child[1]);
            }
            libc::close(to_child[0]);
            libc::close(from_child[1]);
            let native = Self { child, to_child: to_child[1], from_child: from_child[0], exchange };
            if !native.answered() {
                return Err(std::io::Error::other(
                    "the child process could not map executable memory where the cases want it",
                ));
            }
            Ok(native)
        }
    }

    /// Executes the case's instruction; `None` when the child died of it or never came back.
    pub(crate) fn run(&mut self, case: &Case) -> Option<State> {
        // SAFETY: the child touches the shared memory only between the two messages.
        unsafe {
            (*self.exchange).case.clone_from(case);
            let byte = 0u8;
            libc::write(self.to_child, (&raw const byte).cast(), 1);
            self.answered().then(|| (*self.exchange).after.clone())
        }
    }

    /// Waits for the child's message; `false` when it died or does not end.
    fn answered(&self) -> bool {
        let start = Instant::now();
        let before = self.processor_time();
        while start.elapsed() < Duration::from_secs(WALL_TIME) {
            let mut ready = libc::pollfd { fd: self.from_child, events: libc::POLLIN, revents: 0 };
            let mut byte = 0u8;
            // SAFETY: plain system calls on this process's own descriptor.
            unsafe {
                if libc::poll(&mut ready, 1, 500) == 1 {
                    return libc::read(self.from_child, (&raw mut byte).cast(), 1) == 1;
                }
            }
            if self.processor_time() - before > PROCESSOR_TIME {
                return false;
            }
        }
        false
    }

    /// Seconds for which the child has run.
    fn processor_time(&self) -> i64 {
        let mut clock = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both write what they are given.
        unsafe {
            if libc::clock_getcpuclockid(self.child, &mut clock) == 0 {
                libc::clock_gettime(clock, &mut time);
            }
        }
        time.tv_sec
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the process is this one's own child and is waited for; the memory is not shared with any other.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            libc::waitpid(self.child, ptr::null_mut(), 0);
            libc::close(self.to_child);
            libc::close(self.from_child);
            libc::munmap(self.exchange.cast(), size_of::<Exchange>());
        }
    }
}

/// The child.
///
/// # Safety
/// Must run in its own process; never returns.
unsafe fn serve(exchange: *mut Exchange, requests: c_int, answers: c_int) -> ! {
    // SAFETY: this process has one thread and ends here; the addresses are reserved by the call that
    // fails when something else is mapped there.
    unsafe {
        let stack_for_signals = libc::mmap(
            ptr::null_mut(),
            0x10000,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        let alternate = libc::stack_t { ss_sp: stack_for_signals, ss_flags: 0, ss_size: 0x10000 };
        let reserved = libc::mmap(
            RESERVED.start as *mut c_void,
            (RESERVED.end - RESERVED.start) as usize,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        );
        let read_write = libc::PROT_READ | libc::PROT_WRITE;
        let failed = reserved as u64 != RESERVED.start
            || stack_for_signals == libc::MAP_FAILED
            || libc::sigaltstack(&alternate, ptr::null_mut()) != 0
            || libc::mprotect(CODE as *mut c_void, PAGE as usize, read_write | libc::PROT_EXEC) != 0
            || libc::mprotect(STACK as *mut c_void, STACK_SIZE, read_write) != 0
            || libc::mprotect(DATA as *mut c_void, DATA_SIZE, read_write) != 0
            || libc::syscall(libc::SYS_arch_prctl, 0x1001, GS_BASE) != 0;
        if failed {
            libc::_exit(2);
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_exception as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
            libc::sigaction(signal, &action, ptr::null_mut());
        }
        EXCHANGE.store(exchange, Ordering::SeqCst);
        let mut byte = 0u8;
        libc::write(answers, (&raw const byte).cast(), 1);
        while libc::read(requests, (&raw mut byte).cast(), 1) == 1 {
            let case = &raw const (*exchange).case;
            let code = (*case).before.rip as *mut u8;
            let length = (*case).mapped_code().len();
            ptr::write_bytes(CODE as *mut u8, FILLER, PAGE as usize);
            ptr::copy_nonoverlapping((&raw const (*case).bytes).cast(), code, length);
            ptr::copy_nonoverlapping((&raw const (*case).before.stack).cast(), STACK as *mut u8, STACK_SIZE);
            ptr::copy_nonoverlapping((&raw const (*case).before.data).cast(), DATA as *mut u8, DATA_SIZE);
            PHASE.store(0, Ordering::SeqCst);
            std::arch::asm!("int3");
            let after = &raw mut (*exchange).after;
            ptr::copy_nonoverlapping(STACK as *const u8, (&raw mut (*after).stack).cast(), STACK_SIZE);
            ptr::copy_nonoverlapping(DATA as *const u8, (&raw mut (*after).data).cast(), DATA_SIZE);
            libc::write(answers, (&raw const byte).cast(), 1);
        }
        libc::_exit(0)
    }
}

/// Goes from the loop into the instruction, and from its end back into the loop.
unsafe extern "C" fn on_exception(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // AC, NT and ID may be set: this handler and the next instruction start without.
    // SAFETY: the flags are the handler's own.
    unsafe { std::arch::asm!("push 0x202", "popfq") };
    // SAFETY: the kernel hands the context in; this process has one thread.
    unsafe {
        let gregs = &raw mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let exchange = EXCHANGE.load(Ordering::SeqCst);
        if PHASE.load(Ordering::SeqCst) == 0 {
            PHASE.store(1, Ordering::SeqCst);
            LOOP = *gregs;
            let before = &raw const (*exchange).case.before;
            for (n, register) in GREGS.iter().enumerate() {
                (*gregs)[*register as usize] = (*before).gpr[n] as i64;
            }
            (*gregs)[libc::REG_RIP as usize] = (*before).rip as i64;
            (*gregs)[libc::REG_EFL as usize] = (*before).rflags as i64;
            return;
        }
        let after = &raw mut (*exchange).after;
        for (n, register) in GREGS.iter().enumerate() {
            (*after).gpr[n] = (*gregs)[*register as usize] as u64;
        }
        (*after).rip = (*gregs)[libc::REG_RIP as usize] as u64;
        (*after).rflags = (*gregs)[libc::REG_EFL as usize] as u64;
        (*after).vector = (*gregs)[libc::REG_TRAPNO as usize] as u64;
        (*after).error = (*gregs)[libc::REG_ERR as usize] as u64;
        (*after).address = (*gregs)[libc::REG_CR2 as usize] as u64;
        *gregs = LOOP;
    }
}
