//! Typed, length-prefixed, checksummed sections.
//!
//! ```text
//! stream  = header section*
//! header  = "midflght" version:u32 check:u64
//! section = kind:u32 length:u32 payload check:u64
//! ```
//!
//! Numbers are little-endian. Each `check` is the CRC-64/XZ of *everything* before it, the checks of
//! earlier sections excepted: so a section that was changed, moved, repeated or taken from another
//! stream does not fit where it stands. The header never changes its form: a stream of any version
//! can be distinguished from a damaged one.

use super::kind::SectionKind;
use crc::{CRC_64_XZ, Crc, Digest, Table};
use std::io::{self, Read, Write};

/// Sixteen bytes a step: a migration inside this process spends most of its time here.
type Slices = Table<16>;
const MAGIC: [u8; 8] = *b"midflght";
/// The version that this program writes, and the only one that it reads.
pub const VERSION: u32 = 2;

/// A stream cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The transport failed.
    #[error("the other side can no longer be read from or written to: {0}")]
    Io(io::Error),
    /// It ended too soon.
    #[error("the stream ends in the middle of {0}: it was truncated")]
    Truncated(&'static str),
    /// There is none.
    #[error("no guest was received: the input ended without a byte")]
    Empty,
    /// It does not begin like a stream.
    #[error("this is not a midflight stream, or its first bytes are damaged")]
    NoStream,
    /// It is of another version.
    #[error(
        "the stream is of version {found}, which is {age} than this midflight's, {VERSION}: use the same midflight on both sides"
    )]
    Version {
        /// The stream's.
        found: u32,
        /// `newer` or `older`.
        age: &'static str,
    },
    /// Another section is where one is needed.
    #[error(
        "the stream has {found} where its section {wanted} belongs: sections are missing, repeated, out of order or damaged"
    )]
    Order {
        /// What is needed.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A length that no such section has.
    #[error("the stream's section {section} has a length of {length} bytes; the maximum is {longest}")]
    TooLong {
        /// The section.
        section: &'static str,
        /// What it says.
        length: u32,
        /// What is allowed.
        longest: u32,
    },
    /// A checksum is wrong.
    #[error("the stream is damaged in, or before, its section {0}: the checksum is wrong")]
    Checksum(&'static str),
    /// A section makes no sense.
    #[error("the stream's section {section} makes no sense: {problem}")]
    Nonsense {
        /// The section.
        section: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Something follows the end.
    #[error("something follows the end of the stream")]
    Trailing,
}

/// Writes a stream.
#[expect(missing_debug_implementations, reason = "nobody prints a digest")]
pub struct Writer<W> {
    to: W,
    digest: Digest<'static, u64, Slices>,
}

/// Reads a stream.
#[expect(missing_debug_implementations, reason = "nobody prints a digest")]
pub struct Reader<R> {
    from: R,
    digest: Digest<'static, u64, Slices>,
}

/// One table for all digests, which borrow it.
static TABLE: Crc<u64, Slices> = Crc::<u64, Slices>::new(&CRC_64_XZ);

impl<W: Write> Writer<W> {
    /// Begins a stream. Fails when it cannot be written.
    pub fn new(to: W) -> Result<Self, StreamError> {
        let mut writer = Self { to, digest: TABLE.digest() };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.check()?;
        Ok(writer)
    }

    /// Writes a section. Fails when it cannot be written, or is longer than any reader takes.
    pub fn section(&mut self, kind: SectionKind, payload: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if length > kind.longest() {
            return Err(StreamError::TooLong { section: kind.name(), length, longest: kind.longest() });
        }
        self.put(&(kind as u32).to_le_bytes())?;
        self.put(&length.to_le_bytes())?;
        self.put(payload)?;
        self.check()
    }

    /// Hands everything to the other side. Fails when it cannot be written.
    pub fn flush(&mut self) -> Result<(), StreamError> {
        self.to.flush().map_err(StreamError::Io)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.digest.update(bytes);
        self.to.write_all(bytes).map_err(StreamError::Io)
    }

    fn check(&mut self) -> Result<(), StreamError> {
        let sum = self.digest.clone().finalize();
        self.to.write_all(&sum.to_le_bytes()).map_err(StreamError::Io)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header. Fails when it is no stream, or one of another version.
    pub fn new(from: R) -> Result<Self, StreamError> {
        let mut reader = Self { from, digest: TABLE.digest() };
        let magic = reader.at_most(MAGIC.len() as u32)?;
        match magic.len() {
            0 => return Err(StreamError::Empty),
            1..8 => return Err(StreamError::Truncated("its header")),
            _ => reader.digest.update(&magic),
        }
        let version = u32::from_le_bytes(reader.array("its header")?);
        if magic != MAGIC || !reader.is_checked("its header")? {
            return Err(StreamError::NoStream);
        }
        match version.cmp(&VERSION) {
            std::cmp::Ordering::Equal => Ok(reader),
            std::cmp::Ordering::Less => Err(StreamError::Version { found: version, age: "older" }),
            std::cmp::Ordering::Greater => Err(StreamError::Version { found: version, age: "newer" }),
        }
    }

    /// Reads the next section, which must be a `wanted` one. Fails when it is not, or is damaged.
    pub fn section(&mut self, wanted: SectionKind) -> Result<Vec<u8>, StreamError> {
        let name = wanted.name();
        let number = u32::from_le_bytes(self.array(name)?);
        if number != wanted as u32 {
            return Err(StreamError::Order { wanted: name, found: SectionKind::describe(number) });
        }
        let length = u32::from_le_bytes(self.array(name)?);
        if length > wanted.longest() {
            return Err(StreamError::TooLong { section: name, length, longest: wanted.longest() });
        }
        let payload = self.at_most(length)?;
        if payload.len() != length as usize {
            return Err(StreamError::Truncated(name));
        }
        self.digest.update(&payload);
        if self.is_checked(name)? { Ok(payload) } else { Err(StreamError::Checksum(name)) }
    }

    /// Checks that nothing follows. Fails when something does.
    pub fn end(mut self) -> Result<(), StreamError> {
        if self.at_most(1)?.is_empty() { Ok(()) } else { Err(StreamError::Trailing) }
    }

    /// The next bytes, as many as there are: memory grows with what arrives, not with a length that promises it.
    fn at_most(&mut self, length: u32) -> Result<Vec<u8>, StreamError> {
        let mut bytes = Vec::new();
        (&mut self.from).take(length.into()).read_to_end(&mut bytes).map_err(StreamError::Io)?;
        Ok(bytes)
    }

    fn bytes<const N: usize>(&mut self, of: &'static str) -> Result<[u8; N], StreamError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => StreamError::Truncated(of),
            _ => StreamError::Io(error),
        })?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, of: &'static str) -> Result<[u8; N], StreamError> {
        let bytes = self.bytes(of)?;
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn is_checked(&mut self, of: &'static str) -> Result<bool, StreamError> {
        let sum = self.digest.clone().finalize();
        Ok(u64::from_le_bytes(self.bytes(of)?) == sum)
    }
}
