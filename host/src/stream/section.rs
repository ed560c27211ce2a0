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
//! can be told from a damaged one.

use crc::{CRC_64_XZ, Crc, Digest};
use std::io::{self, Read, Write};

const CRC: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);
const MAGIC: [u8; 8] = *b"midflght";
/// The version that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// Largest guest memory that travels, in bytes.
pub const MOST_MEMORY: u64 = 16 << 20;

/// Defines the kinds of sections: number, name in sentences, longest payload in bytes.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $longest:expr;)*) => {
        /// What a section holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Kind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name in sentences.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// No payload is longer, in bytes.
            pub const fn longest(self) -> u32 {
                match self { $(Self::$kind => $longest,)* }
            }
        }
    };
}

kinds! {
    /// The token that the listener has printed.
    Token = 1, "token", 256;
    /// What is asked of the destination, and the report so far.
    Errand = 2, "errand", 1 << 20;
    /// The image's file.
    Image = 3, "image", 2 << 20;
    /// What the VM is made of.
    Config = 4, "configuration", 1 << 16;
    /// CPUID as the guest had it.
    Cpuid = 5, "CPUID", 1 << 16;
    /// The TSC's rate.
    TscRate = 6, "TSC rate", 16;
    /// MP state.
    MpState = 7, "MP state", 16;
    /// Events in flight.
    Events = 8, "events", 256;
    /// General-purpose registers.
    Regs = 9, "registers", 512;
    /// System registers.
    Sregs = 10, "system registers", 1 << 10;
    /// Debug registers.
    DebugRegs = 11, "debug registers", 256;
    /// Extended control registers.
    Xcrs = 12, "XCRs", 1 << 10;
    /// Extended state.
    Xsave = 13, "extended state", 1 << 17;
    /// MSRs.
    Msrs = 14, "MSRs", 1 << 14;
    /// Serial port, and an interrupt that waits.
    Devices = 15, "devices", 1 << 18;
    /// Pages of guest memory.
    Memory = 16, "memory", MOST_MEMORY as u32 + (1 << 18);
    /// Nothing: the guest is complete.
    End = 17, "end", 0;
    /// The report, as one JSON object.
    Report = 18, "report", 1 << 22;
    /// Why there is none.
    Refusal = 19, "refusal", 1 << 14;
}

impl Kind {
    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u32 == number)
    }
}

/// A stream cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The transport failed.
    #[error("the other side can no longer be read from or written to: {0}")]
    Io(io::Error),
    /// It ended too soon.
    #[error("the stream ends in the middle of {0}: it was cut off on the way")]
    Truncated(&'static str),
    /// It does not begin like a stream.
    #[error("this is no midflight stream, or one whose first bytes are damaged")]
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
    /// Another section stands where one is needed.
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
    #[error(
        "the stream's section {section} says that it has {length} bytes; such a section has at most {longest}"
    )]
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
pub struct Writer<W> {
    to: W,
    digest: Digest<'static, u64>,
}

/// Reads a stream.
pub struct Reader<R> {
    from: R,
    digest: Digest<'static, u64>,
}

impl<W> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// One table for all digests, which borrow it.
static TABLE: Crc<u64> = CRC;

impl<W: Write> Writer<W> {
    /// Begins a stream.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(to: W) -> Result<Self, StreamError> {
        let mut writer = Self { to, digest: TABLE.digest() };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.check()?;
        Ok(writer)
    }

    /// Writes a section.
    ///
    /// # Errors
    /// When it cannot be written, or is longer than any reader takes.
    pub fn section(&mut self, kind: Kind, payload: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if length > kind.longest() {
            return Err(StreamError::TooLong { section: kind.name(), length, longest: kind.longest() });
        }
        self.put(&(kind as u32).to_le_bytes())?;
        self.put(&length.to_le_bytes())?;
        self.put(payload)?;
        self.check()
    }

    /// Hands everything to the other side.
    ///
    /// # Errors
    /// When it cannot be written.
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
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no stream, or one of another version.
    pub fn new(from: R) -> Result<Self, StreamError> {
        let mut reader = Self { from, digest: TABLE.digest() };
        let magic: [u8; 8] = reader.array("its header")?;
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

    /// Reads the next section, which must be a `wanted` one.
    ///
    /// # Errors
    /// When it is not, or is damaged.
    pub fn section(&mut self, wanted: Kind) -> Result<Vec<u8>, StreamError> {
        self.one_of(&[wanted]).map(|(_, payload)| payload)
    }

    /// Reads the next section, which must be one of `wanted`.
    ///
    /// # Errors
    /// When it is not, or is damaged.
    pub fn one_of(&mut self, wanted: &[Kind]) -> Result<(Kind, Vec<u8>), StreamError> {
        let name = wanted.first().map_or("end", |kind| kind.name());
        let number = u32::from_le_bytes(self.array(name)?);
        let kind = Kind::from_number(number);
        let Some(kind) = kind.filter(|kind| wanted.contains(kind)) else {
            let found = kind.map_or_else(
                || format!("the unknown section {number}"),
                |k| format!("the section {}", k.name()),
            );
            return Err(StreamError::Order { wanted: name, found });
        };
        let length = u32::from_le_bytes(self.array(name)?);
        if length > kind.longest() {
            return Err(StreamError::TooLong { section: kind.name(), length, longest: kind.longest() });
        }
        // Grows with what arrives, not with what the length promises.
        let mut payload = Vec::new();
        let read = (&mut self.from).take(length.into()).read_to_end(&mut payload).map_err(StreamError::Io)?;
        if read != length as usize {
            return Err(StreamError::Truncated(kind.name()));
        }
        self.digest.update(&payload);
        if self.is_checked(kind.name())? {
            Ok((kind, payload))
        } else {
            Err(StreamError::Checksum(kind.name()))
        }
    }

    /// What is left of the source behind the sections read.
    pub fn into_inner(self) -> R {
        self.from
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
