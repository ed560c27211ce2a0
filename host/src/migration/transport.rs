//! Pipes, unix sockets and TCP: how the two sides of a migration find each other.
//!
//! A listener takes exactly one connection. As soon as it has it, it no longer listens, and the file of
//! its socket is gone.

use super::address::Address;
use super::keeper::Keeper;
use super::{MigrationError, patient::Patient, patient::until};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::io::{self, stdin, stdout};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The other side, to read from and to write to.
#[derive(Debug)]
pub struct Connection {
    from: OwnedFd,
    to: OwnedFd,
}

impl Connection {
    /// Both directions, until `deadline`.
    pub(super) fn patiently(self, deadline: Instant) -> (Patient, Patient) {
        (Patient::new(self.from, deadline), Patient::new(self.to, deadline))
    }

    fn of_pipe() -> io::Result<Self> {
        let (from, to) = (stdin().as_fd().try_clone_to_owned()?, stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { from, to })
    }

    fn of_unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { from: stream.try_clone()?.into(), to: stream.into() })
    }

    fn of_tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { from: stream.try_clone()?.into(), to: stream.into() })
    }
}

/// Waits for one sender.
#[derive(Debug)]
pub struct Listener {
    address: Address,
    door: Door,
}

#[derive(Debug)]
enum Door {
    Pipe,
    Unix(UnixListener, Keeper),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When it cannot be listened at.
    pub fn open(address: &Address) -> Result<Self, MigrationError> {
        let failed = |error: io::Error| MigrationError::Listen {
            address: address.to_string(),
            error: error.to_string(),
        };
        let mut listener = Self { address: address.clone(), door: Door::Pipe };
        match &mut listener.address {
            Address::Pipe => {}
            Address::Unix(path) => {
                let (socket, keeper) = Keeper::open(path)?;
                socket.set_nonblocking(true).map_err(failed)?;
                listener.door = Door::Unix(socket, keeper);
            }
            Address::Tcp { host, port } => {
                let socket = TcpListener::bind((host.as_str(), *port)).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                *port = socket.local_addr().map_err(failed)?.port();
                listener.door = Door::Tcp(socket);
            }
        }
        Ok(listener)
    }

    /// Where it listens, with the port that it was given.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for a sender, and listens no longer.
    ///
    /// # Errors
    /// When nobody comes within `patience`.
    pub fn accept(self, patience: Duration) -> Result<Connection, MigrationError> {
        let deadline = Instant::now() + patience;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => {
                MigrationError::Nobody { address: self.address.to_string(), seconds: patience.as_secs_f64() }
            }
            _ => MigrationError::Listen { address: self.address.to_string(), error: error.to_string() },
        };
        let connection = match &self.door {
            Door::Pipe => readable(stdin().as_fd(), deadline).and_then(|()| Connection::of_pipe()),
            Door::Unix(socket, keeper) => loop {
                match kept(socket.as_fd(), keeper, deadline).and_then(|()| socket.accept()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => break other.and_then(|(stream, _)| Connection::of_unix(stream)),
                }
            },
            Door::Tcp(socket) => loop {
                // Who has gone again by now was nobody.
                match readable(socket.as_fd(), deadline).and_then(|()| socket.accept()) {
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
                        ) => {}
                    other => break other.and_then(|(stream, _)| Connection::of_tcp(stream)),
                }
            },
        };
        connection.map_err(failed)
    }
}

fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<()> {
    until(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], deadline)
}

/// As [`readable`], while the keeper lives.
fn kept(fd: BorrowedFd<'_>, keeper: &Keeper, deadline: Instant) -> io::Result<()> {
    let Some(string) = keeper.string() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let mut polled = [fd, string].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    until(&mut polled, deadline)?;
    if polled[0].revents().is_empty() {
        return Err(io::Error::other("the process that keeps the socket's file was killed"));
    }
    Ok(())
}

/// Goes to a listener.
///
/// # Errors
/// When nobody listens there.
pub fn connect(address: &Address, deadline: Instant) -> Result<Connection, MigrationError> {
    let connection = match address {
        Address::Pipe => Connection::of_pipe(),
        Address::Unix(path) => connect_unix(path, deadline).and_then(Connection::of_unix),
        Address::Tcp { host, port } => connect_tcp(host, *port, deadline).and_then(Connection::of_tcp),
    };
    connection.map_err(|error| MigrationError::Unreachable { address: address.to_string(), error })
}

/// Waits until the listener has room for another connection: SO_SNDTIMEO bounds that, unix(7).
fn connect_unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    set_socket_timeout(&socket, Timeout::Send, Some(left))?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
        connected => connected?,
    }
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(UnixStream::from(socket))
}

/// Tries each address that the host has.
fn connect_tcp(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_takes_nobody_is_waited_for_until_the_deadline() {
        let path = std::env::temp_dir().join(format!("midflight-full-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let address = Address::Unix(path.clone());
        let mut waiting = Vec::new();
        let start = Instant::now();
        let error = loop {
            match connect(&address, Instant::now() + Duration::from_millis(300)) {
                Ok(connection) => waiting.push(connection),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10, "it takes any number");
        };
        std::fs::remove_file(&path).unwrap();
        assert!(!waiting.is_empty() && start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}
