//! The connection to gdb, and how it is served.

use super::stopped::StoppedGuest;
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::state_machine::GdbStubStateMachine as Stub;
use gdbstub::stub::{GdbStub, SingleThreadStopReason};
use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// gdb cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DebugError {
    /// There is nobody to serve.
    #[error("nobody connected within {0} s")]
    Nobody(f64),
    /// The connection ended, or gdb said nothing for too long.
    #[error("the connection to gdb: {0}")]
    Connection(io::Error),
    /// What gdb said makes no sense.
    #[error("gdb: {0}")]
    Protocol(String),
}

type Wire = Box<dyn ConnectionExt<Error = io::Error>>;

/// Where gdb is waited for.
#[derive(Debug)]
pub(crate) enum Listener {
    /// A port of this host.
    Tcp(TcpListener),
    /// A socket, which is removed with this.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens at `HOST:PORT`, where port 0 is a free one, or at the path of a socket, which has a `/`. Fails when it
    /// cannot.
    pub(crate) fn at(place: &str) -> io::Result<Self> {
        let listener = if place.contains('/') {
            let path = Path::new(place);
            Self::Unix(UnixListener::bind(path)?, path.to_owned())
        } else {
            Self::Tcp(TcpListener::bind(place)?)
        };
        match &listener {
            Self::Tcp(tcp) => tcp.set_nonblocking(true)?,
            Self::Unix(unix, _) => unix.set_nonblocking(true)?,
        }
        Ok(listener)
    }

    fn accept(&self, wait: Duration) -> Result<Wire, DebugError> {
        let bound = Instant::now() + wait;
        loop {
            match self.try_accept(wait) {
                Ok(wire) => return Ok(wire),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(DebugError::Connection(error)),
            }
            if Instant::now() >= bound {
                return Err(DebugError::Nobody(wait.as_secs_f64()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn try_accept(&self, wait: Duration) -> io::Result<Wire> {
        /// gdb reads its answers at once.
        const WRITE: Option<Duration> = Some(Duration::from_secs(60));
        match self {
            Self::Tcp(listener) => {
                let stream: TcpStream = listener.accept()?.0;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(wait))?;
                stream.set_write_timeout(WRITE)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => {
                let stream: UnixStream = listener.accept()?.0;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(wait))?;
                stream.set_write_timeout(WRITE)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl fmt::Display for Listener {
    /// As gdb's `target remote` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(error) => error.fmt(f),
            },
            Self::Unix(_, path) => path.display().fmt(f),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A gdb, from its first stop to the end of the guest.
pub(crate) struct Debugger {
    listener: Listener,
    /// How long gdb may be silent.
    wait: Duration,
    stub: Option<Stub<'static, StoppedGuest, Wire>>,
    /// The guest as it was last shown: gdb's last question needs one too.
    guest: Option<StoppedGuest>,
    /// Whether gdb has come, and gone again or failed: then nobody is waited for any more.
    is_over: bool,
}

impl Debugger {
    /// One that waits at `listener`, so long each time.
    pub(crate) fn new(listener: Listener, wait: Duration) -> Self {
        Self { listener, wait, stub: None, guest: None, is_over: false }
    }

    /// Shows gdb a guest, until it continues or leaves. Waits for gdb the first time. Fails when nobody comes, or the
    /// connection breaks.
    pub(crate) fn stopped(&mut self, guest: StoppedGuest) -> Result<(), DebugError> {
        if self.is_over {
            return Ok(());
        }
        let shown = self.show(guest);
        self.is_over |= shown.is_err();
        shown
    }

    fn show(&mut self, mut guest: StoppedGuest) -> Result<(), DebugError> {
        let stub = match self.stub.take() {
            None => {
                let wire = self.listener.accept(self.wait)?;
                GdbStub::new(wire).run_state_machine(&mut guest).map_err(protocol)?
            }
            Some(Stub::Running(running)) => {
                let reason = SingleThreadStopReason::Signal(Signal::SIGTRAP);
                running.report_stop(&mut guest, reason).map_err(protocol)?
            }
            Some(other) => other,
        };
        let served = self.serve(stub, &mut guest);
        self.guest = Some(guest);
        served
    }

    /// The guest has ended with this exit code.
    pub(crate) fn ended(&mut self, code: u8) -> Result<(), DebugError> {
        let (Some(Stub::Running(running)), Some(mut guest)) = (self.stub.take(), self.guest.take()) else {
            return Ok(());
        };
        let stub = running.report_stop(&mut guest, SingleThreadStopReason::Exited(code)).map_err(protocol)?;
        match self.serve(stub, &mut guest) {
            // A gdb that only wanted to know the end hangs up.
            Err(DebugError::Connection(_)) => Ok(()),
            other => other,
        }
    }

    /// Answers gdb until it lets the guest run.
    fn serve(
        &mut self,
        mut stub: Stub<'static, StoppedGuest, Wire>,
        guest: &mut StoppedGuest,
    ) -> Result<(), DebugError> {
        loop {
            stub = match stub {
                Stub::Idle(mut idle) => {
                    let byte = idle.borrow_conn().read().map_err(DebugError::Connection)?;
                    idle.incoming_data(guest, byte).map_err(protocol)?
                }
                Stub::CtrlCInterrupt(interrupt) => {
                    let reason = Some(SingleThreadStopReason::Signal(Signal::SIGINT));
                    interrupt.interrupt_handled(guest, reason).map_err(protocol)?
                }
                running @ Stub::Running(_) => {
                    self.stub = Some(running);
                    return Ok(());
                }
                Stub::Disconnected(_) => {
                    self.is_over = true;
                    return Ok(());
                }
            };
        }
    }
}

impl fmt::Display for Debugger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}

fn protocol(error: impl fmt::Display) -> DebugError {
    DebugError::Protocol(error.to_string())
}
