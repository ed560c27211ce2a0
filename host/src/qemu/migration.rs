//! A guest leaves a QEMU, and comes into another: QEMU's own migration, to a file and from one, or from one QEMU to the
//! other.

use super::error::{VmError, system};
use super::saved::Saved;
use super::vm::QemuVm;
use crate::deadline::Deadline;
use crate::process::MemoryFile;
use serde_json::{Value, json};
use std::io::{Read, Seek};
use std::os::unix::net::UnixStream;

/// What commands call the socket, or the file, that a guest goes through.
const CHANNEL: &str = "guest";
/// It as the address of a migration.
const HANDED_OVER: &str = "fd:guest";

/// How a QEMU takes a file for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAddress {
    /// By its path, `file:`.
    Path,
    /// `fd:`: it does not know `file:`. One that does takes no file so.
    Descriptor,
}

impl QemuVm {
    /// The migration stream of the guest, which is paused then; [`run`](Self::run) lets it continue all the same.
    /// Fails when QEMU refuses it.
    pub(crate) fn save(&mut self, deadline: &Deadline) -> Result<Saved, VmError> {
        let file = MemoryFile::new(&[]).map_err(system("making a file for a saved guest"))?;
        let address = self.address(&file, deadline)?;
        self.send(&address, "it did not save its guest", deadline)?;
        let mut bytes = Vec::new();
        let mut whole = file.file();
        whole
            .rewind()
            .and_then(|()| whole.read_to_end(&mut bytes))
            .map_err(system("reading a saved guest"))?;
        Ok(Saved::read(bytes)?)
    }

    /// Loads a guest into a QEMU that was started with `-incoming defer`; it is paused then. Fails when QEMU refuses
    /// it.
    pub(crate) fn load(&mut self, saved: &Saved, deadline: &Deadline) -> Result<(), VmError> {
        let file = MemoryFile::new(saved.bytes()).map_err(system("making a file for a saved guest"))?;
        file.file().rewind().map_err(system("making a file for a saved guest"))?;
        let address = self.address(&file, deadline)?;
        self.command("migrate-incoming", json!({ "uri": address }), deadline)?;
        self.wait_until_come(deadline)
    }

    /// The guest migrates to `destination`, which was started with `-incoming defer`, through a unix socket between the
    /// two; it is paused there then. Fails when one of them refuses it.
    pub(crate) fn migrate_to(&mut self, destination: &mut Self, deadline: &Deadline) -> Result<(), VmError> {
        let (here, there) = UnixStream::pair().map_err(system("making a socket for a migration"))?;
        destination.give(CHANNEL, there, deadline)?;
        destination.command("migrate-incoming", json!({ "uri": HANDED_OVER }), deadline)?;
        self.give(CHANNEL, here, deadline)?;
        self.send(HANDED_OVER, "it did not send its guest", deadline)?;
        destination.wait_until_come(deadline)
    }

    /// What commands call a file.
    fn address(&mut self, file: &MemoryFile, deadline: &Deadline) -> Result<String, VmError> {
        match self.file_address {
            FileAddress::Path => Ok(format!("file:{}", file.path())),
            FileAddress::Descriptor => {
                self.give(CHANNEL, file.file(), deadline)?;
                Ok(HANDED_OVER.to_owned())
            }
        }
    }

    fn send(&mut self, address: &str, late: &'static str, deadline: &Deadline) -> Result<(), VmError> {
        self.command("migrate", json!({ "uri": address }), deadline)?;
        self.has_stopped();
        loop {
            let state = self.command("query-migrate", json!({}), deadline)?;
            match state.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why =
                        state.get("error-desc").and_then(Value::as_str).unwrap_or("(no reason)").to_owned();
                    return Err(VmError::Refused { command: "migrate", why });
                }
                Some(_) | None => self.look_after(late, deadline)?,
            }
        }
    }

    fn wait_until_come(&mut self, deadline: &Deadline) -> Result<(), VmError> {
        while self.state(deadline)? == "inmigrate" {
            self.look_after("it did not load its guest", deadline)?;
        }
        Ok(())
    }
}

/// How a QEMU takes a file, by its answer to `query-qmp-schema`: `MigrationAddressType` of qapi/migration.json lists
/// the transports, and names of types are not in the answer.
pub(super) fn file_address(schema: &Value) -> FileAddress {
    let types = schema.as_array().into_iter().flatten();
    let values = types.filter_map(|one| one.get("values").and_then(Value::as_array));
    let mut transports = values.filter(|values| ["socket", "exec"].iter().all(|name| has(values, name)));
    match transports.any(|values| has(values, "file")) {
        true => FileAddress::Path,
        false => FileAddress::Descriptor,
    }
}

fn has(values: &[Value], name: &str) -> bool {
    values.iter().any(|value| value.as_str() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_file_is_taken_is_what_the_schema_says() {
        let schema = |transports: Value| {
            json!([
                { "meta-type": "command", "name": "migrate" },
                { "meta-type": "enum", "name": "7", "values": ["file", "null"] },
                { "meta-type": "enum", "name": "9", "values": transports },
            ])
        };
        let with = schema(json!(["socket", "exec", "rdma", "file"]));
        assert_eq!(file_address(&with), FileAddress::Path);
        assert_eq!(file_address(&schema(json!(["socket", "exec", "rdma"]))), FileAddress::Descriptor);
        assert_eq!(file_address(&json!({})), FileAddress::Descriptor);
    }
}
