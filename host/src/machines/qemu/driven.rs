//! A QEMU that is driven: with an image in it that is held at its doorbells, or waiting for a saved guest.

use super::{TriedQemu, quiet};
use crate::image::{DeliveryMode, Image};
use crate::process::MemoryFile;
use crate::qemu::error::{VmError, system};
use crate::qemu::vm::QemuVm;
use std::path::Path;
use std::time::{Duration, Instant};

/// Which of the two programs, where the destination of migrations is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that guests boot in.
    Source,
    /// The one that they migrate to.
    Destination,
}

impl TriedQemu {
    /// A QEMU with an image that has not begun. Fails when it does not start.
    pub(crate) fn boot_held(
        &self,
        image: &Image,
        delivery: DeliveryMode,
        deadline: Instant,
    ) -> Result<QemuVm, VmError> {
        self.start(&self.program, image, delivery, &[], deadline)
    }

    /// A QEMU that waits for a saved guest of the image. Fails when it does not start.
    pub(crate) fn incoming(
        &self,
        side: Side,
        image: &Image,
        delivery: DeliveryMode,
        deadline: Instant,
    ) -> Result<QemuVm, VmError> {
        let program = match side {
            Side::Source => &self.program,
            Side::Destination => &self.destination,
        };
        self.start(program, image, delivery, &["-incoming", "defer"], deadline)
    }

    fn start(
        &self,
        program: &Path,
        image: &Image,
        delivery: DeliveryMode,
        more: &[&str],
        deadline: Instant,
    ) -> Result<QemuVm, VmError> {
        let file = MemoryFile::new(&image.file).map_err(system("handing the image to QEMU"))?;
        let mut arguments = self.machine();
        arguments.extend(quiet(&file.path(), &format!("delivery={delivery}")));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        QemuVm::start(program, &arguments, image.mailbox, deadline)
    }

    fn machine(&self) -> Vec<String> {
        let mut arguments = vec!["-machine".to_owned(), "microvm,memory-backend=memory".to_owned()];
        arguments.extend(self.processor());
        arguments
    }

    /// Whether its CPU model `max` has FRED: `query-cpu-model-expansion`. A QEMU that does not say has none.
    pub(super) fn offers_fred(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut arguments = self.machine();
        arguments.extend(["-nodefaults", "-display", "none"].map(str::to_owned));
        let vm = QemuVm::start(&self.program, &arguments, 0, deadline);
        vm.and_then(|mut vm| vm.cpu_offers("max", "fred", deadline)).unwrap_or(false)
    }
}
