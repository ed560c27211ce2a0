//! The two signals: one ends KVM_RUN at a deadline, one cancels an entry.
//!
//! *Deadline*: a POSIX timer per thread that signals this thread. Its handler sets the
//! `immediate_exit` of the vCPU that the thread is about to run, so a signal that arrives just
//! before KVM_RUN is not lost: KVM_RUN then returns EINTR at once. The timer is set before the handler
//! knows the vCPU, and the clock is read after that, which closes both sides of the race.
//!
//! *Cut*: blocked in the thread for good, made pending by [`Cut::raise`], unblocked only inside
//! KVM_RUN by KVM_SET_SIGNAL_MASK, and consumed by sigtimedwait. Its handler never runs.

use super::error::{errno_of, last};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::time::Instant;
use vm::VcpuError;

/// Ends KVM_RUN on the thread that it is sent to.
pub(super) fn deadline_signal() -> i32 {
    libc::SIGRTMIN()
}

fn cut_signal() -> i32 {
    libc::SIGRTMIN() + 1
}

thread_local! {
    /// `immediate_exit` of the vCPU that this thread is running, or null. Read by the handler:
    /// constant initialiser and no destructor, so that access is a plain load.
    static RUNNING: Cell<*mut u8> = const { Cell::new(null_mut()) };
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

extern "C" fn on_deadline(_signal: i32) {
    let _ = RUNNING.try_with(|running| {
        let immediate_exit = running.get();
        if !immediate_exit.is_null() {
            // SAFETY: `Running` holds the byte's address here only while the vCPU is borrowed by
            // this very thread; one byte is written, which the kernel reads as an atomic would.
            unsafe { immediate_exit.write_volatile(1) };
        }
    });
}

extern "C" fn on_cut(_signal: i32) {}

/// Installs both handlers, once per process.
fn install_handlers() -> Result<(), VcpuError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let install = |signal: i32, handler: extern "C" fn(i32)| {
        // SAFETY: sigaction is a plain structure for which zeros are valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        // KVM_RUN returns EINTR all the same; other system calls of the thread continue.
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler does nothing that is not async-signal-safe; the signals are real-time
        // ones that nothing else in this program uses.
        match unsafe { libc::sigaction(signal, &action, null_mut()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        }
    };
    INSTALLED
        .get_or_init(|| install(deadline_signal(), on_deadline).and_then(|()| install(cut_signal(), on_cut)))
        .map_err(|errno| errno_of("sigaction", errno))
}

/// The set that holds `signal` alone.
fn set_of(signal: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set, sigaddset changes one bit of it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init()
    }
}

/// This thread's timer, and what it is set to.
struct Timer {
    id: libc::timer_t,
    at: Option<Instant>,
}

impl Timer {
    /// Makes the thread's timer and gives both signals their place in the thread's mask.
    fn new() -> Result<Self, VcpuError> {
        install_handlers()?;
        for (how, signal) in [(libc::SIG_UNBLOCK, deadline_signal()), (libc::SIG_BLOCK, cut_signal())] {
            // SAFETY: changes this thread's mask of two signals that are ours.
            let errno = unsafe { libc::pthread_sigmask(how, &set_of(signal), null_mut()) };
            if errno != 0 {
                return Err(errno_of("pthread_sigmask", errno));
            }
        }
        // SAFETY: sigevent is a plain structure for which zeros are valid.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = deadline_signal();
        // SAFETY: gettid has no preconditions.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut id = null_mut();
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) } != 0 {
            return Err(last("timer_create"));
        }
        Ok(Self { id, at: None })
    }

    /// Makes the timer fire at `at` and at no other time; nothing to do when it is already set so.
    fn set(&mut self, at: Option<Instant>) -> Result<(), VcpuError> {
        if self.at == at {
            return Ok(());
        }
        // SAFETY: itimerspec is a plain structure for which zeros are valid; zeros disarm the timer.
        let mut value: libc::itimerspec = unsafe { std::mem::zeroed() };
        if let Some(at) = at {
            let left = at.saturating_duration_since(Instant::now());
            value.it_value.tv_sec = libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX);
            value.it_value.tv_nsec = libc::c_long::from(left.subsec_nanos()).max(1);
        }
        // SAFETY: the timer is ours, the value is valid for the call.
        if unsafe { libc::timer_settime(self.id, 0, &value, null_mut()) } != 0 {
            return Err(last("timer_settime"));
        }
        self.at = at;
        Ok(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and is not used again.
        unsafe { libc::timer_delete(self.id) };
    }
}

/// While it lives, the deadline's signal makes KVM_RUN on this thread return EINTR.
pub(super) struct Running {
    immediate_exit: *mut u8,
    /// Belongs to the thread that made it.
    _thread: PhantomData<*mut ()>,
}

impl Running {
    /// Announces that this thread is about to run the vCPU whose `immediate_exit` is given, until
    /// `deadline` at the latest. The second value says whether the deadline has already passed.
    pub(super) fn new(immediate_exit: *mut u8, deadline: Option<Instant>) -> Result<(Self, bool), VcpuError> {
        // First the timer: what an earlier run set it to must not end this one.
        with_timer(|timer| timer.set(deadline))?;
        let running = Self { immediate_exit, _thread: PhantomData };
        RUNNING.set(immediate_exit);
        // A signal that came before the line above was ignored, and the clock says so.
        Ok((running, deadline.is_some_and(|deadline| Instant::now() >= deadline)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(null_mut());
        // SAFETY: the byte is the vCPU's, which outlives this; the handler no longer writes it.
        unsafe { self.immediate_exit.write_volatile(0) };
    }
}

fn with_timer<T>(action: impl FnOnce(&mut Timer) -> Result<T, VcpuError>) -> Result<T, VcpuError> {
    TIMER.with_borrow_mut(|timer| {
        if timer.is_none() {
            *timer = Some(Timer::new()?);
        }
        match timer {
            Some(timer) => action(timer),
            None => Err(errno_of("timer_create", libc::EINVAL)),
        }
    })
}

/// While it lives, the cut signal is pending in this thread and blocked there.
pub(super) struct Cut(PhantomData<*mut ()>);

impl Cut {
    /// Makes the cut signal pending in this thread.
    pub(super) fn raise() -> Result<Self, VcpuError> {
        with_timer(|_| Ok(()))?;
        // SAFETY: signals this thread with a signal that is blocked in it.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), cut_signal()) };
        if result == 0 { Ok(Self(PhantomData)) } else { Err(last("tgkill")) }
    }

    /// The thread's mask as KVM_SET_SIGNAL_MASK wants it, with the cut signal unblocked.
    pub(super) fn mask_inside_run() -> Result<u64, VcpuError> {
        let mut now = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: a null set changes nothing; the old mask is written to `now`.
        let errno = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), now.as_mut_ptr()) };
        if errno != 0 {
            return Err(errno_of("pthread_sigmask", errno));
        }
        // SAFETY: `now` is initialised; libc's sigset_t starts with the kernel's 64-signal set.
        let blocked = unsafe { now.as_ptr().cast::<u64>().read() };
        Ok(blocked & !(1 << (cut_signal() - 1)))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: consumes a signal that is blocked in this thread; waits for nothing.
        unsafe { libc::sigtimedwait(&set_of(cut_signal()), null_mut(), &at_once) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_sets_immediate_exit_while_running_and_only_then() {
        let mut byte = 0_u8;
        let at = Instant::now() + Duration::from_millis(5);
        let (running, passed) = Running::new(&raw mut byte, Some(at)).unwrap();
        assert!(!passed);
        while Instant::now() < at + Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        // SAFETY: the byte is alive.
        assert_eq!(unsafe { (&raw const byte).read_volatile() }, 1);
        drop(running);
        // SAFETY: the byte is alive.
        assert_eq!(unsafe { (&raw const byte).read_volatile() }, 0);
        let (_running, passed) = Running::new(&raw mut byte, Some(at)).unwrap();
        assert!(passed);
    }

    #[test]
    fn a_signal_of_an_earlier_run_does_not_end_a_later_one() {
        let mut byte = 0_u8;
        for round in 0..100_000 {
            let soon = Instant::now() + Duration::from_nanos(round % 5000);
            drop(Running::new(&raw mut byte, Some(soon)).unwrap());
            let far = (round % 2 == 0).then(|| Instant::now() + Duration::from_secs(60));
            let (_running, passed) = Running::new(&raw mut byte, far).unwrap();
            // SAFETY: the byte is alive.
            let ended = unsafe { (&raw const byte).read_volatile() };
            assert_eq!((ended, passed), (0, false), "round {round}");
        }
    }

    #[test]
    fn the_cut_signal_is_pending_and_goes_away() {
        let pending = || {
            let mut set = set_of(cut_signal());
            // SAFETY: `set` is valid for the call.
            unsafe { libc::sigpending(&mut set) };
            // SAFETY: `set` is initialised.
            unsafe { libc::sigismember(&set, cut_signal()) == 1 }
        };
        let cut = Cut::raise().unwrap();
        assert!(pending());
        assert_eq!(Cut::mask_inside_run().unwrap() >> (cut_signal() - 1) & 1, 0);
        drop(cut);
        assert!(!pending());
    }
}
