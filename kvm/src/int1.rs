//! RIP of a process of this host after INT1 has trapped.
//!
//! INT1 (F1) is a trap: RIP is saved after it (SDM vol. 2, INT1). A hypervisor below this host can
//! get that wrong for every process here, and so for the ring-3 code of guests.

use std::ffi::{c_int, c_void};

/// Exit codes of the child.
const AT: c_int = 1;
const AFTER: c_int = 2;
const NO_TRAP: c_int = 3;

/// Seconds after which the kernel ends a child that has not ended itself.
const BOUND: u32 = 2;

/// `at` or `after` the instruction; empty where INT1 raises no SIGTRAP.
///
/// A child process executes it, so that any other signal ends only the child.
pub fn rip_after_int1() -> &'static str {
    // SAFETY: the child calls nothing that is not async-signal-safe, and ends itself.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: this is the child.
        unsafe { execute() };
    }
    let mut status = 0;
    // SAFETY: status is valid for the call; without a child the call fails at once.
    while unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return "";
        }
    }
    match libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)) {
        Some(AT) => "at",
        Some(AFTER) => "after",
        _ => "",
    }
}

/// Executes INT1 and ends the process.
///
/// # Safety
/// For a process that may end here.
unsafe fn execute() -> ! {
    // SAFETY: the action is made whole, and what the handler does is async-signal-safe. INT1 changes
    // no register; a signal that nobody handles ends the process without a core file.
    unsafe {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = trapped as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut());
        for signal in [libc::SIGALRM, libc::SIGTRAP] {
            let mut unblocked: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut unblocked, signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, &unblocked, std::ptr::null_mut());
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::alarm(BOUND);
        // The instruction's address, where the handler finds it.
        std::arch::asm!("lea r12, [rip + 2f]", "2: .byte 0xF1", out("r12") _);
        libc::_exit(NO_TRAP)
    }
}

extern "C" fn trapped(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO this context.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let bytes = registers[libc::REG_RIP as usize] - registers[libc::REG_R12 as usize];
    let code = match bytes {
        0 => AT,
        1 => AFTER,
        _ => NO_TRAP,
    };
    // SAFETY: ends this process, at once.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_answers_each_time_the_same() {
        let first = rip_after_int1();
        assert!(["at", "after", ""].contains(&first));
        assert!((0..20).all(|_| rip_after_int1() == first), "{first}");
    }

    /// What a debugger of this host would see: where a traced child stops.
    #[test]
    fn a_tracer_sees_the_same() {
        // SAFETY: the child calls nothing that is not async-signal-safe, and ends itself.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: this is the child.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                execute();
            }
        }
        let mut status = 0;
        // SAFETY: plain calls on a child of this test; the registers are valid for the call.
        let registers = unsafe {
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            if libc::WIFSTOPPED(status) {
                libc::ptrace(libc::PTRACE_GETREGS, child, 0, &mut registers);
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            registers
        };
        let seen = match registers.rip.checked_sub(registers.r12) {
            Some(0) if registers.rip != 0 => "at",
            Some(1) => "after",
            _ => "",
        };
        assert_eq!(rip_after_int1(), seen);
    }
}
