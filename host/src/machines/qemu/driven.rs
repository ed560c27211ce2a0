//! A QEMU that is driven: with an image in it that is held at its doorbells, or waiting for a saved guest.

use super::{Program, TriedQemu, quiet};
use crate::deadline::Deadline;
use crate::image::{DeliveryMode, Image};
use crate::process::MemoryFile;
use crate::qemu::error::{VmError, system};
use crate::qemu::migration::FileAddress;
use crate::qemu::vm::QemuVm;
use crate::scenario::Plan;
use std::time::Duration;

/// Which of the two programs, where the destination of migrations is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that guests boot in.
    Source,
    /// The one that they migrate to.
    Destination,
}

impl Side {
    /// Where a case ends.
    pub fn of_the_end(plan: Plan) -> Self {
        match plan {
            Plan::Cold => Self::Source,
            Plan::None => Self::Destination,
            Plan::Cut(_, action) if action.migrate.is_some() => Self::Destination,
            Plan::Cut(..) => Self::Source,
        }
    }
}

impl TriedQemu {
    /// A QEMU with an image that has not begun. Fails when it does not start.
    pub(crate) fn boot_held(
        &self,
        image: &Image,
        delivery: DeliveryMode,
        deadline: &Deadline,
    ) -> Result<QemuVm, VmError> {
        self.start(&self.program, image, delivery, &[], deadline)
    }

    /// A QEMU that waits for a saved guest of the image. Fails when it does not start.
    pub(crate) fn incoming(
        &self,
        side: Side,
        image: &Image,
        delivery: DeliveryMode,
        deadline: &Deadline,
    ) -> Result<QemuVm, VmError> {
        let program = match side {
            Side::Source => &self.program,
            Side::Destination => &self.destination,
        };
        self.start(program, image, delivery, &["-incoming", "defer"], deadline)
    }

    fn start(
        &self,
        program: &Program,
        image: &Image,
        delivery: DeliveryMode,
        more: &[&str],
        deadline: &Deadline,
    ) -> Result<QemuVm, VmError> {
        let file = MemoryFile::new(&image.file).map_err(system("handing the image to QEMU"))?;
        let mut arguments = self.machine();
        arguments.extend(quiet(&file.path(), &format!("delivery={delivery}")));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        QemuVm::start(&program.file, &arguments, image.mailbox, program.file_address, deadline)
    }

    fn machine(&self) -> Vec<String> {
        let mut arguments = vec!["-machine".to_owned(), "microvm,memory-backend=memory".to_owned()];
        arguments.extend(self.processor());
        arguments
    }

    /// Whether a stream without an error code may be of a QEMU that saves one where it is not 0, as 11.1 does. What a
    /// QEMU could save its stream does not say; none that takes files by `fd:` is known to.
    pub(crate) fn may_save_error_codes(&self) -> bool {
        self.program.file_address == FileAddress::Path
    }

    /// Finds out whether its CPU model `max` has FRED, `query-cpu-model-expansion`, and how it takes files for guests. One
    /// that does not say has none, and takes them as old ones do.
    pub(super) fn ask(&mut self, limit: Duration) {
        let deadline = Deadline::after(limit);
        let mut arguments = self.machine();
        arguments.extend(["-nodefaults", "-display", "none"].map(str::to_owned));
        let file = &self.program.file;
        let Ok(mut vm) = QemuVm::start(file, &arguments, 0, FileAddress::Descriptor, &deadline) else {
            return;
        };
        self.fred = vm.cpu_offers("max", "fred", &deadline).unwrap_or(false);
        self.program.file_address = vm.takes_files(&deadline).unwrap_or(FileAddress::Descriptor);
        self.destination.file_address = self.program.file_address;
    }
}
