//! Why the device cannot be opened, and what helps.

use crate::error::text_of;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use vm::VcpuError;

/// KVM's device.
pub const DEVICE: &str = "/dev/kvm";

/// What the device's file says of who may open it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    mode: u32,
    /// The owner's name, or number.
    owner: String,
    /// The name of its group; `None` where it is root's, or has none.
    group: Option<String>,
}

impl Node {
    fn of(device: &Path) -> Option<Self> {
        let data = fs::metadata(device).ok()?;
        let owner = name_in("/etc/passwd", data.uid()).unwrap_or_else(|| data.uid().to_string());
        let group = if data.gid() == 0 { None } else { name_in("/etc/group", data.gid()) };
        Some(Self { mode: data.mode() & 0o7777, owner, group })
    }
}

/// The name of a number in a file of lines `name:password:number:…`.
fn name_in(file: &str, number: u32) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number.to_string()).then(|| name.to_owned())
    })
}

/// `device` could not be opened for reading and writing.
pub(crate) fn cannot_be_opened(device: &Path, errno: i32) -> VcpuError {
    let message = text_of(errno);
    let advice = advice(device, errno, Node::of(device).as_ref(), rustix::process::geteuid().is_root());
    VcpuError::Open { device: device.display().to_string(), errno, message, advice }
}

fn advice(device: &Path, errno: i32, node: Option<&Node>, root: bool) -> String {
    const READ_AND_WRITE: u32 = 0o6;
    let name = device.display();
    match (errno, node) {
        (libc::ENOENT, _) if device == Path::new(DEVICE) => {
            ": there is no KVM here; load kvm_intel or kvm_amd, switch virtualization on in the firmware \
             (in a virtual machine: nested virtualization), or use --machine model"
                .to_owned()
        }
        (libc::ENOENT, _) => format!(": there is no such file; without --kvm, {DEVICE} is opened"),
        (libc::EPERM, _) => {
            format!(
                ": this process may use no such device, as in a container; start that with `--device {name}`"
            )
        }
        (libc::EACCES, None) => {
            format!(": a directory on the way to it is closed to you; `namei -l {name}` says which")
        }
        (libc::EACCES, Some(_)) if root => {
            ": its file system may be mounted with `nodev`, or a security module refuses it".to_owned()
        }
        (libc::EACCES, Some(Node { mode, group: Some(group), .. }))
            if mode >> 3 & READ_AND_WRITE == READ_AND_WRITE =>
        {
            format!(
                ": add yourself to its group (`sudo usermod -aG {group} $USER`), then log in again: a session \
                 keeps the groups that it began with"
            )
        }
        (libc::EACCES, Some(Node { mode, owner, .. })) => format!(
            ": its mode is {mode:04o} and its owner {owner}, so that no group helps; run midflight as {owner}, or \
             open it to everybody until the next boot (`sudo chmod 666 {name}`)"
        ),
        (libc::ENODEV | libc::ENXIO, _) => {
            ": the device node is there, the driver is not; load kvm_intel or kvm_amd".to_owned()
        }
        (_, _) => crate::error::advice(errno).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(mode: u32, group: Option<&str>) -> Node {
        Node { mode, owner: "root".to_owned(), group: group.map(str::to_owned) }
    }

    fn said(device: &str, errno: i32, node: Option<&Node>) -> String {
        advice(Path::new(device), errno, node, false)
    }

    #[test]
    fn the_advice_helps_with_the_mode_that_the_device_has() {
        let of_group = said(DEVICE, libc::EACCES, Some(&node(0o660, Some("virt"))));
        assert!(of_group.contains("`sudo usermod -aG virt $USER`"), "{of_group}");
        // Joining a group does not help if the group may not open the device; root's group is not for users.
        for node in [node(0o600, None), node(0o600, Some("kvm")), node(0o660, None), node(0o640, Some("kvm"))]
        {
            let closed = said(DEVICE, libc::EACCES, Some(&node));
            assert!(!closed.contains("usermod") && closed.contains("as root"), "{node:?}: {closed}");
            assert!(closed.contains(&format!("mode is {:04o}", node.mode)), "{closed}");
            assert!(closed.contains("`sudo chmod 666 /dev/kvm`"), "{closed}");
        }
        assert!(said("/a/b", libc::EACCES, None).contains("`namei -l /a/b`"));
        let as_root = advice(Path::new(DEVICE), libc::EACCES, Some(&node(0o660, Some("kvm"))), true);
        assert!(as_root.contains("nodev") && !as_root.contains("usermod"), "{as_root}");
        assert!(said("/dev/kvm", libc::EPERM, Some(&node(0o666, None))).contains("`--device /dev/kvm`"));
    }

    #[test]
    fn a_device_that_somebody_named_is_not_said_to_be_kvm() {
        let error = cannot_be_opened(Path::new("/no/such device"), libc::ENOENT).to_string();
        let sentence =
            "open /no/such device failed: No such file or directory (errno 2): there is no such file";
        assert!(error.starts_with(sentence) && !error.contains("firmware"), "{error}");
        assert!(said(DEVICE, libc::ENOENT, None).contains("in the firmware"));
    }

    #[test]
    fn names_are_found_by_number() {
        assert_eq!(name_in("/etc/passwd", 0).as_deref(), Some("root"));
        assert_eq!(name_in("/no/such/file", 0), None);
    }

    #[test]
    fn what_can_go_wrong_everywhere_can_go_wrong_here() {
        let busy = cannot_be_opened(Path::new(DEVICE), libc::EBUSY).to_string();
        assert!(busy.contains("(errno 16): another hypervisor on this host may own"), "{busy}");
    }
}
