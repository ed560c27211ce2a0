//! The records that the kernel under test sends.
//!
//! A frame is a [`Record`] with its number and a CRC-32, encoded by postcard, made free of zero
//! bytes by COBS and ended by one. So a reader finds the next frame after any damage, a damaged one
//! is seen by its checksum, and a lost one by the numbers.

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// Ends a frame; COBS leaves none inside.
const END: u8 = 0;
/// A frame that is longer, in bytes, is damaged: no sender makes one.
const LONGEST: usize = 1 << 16;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    /// The current stage, for people.
    Stage(String),
    /// The next bytes of midflight's standard output, by [`Squeeze`](super::squeeze::Squeeze).
    Output(Vec<u8>),
    /// The next bytes of midflight's standard error, likewise.
    Errors(Vec<u8>),
    /// Midflight ended with this exit code; the last record.
    Ended(u8),
    /// Midflight could not be run, or ended otherwise; the last record.
    Failed(String),
}

/// Numbers records and frames them.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    next: u64,
}

impl Encoder {
    /// The frame of `record`, which is the next one.
    pub(super) fn frame(&mut self, record: &Record) -> Result<Vec<u8>, postcard::Error> {
        let checked = postcard::to_stdvec_crc32(&(self.next, record), CRC.digest())?;
        self.next += 1;
        let mut frame = postcard::to_stdvec_cobs(checked.as_slice())?;
        // A zero before it, too: earlier bytes on the serial port are not part of the frame.
        frame.insert(0, END);
        Ok(frame)
    }
}

/// Decodes frames.
///
/// What is no frame is dropped: text of a boot loader harms nothing, and a damaged frame is missed
/// by its number.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    received: u64,
    /// The number that the next record has if none is lost.
    next: u64,
}

impl Decoder {
    /// Records that `bytes` complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        for byte in bytes {
            if *byte != END {
                // One byte too many is enough to see that it is no frame.
                if self.bytes.len() <= LONGEST {
                    self.bytes.push(*byte);
                }
                continue;
            }
            if let Some((number, record)) = decode(&mut std::mem::take(&mut self.bytes))
                && number >= self.next
            {
                self.next = number.saturating_add(1);
                self.received += 1;
                records.push(record);
            }
        }
        records
    }

    /// How many records have come.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How many records before the last one received are missing.
    pub(super) fn lost(&self) -> u64 {
        self.next - self.received
    }
}

/// A record and its number, if `frame` is undamaged.
fn decode(frame: &mut [u8]) -> Option<(u64, Record)> {
    if frame.len() > LONGEST {
        return None;
    }
    let checked: Vec<u8> = postcard::from_bytes_cobs(frame).ok()?;
    postcard::from_bytes_crc32(&checked, CRC.digest()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        vec![
            Record::Stage("Linux 6.1".into()),
            Record::Output(vec![0, b'{', 0xFF, b'}', b'\n', 0]),
            Record::Errors(b"midflight: no".into()),
            Record::Ended(1),
        ]
    }

    fn frames() -> Vec<Vec<u8>> {
        let mut encoder = Encoder::default();
        records().iter().map(|record| encoder.frame(record).unwrap()).collect()
    }

    #[test]
    fn records_come_back_whatever_the_pieces() {
        let stream = frames().concat();
        for size in [1, 2, 7, stream.len()] {
            let mut decoder = Decoder::default();
            let read: Vec<_> = stream.chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            assert_eq!((read, decoder.lost()), (records(), 0));
        }
    }

    #[test]
    fn text_before_and_between_frames_is_no_damage() {
        let frames = frames();
        let mut decoder = Decoder::default();
        let mut read = decoder.feed(b"SeaBIOS (version 1.16)\r\n");
        for frame in &frames {
            read.extend(decoder.feed(frame));
            read.extend(decoder.feed(b"[    1.0] tsc: Marking TSC unstable\n"));
        }
        assert_eq!((read, decoder.lost()), (records(), 0));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let frames = frames();
        let damaged_frame = 1;
        let last = frames[damaged_frame].len() - 1;
        for index in 1..=last {
            for flip in [0x01, 0x80, 0xFF] {
                let mut frames = frames.clone();
                frames[damaged_frame][index] ^= flip;
                let mut decoder = Decoder::default();
                let read = decoder.feed(&frames.concat());
                assert_eq!(read.len() as u64 + decoder.lost(), 4, "byte {index} ^ {flip:#x}");
                assert!(read.iter().all(|record| records().contains(record)), "byte {index} ^ {flip:#x}");
                // The end mark alone may be damaged without harm: the next frame begins with one.
                assert!(decoder.lost() == 1 || index == last, "byte {index} ^ {flip:#x}");
            }
        }
    }

    #[test]
    fn a_lost_record_is_noticed() {
        let mut frames = frames();
        frames.remove(1);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&frames.concat()).len(), 3);
        assert_eq!(decoder.lost(), 1);
    }

    #[test]
    fn endless_garbage_takes_no_memory() {
        let mut decoder = Decoder::default();
        for _ in 0..100 {
            assert_eq!(decoder.feed(&[b'x'; 1 << 14]), []);
        }
        assert!(decoder.bytes.len() <= LONGEST + 1);
    }
}
