//! A guest that QEMU has saved: a migration stream, whose fields are found by the names that QEMU gives them.
//!
//! At its end the stream describes itself: JSON with the name and the size of each field of each device, in the order
//! in which they lie in it (`QEMU_VM_VMDESCRIPTION`, docs/devel/migration and scripts/analyze-migration.py of QEMU).
//! Nothing here depends on a version of QEMU, nor on what it saves.

use serde::Deserialize;
use std::ops::Range;

/// A migration stream.
#[derive(Clone, Debug)]
pub struct Saved {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Sections whose fields are found.
const SECTIONS: [&str; 2] = ["cpu_common", "cpu"];
/// The same of a device that a processor may have.
const APIC: &str = "apic";

/// A migration stream is not as this program reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It does not describe itself.
    #[error("QEMU's migration stream has no description of itself at its end: {0}")]
    NotDescribed(String),
    /// A section is not where and what its description says.
    #[error("QEMU's migration stream has no section {0} that is as its description says")]
    NoSection(&'static str),
    /// It has no such field.
    #[error("QEMU's migration stream has no field {0}")]
    NoField(&'static str),
}

/// A field, or an array of fields of one size, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    at: usize,
    size: usize,
    count: usize,
}

/// The description, as far as it matters here.
#[derive(Deserialize)]
struct Description {
    devices: Vec<Part>,
}

/// A section or a subsection.
#[derive(Deserialize)]
struct Part {
    /// Of a section.
    #[serde(default)]
    name: String,
    #[serde(default)]
    instance_id: u32,
    /// Of a subsection.
    #[serde(default)]
    vmsd_name: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    fields: Vec<Described>,
    #[serde(default)]
    subsections: Vec<Part>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    size: usize,
    #[serde(default = "one")]
    array_len: usize,
}

fn one() -> usize {
    1
}

/// `QEMU_VM_*` of migration/savevm.h: what a part of a stream begins with.
mod mark {
    pub(super) const SECTION_FULL: u8 = 0x04;
    pub(super) const SUBSECTION: u8 = 0x05;
    pub(super) const VMDESCRIPTION: u8 = 0x06;
    pub(super) const SECTION_FOOTER: u8 = 0x7E;
}

impl Saved {
    /// Reads a stream. Fails when it is none, or does not describe itself.
    pub fn read(bytes: Vec<u8>) -> Result<Self, SavedError> {
        let not_described = |why: &str| SavedError::NotDescribed(why.to_owned());
        let start = description(&bytes).ok_or_else(|| not_described("it is missing"))?;
        let described: Description =
            serde_json::from_slice(&bytes[start..]).map_err(|error| not_described(&error.to_string()))?;
        let found = |name| {
            let is_it = |part: &&Part| part.name == name && part.instance_id == 0;
            described.devices.iter().find(is_it).and_then(|part| section(&bytes, part))
        };
        let mut fields = Vec::new();
        for name in SECTIONS {
            fields.extend(found(name).ok_or(SavedError::NoSection(name))?);
        }
        fields.extend(found(APIC).unwrap_or_default());
        Ok(Self { bytes, fields })
    }

    /// The stream.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Item `index` of a field; `None` where this QEMU, or this guest, has no such field.
    pub fn get(&self, name: &str, index: usize) -> Option<u64> {
        let range = self.place(name, index)?;
        Some(self.bytes[range].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Writes item `index` of a field. Fails where there is none.
    pub fn set(&mut self, name: &'static str, index: usize, value: u64) -> Result<(), SavedError> {
        let range = self.place(name, index).ok_or(SavedError::NoField(name))?;
        let value = value.to_be_bytes();
        let size = range.len();
        self.bytes[range].copy_from_slice(&value[value.len() - size..]);
        Ok(())
    }

    /// Adds a subsection of `u8` and `u64` fields to the section `cpu`, as QEMU writes one that its guest needs. The
    /// description stays as it is: a QEMU that loads a guest passes over it.
    #[cfg(test)]
    pub(crate) fn add_subsection(&mut self, name: &str, fields: &[(&str, Vec<u8>)]) {
        let described: Description =
            serde_json::from_slice(&self.bytes[description(&self.bytes).unwrap()..]).unwrap();
        let own = described.devices.iter().find(|part| part.name == "cpu").unwrap().fields.last().unwrap();
        let last = self.fields.iter().find(|field| field.name == own.name).unwrap();
        let begins = last.at + last.size * last.count;
        let mut bytes = vec![mark::SUBSECTION, name.len() as u8];
        bytes.extend(name.as_bytes());
        bytes.extend(1_u32.to_be_bytes());
        let mut added = Vec::new();
        for (name, value) in fields {
            let name = (*name).to_owned();
            added.push(Field { name, at: begins + bytes.len(), size: value.len(), count: 1 });
            bytes.extend(value);
        }
        let moved = self.fields.iter_mut().filter(|field| field.at >= begins);
        moved.for_each(|field| field.at += bytes.len());
        self.fields.extend(added);
        self.bytes.splice(begins..begins, bytes);
    }

    fn place(&self, name: &str, index: usize) -> Option<Range<usize>> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        let at = field.at + index * field.size;
        (index < field.count && field.size <= size_of::<u64>()).then(|| at..at + field.size)
    }
}

/// Where the description begins: it is the stream's last part, with its length before it.
fn description(bytes: &[u8]) -> Option<usize> {
    let is_it = |at: &usize| {
        bytes[*at] == mark::VMDESCRIPTION
            && number(bytes, at + 1).is_some_and(|length| length as usize == bytes.len() - at - 5)
    };
    (0..bytes.len().saturating_sub(4)).rev().find(is_it).map(|at| at + 5)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The fields of a section: the last place that looks like its header and has its footer where the description says.
fn section(bytes: &[u8], part: &Part) -> Option<Vec<Field>> {
    let mut header = vec![u8::try_from(part.name.len()).ok()?];
    header.extend(part.name.as_bytes());
    header.extend(part.instance_id.to_be_bytes());
    header.extend(part.version.to_be_bytes());
    let starts = (5..bytes.len().saturating_sub(header.len())).rev();
    starts.filter(|at| bytes[*at..].starts_with(&header) && bytes[at - 5] == mark::SECTION_FULL).find_map(
        |at| {
            let mut fields = Vec::new();
            let end = part_at(bytes, at + header.len(), part, &mut fields)?;
            let ends = bytes.get(end) == Some(&mark::SECTION_FOOTER);
            (ends && number(bytes, end + 1) == number(bytes, at - 4)).then_some(fields)
        },
    )
}

/// The end of a part that begins at `at`; `None` where it is not as described.
fn part_at(bytes: &[u8], mut at: usize, part: &Part, fields: &mut Vec<Field>) -> Option<usize> {
    for Described { name, size, array_len } in &part.fields {
        fields.push(Field { name: name.clone(), at, size: *size, count: *array_len });
        at = at.checked_add(size.checked_mul(*array_len)?)?;
    }
    for subsection in &part.subsections {
        let mut header = vec![mark::SUBSECTION, u8::try_from(subsection.vmsd_name.len()).ok()?];
        header.extend(subsection.vmsd_name.as_bytes());
        header.extend(subsection.version.to_be_bytes());
        if !bytes.get(at..)?.starts_with(&header) {
            return None;
        }
        at = part_at(bytes, at + header.len(), subsection, fields)?;
    }
    (at <= bytes.len()).then_some(at)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Section `name` with these fields and a subsection with one.
    fn put(stream: &mut Vec<u8>, id: u32, name: &str, fields: &[&[u8]], subsection: Option<&[u8]>) {
        stream.push(4);
        stream.extend(id.to_be_bytes());
        stream.push(name.len() as u8);
        stream.extend(name.as_bytes());
        stream.extend([0, 0, 0, 0, 0, 0, 0, 12]);
        fields.iter().for_each(|field| stream.extend(*field));
        if let Some(field) = subsection {
            stream.extend(b"\x05\x05cpu/x\0\0\0\x01");
            stream.extend(field);
        }
        stream.push(0x7E);
        stream.extend(id.to_be_bytes());
    }

    /// A stream whose cpu section has the fields of events as given, and the RIP 0x1234.
    pub(in crate::qemu) fn stream(exception: i32, has_error_code: u8, interrupt_request: u32) -> Vec<u8> {
        let mut bytes = b"QEVM\0\0\0\x03".to_vec();
        // Guest memory that looks like the section, and is none.
        bytes.extend(b"\x04\0\0\0\x09\x03cpu\0\0\0\0\0\0\0\x0C no footer here");
        put(&mut bytes, 8, "cpu_common", &[&[0; 4], &interrupt_request.to_be_bytes()], None);
        let regs: Vec<u8> = (0..16_u64).flat_map(u64::to_be_bytes).collect();
        let fields: [&[u8]; 8] = [
            &regs,
            &0x1234_u64.to_be_bytes(),
            &(-1_i32).to_be_bytes(),
            &exception.to_be_bytes(),
            &[0],
            &[0],
            &[0],
            &[has_error_code],
        ];
        put(&mut bytes, 9, "cpu", &fields, Some(&7_u64.to_be_bytes()));
        bytes.push(0);
        let json = r#"{"page_size": 4096, "devices": [
            {"name": "cpu_common", "instance_id": 0, "vmsd_name": "cpu_common", "version": 12, "fields": [
                {"name": "halted", "type": "uint32", "size": 4},
                {"name": "interrupt_request", "type": "uint32", "size": 4}]},
            {"name": "cpu", "instance_id": 0, "vmsd_name": "cpu", "version": 12, "fields": [
                {"name": "env.regs", "array_len": 16, "type": "uint64", "size": 8},
                {"name": "env.eip", "type": "uint64", "size": 8},
                {"name": "env.interrupt_injected", "type": "int32", "size": 4},
                {"name": "env.exception_nr", "type": "int32", "size": 4},
                {"name": "env.soft_interrupt", "type": "uint8", "size": 1},
                {"name": "env.nmi_injected", "type": "uint8", "size": 1},
                {"name": "env.nmi_pending", "type": "uint8", "size": 1},
                {"name": "env.has_error_code", "type": "uint8", "size": 1}],
             "subsections": [{"vmsd_name": "cpu/x", "version": 1, "fields": [
                {"name": "env.x", "type": "uint64", "size": 8}]}]}]}"#;
        bytes.push(6);
        bytes.extend((json.len() as u32).to_be_bytes());
        bytes.extend(json.as_bytes());
        bytes
    }

    #[test]
    fn fields_are_read_and_written_by_name() {
        let mut saved = Saved::read(stream(14, 1, 0)).unwrap();
        assert_eq!((saved.get("env.eip", 0), saved.get("env.regs", 4)), (Some(0x1234), Some(4)));
        assert_eq!((saved.get("env.exception_nr", 0), saved.get("env.x", 0)), (Some(14), Some(7)));
        assert_eq!((saved.get("env.regs", 16), saved.get("env.error_code", 0)), (None, None));
        saved.set("env.regs", 4, 0x5555).unwrap();
        saved.set("env.interrupt_injected", 0, 0x20).unwrap();
        let again = Saved::read(saved.bytes().to_vec()).unwrap();
        assert_eq!(
            (again.get("env.regs", 4), again.get("env.interrupt_injected", 0)),
            (Some(0x5555), Some(0x20))
        );
        assert_eq!((again.get("env.regs", 3), again.get("env.regs", 5)), (Some(3), Some(5)));
        assert_eq!(saved.set("env.error_code", 0, 1), Err(SavedError::NoField("env.error_code")));
    }

    #[test]
    fn a_subsection_is_added() {
        let mut saved = Saved::read(stream(14, 1, 0)).unwrap();
        let before = saved.bytes().len();
        saved.add_subsection("cpu/y", &[("env.y", vec![5]), ("env.z", 6_u64.to_be_bytes().to_vec())]);
        assert_eq!(
            ["env.x", "env.y", "env.z", "env.eip"].map(|name| saved.get(name, 0)),
            [7, 5, 6, 0x1234].map(Some)
        );
        assert_eq!(saved.bytes().len(), before + 2 + 5 + 4 + 9);
    }

    #[test]
    fn a_stream_that_is_not_as_it_says_is_a_sentence() {
        let good = stream(14, 1, 0);
        for length in [0, 4, 8, 200, good.len() - 1] {
            assert!(Saved::read(good[..length].to_vec()).is_err(), "{length}");
        }
        let name = good.windows(9).rposition(|bytes| bytes == b"\x03cpu\0\0\0\0\0").unwrap();
        let mut bad = good.clone();
        bad[name - 1] ^= 1;
        assert!(matches!(Saved::read(bad), Err(SavedError::NoSection("cpu"))), "another footer");
        let text = String::from_utf8_lossy(&good).into_owned();
        assert!(text.contains("\"devices\""));
    }
}
