//! Why a scenario did not pass, other than a field that differed.

pub use super::disbelief::Disbelief;
use super::words;
use crate::image::Address;
use crate::stops::cut::Changed;
use protocol::doorbell::Doorbell;
use serde::{Deserialize, Serialize};
use vm::explain::{Entered, ShownQueue};
use vm::refusal::Refusal;
use vm::{Exit, VcpuError};

/// Why a scenario did not pass. What it looks like in TOML is how known-issues.toml describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Finding {
    /// The guest's own words: an event where none may be, what it lacks, why it cannot judge.
    #[error("{words}{}", words::rip(*.rip))]
    Guest {
        /// Its words, without the address.
        words: String,
        /// Where the event that they describe was delivered.
        #[serde(default)]
        rip: Option<u64>,
    },
    /// The guest's verdict is not believed.
    #[error("{why}")]
    Verdict {
        /// Why.
        why: Disbelief,
    },
    /// A call to the machine failed.
    #[error("{call} failed: {message} (errno {errno}){advice}")]
    Call {
        /// The ioctl or system call.
        call: String,
        /// errno.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it, with a leading separator, or nothing.
        advice: String,
    },
    /// KVM_SET_MSRS refused a value.
    #[error("MSR {index:#x} cannot be set to {value:#x} on this machine")]
    Msr {
        /// The MSR.
        index: u32,
        /// The value.
        value: u64,
    },
    /// KVM_SET_* refused what KVM_GET_* had given, or that with one thing changed.
    #[error("{refusal}")]
    Refused {
        /// What exactly.
        refusal: Refusal,
    },
    /// KVM_RUN returned with an unexpected exit.
    #[error("{}", words::exit(.exit, .at, .entered.as_deref()))]
    Exit {
        /// With what.
        exit: Exit,
        /// Where the guest was.
        #[serde(default)]
        at: Option<Address>,
        /// With what it was to be entered, where that was refused.
        #[serde(default)]
        entered: Option<Box<Entered>>,
    },
    /// The guest was still running at its deadline.
    #[error("timeout: after {seconds} s the guest was still running, at {}", words::place(.at))]
    Deadline {
        /// How many seconds it had.
        seconds: f64,
        /// Where it was.
        #[serde(default)]
        at: Option<Address>,
    },
    /// The image ended itself in the middle of a case.
    #[error("the image ended itself in the middle of a case, {}: {words}", words::ended(*.byte))]
    Ended {
        /// The byte that it ended with.
        byte: u8,
        /// Its reason, or its last line.
        words: String,
    },
    /// The guest wrote to a port, or read from one, when it should not.
    #[error("the guest {port} out of turn, RIP at {}", words::place(.at))]
    OutOfTurn {
        /// Which.
        port: Port,
        /// Where it was.
        #[serde(default)]
        at: Option<Address>,
    },
    /// The event in flight was another one at the second KVM_RUN.
    #[error("the event in flight changed at the second KVM_RUN, to {to}")]
    EventChanged {
        /// What it had become.
        to: Box<Changed>,
    },
    /// The entry was cancelled, and the event that it was to inject is lost from the queue.
    #[error("the entry was abandoned, and the event that it was to inject is gone from the queue: {queue}")]
    EventGone {
        /// What is in the queue.
        queue: ShownQueue,
    },
    /// CPUID offers FRED, the guest has set CR4.FRED, and it reads 0.
    #[error("CPUID offers FRED, the guest has set CR4.FRED, and CR4.FRED reads 0")]
    FredNotSet,
    /// The guest rang `Done` without KVM_RUN having returned at the `Armed` before it.
    #[error("the guest rang Done, but KVM_RUN had not returned at the Armed before it")]
    NeverArmed,
    /// What a stop says that the machine must not do.
    #[error("{words}")]
    Machine {
        /// Its words.
        words: String,
    },
    /// The delivery was not cut.
    #[error("the delivery was not cut: {why}")]
    NotCut {
        /// Why it is not proved.
        why: String,
    },
    /// The case ended without meeting the stop.
    #[error("the delivery was not cut: the case ended without meeting the stop")]
    StopNotMet,
    /// In which run of a storm it was.
    #[error("in run {run} of the storm")]
    InStorm {
        /// The run, from 1.
        run: u32,
    },
    /// The machine lacks something.
    #[error("{what}")]
    Lacks {
        /// What.
        what: String,
    },
    /// The model skipped a scenario, and the model can do everything.
    #[error(
        "the model can do everything, and it skipped this: {}", .what.as_deref().unwrap_or("it did not say why")
    )]
    Denied {
        /// What it says that it lacks.
        what: Option<String>,
    },
    /// A known issue did not show.
    #[error("the known issue `{issue}` did not show: remove the scenario from {file}, line {line}")]
    NotShown {
        /// Its name.
        issue: String,
        /// The list.
        file: String,
        /// The line.
        line: usize,
    },
    /// A fault of this program or its environment.
    #[error("{words}")]
    Program {
        /// In words.
        words: String,
    },
}

/// What a guest uses in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// The doorbell, with this value.
    Doorbell(u32),
    /// The input port.
    Input,
    /// The output port.
    Output,
}

impl From<Doorbell> for Port {
    fn from(doorbell: Doorbell) -> Self {
        Self::Doorbell(doorbell.encode())
    }
}

impl Finding {
    /// A fault of this program or its environment, as the text of an error.
    pub fn program(error: impl ToString) -> Self {
        Self::Program { words: error.to_string() }
    }

    /// A skip on the model, which can do everything.
    pub fn denied(skip: Option<Self>) -> Self {
        let what = match skip {
            Some(Self::Lacks { what }) => Some(what),
            Some(Self::Guest { words, .. }) => Some(words),
            other => other.map(|other| other.to_string()),
        };
        Self::Denied { what }
    }

    /// What a guest says, `WORDS, RIP ADDRESS` or words alone.
    pub fn guest(words: &str) -> Self {
        let rip = |(words, rip): (&str, &str)| Some((words.to_owned(), u64::from_str_radix(rip, 16).ok()?));
        match words.rsplit_once(", RIP 0x").and_then(rip) {
            Some((words, rip)) => Self::Guest { words, rip: Some(rip) },
            None => Self::Guest { words: words.to_owned(), rip: None },
        }
    }

    /// Without the parts that change whenever the images are rebuilt, or depend on the processor: addresses,
    /// and what the kernel says beside a suberror.
    pub fn lasting(&self) -> Self {
        let mut lasting = self.clone();
        match &mut lasting {
            Self::Guest { rip, .. } => *rip = None,
            Self::Exit { exit, at, entered } => {
                (*at, *entered) = (None, None);
                match exit {
                    Exit::InternalError { data, .. } => data.clear(),
                    Exit::FailEntry { cpu, set, .. } => {
                        *cpu = 0;
                        set.clear();
                    }
                    Exit::UnknownInstruction { rip, .. } => *rip = 0,
                    Exit::IoOut { .. } | Exit::IoIn { .. } | Exit::Mmio { .. } | Exit::Fault { .. } => {}
                    Exit::InterruptWindow | Exit::Halt | Exit::Shutdown | Exit::Interrupted => {}
                    Exit::Deadline | Exit::DirtyRingFull | Exit::Unknown { .. } | Exit::Other { .. } => {}
                }
            }
            Self::Deadline { at, .. } | Self::OutOfTurn { at, .. } => *at = None,
            Self::EventChanged { to } => to.at = None,
            Self::Verdict { .. } | Self::Call { .. } | Self::Msr { .. } | Self::Refused { .. } => {}
            Self::Ended { .. } | Self::EventGone { .. } | Self::FredNotSet | Self::NeverArmed => {}
            Self::Machine { .. } | Self::NotCut { .. } | Self::StopNotMet | Self::InStorm { .. } => {}
            Self::Lacks { .. } | Self::Denied { .. } | Self::NotShown { .. } | Self::Program { .. } => {}
        }
        lasting
    }
}

impl From<&VcpuError> for Finding {
    fn from(error: &VcpuError) -> Self {
        match error {
            VcpuError::Call { call, errno, message, advice } => Self::Call {
                call: (*call).to_owned(),
                errno: *errno,
                message: message.clone(),
                advice: (*advice).to_owned(),
            },
            VcpuError::Msr { index, value } => Self::Msr { index: *index, value: *value },
            VcpuError::Refused(refusal) => Self::Refused { refusal: (**refusal).clone() },
            VcpuError::Open { .. } | VcpuError::OutsideMemory { .. } => Self::program(error),
        }
    }
}
