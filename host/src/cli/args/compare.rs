//! Options of `compare`.

use super::groups::{BochsArgs, KnownArgs, QemuArgs};
use super::seconds;
use crate::machines::MachineKind;
use crate::report::compare::CompareFormat;
use crate::scenario::DeliveryMode;
use clap::Args;
use std::time::Duration;

/// Options of `compare`.
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The name of an image, or an image file; without it, every image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// The two machines
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "kvm,model")]
    pub(crate) machines: Vec<MachineKind>,
    /// Behaviour of the model; of the second one where both machines are the model
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
    /// Which Bochs.
    #[command(flatten)]
    pub(crate) bochs: BochsArgs,
    /// Which QEMU.
    #[command(flatten)]
    pub(crate) qemu: QemuArgs,
    /// Only this delivery
    #[arg(long)]
    pub(crate) delivery: Option<DeliveryMode>,
    /// Only the case of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) case: Option<String>,
    /// Migrate guests between the two with an event in flight, in every direction, and judge them
    #[arg(long)]
    pub(crate) migrate: bool,
    /// How to report
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: CompareFormat,
    /// Time limit per case, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) known: KnownArgs,
}
