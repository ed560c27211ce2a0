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
pub(super) mod tests;
