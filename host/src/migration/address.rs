//! Where a listener waits, and where a sender finds it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a listener waits, and where a sender finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Standard input and output: `-`.
    Pipe,
    /// A socket in the file system: `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST:PORT`, or `tcp:PORT` for [`LOOPBACK`].
    Tcp {
        /// A name or an address.
        host: String,
        /// The port; a listener at port 0 is given one.
        port: u16,
    },
}

/// The host of `tcp:PORT`: what nobody asked for is not offered to the network.
pub const LOOPBACK: &str = "127.0.0.1";

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NONE: &str =
            "give `-` for standard input and output, `unix:PATH`, `tcp:PORT` or `tcp:HOST:PORT`";
        if text == "-" {
            return Ok(Self::Pipe);
        }
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", place)) => {
                let (host, port) = place.rsplit_once(':').unwrap_or((LOOPBACK, place));
                // An IPv6 address has colons of its own and stands in brackets.
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                let port = port.parse().map_err(|_| NONE)?;
                if host.is_empty() { Err(NONE) } else { Ok(Self::Tcp { host: host.to_owned(), port }) }
            }
            _ => Err(NONE),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe => f.write_str("-"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_and_loopback_is_the_default() {
        for text in
            ["-", "unix:/run/guest", "unix:a:b", "tcp:example.org:4711", "tcp:[::1]:7", "tcp:0.0.0.0:0"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("tcp:4711".parse::<Address>().unwrap().to_string(), "tcp:127.0.0.1:4711");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "unix",
            "unix:",
            "tcp",
            "tcp:",
            "tcp::7",
            "tcp:host",
            "tcp:1:65536",
            "tcp:-1",
            "/run/x",
            "udp:7",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
