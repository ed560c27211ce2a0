//! What is done with the guest while it is stopped.

use super::number::number;
use std::fmt;
use std::str::FromStr;

/// What is done with the guest while it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// It migrates.
    pub migrate: Option<Migration>,
    /// CR2, DR6 and XFD_ERR are rewritten so that they disagree with the event.
    pub disturb: bool,
    /// How often the delivery is stopped again in the same way, with the same done each time.
    pub again: u8,
}

/// The destination of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
pub enum Migration {
    /// A fresh VM in this process.
    #[strum(to_string = "migrate")]
    Here,
    /// A fresh VM in another process.
    #[strum(to_string = "migrate-process")]
    Process,
}

impl Action {
    /// Nothing is done.
    pub const RESUME: Self = Self { migrate: None, disturb: false, again: 0 };
    /// The guest migrates to a fresh VM in this process.
    pub const MIGRATE: Self = Self { migrate: Some(Migration::Here), ..Self::RESUME };
    /// The guest migrates to a fresh VM in another process.
    pub const MIGRATE_PROCESS: Self = Self { migrate: Some(Migration::Process), ..Self::RESUME };
    /// Registers are rewritten.
    pub const DISTURB: Self = Self { disturb: true, ..Self::RESUME };
    /// Registers are rewritten, and the guest migrates to a fresh VM in this process.
    pub const MIGRATE_DISTURB: Self = Self { disturb: true, ..Self::MIGRATE };
}

impl Action {
    /// What is done, in a sentence for people.
    pub fn words(self) -> String {
        let rewritten = "CR2, DR6 and IA32_XFD_ERR are rewritten so that they disagree with the event";
        let migrated = self.migrate.map(|to| match to {
            Migration::Here => "the guest migrates to a fresh VM in this process",
            Migration::Process => "the guest migrates to a fresh VM in another process",
        });
        let parts: Vec<&str> = self.disturb.then_some(rewritten).into_iter().chain(migrated).collect();
        let done = if parts.is_empty() { "nothing is done".to_owned() } else { parts.join(", and ") };
        match self.again {
            0 => format!("There {done}; then the guest continues."),
            times => format!(
                "There {done}; the same delivery is then stopped {times} more times, with the same done."
            ),
        }
    }
}

/// One thing of each kind, in the order of severity.
pub const EACH: [Action; 4] = [Action::RESUME, Action::MIGRATE, Action::DISTURB, Action::MIGRATE_DISTURB];
/// An entry abandoned, or a page refused, again and again.
pub(super) const AGAIN: Action = Action { again: 3, ..Action::MIGRATE };
/// The actions at a stop that represents others.
pub(super) const ALL: [Action; 6] = [EACH[0], EACH[1], EACH[2], EACH[3], Action::MIGRATE_PROCESS, AGAIN];
/// One thing of each kind at once, where another kind of stop has been through all of it.
pub(super) const FEWER: [Action; 2] = [Action::RESUME, Action::MIGRATE_DISTURB];

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let migrate = self.migrate.map(|to| to.to_string());
        let disturb = self.disturb.then(|| "disturb".to_owned());
        let again = (self.again > 0).then(|| format!("again={}", self.again));
        let parts: Vec<String> = [migrate, disturb, again].into_iter().flatten().collect();
        if parts.is_empty() { f.write_str("resume") } else { f.write_str(&parts.join("+")) }
    }
}

impl FromStr for Action {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut action = Self::RESUME;
        for part in text.split('+') {
            match part {
                "resume" => {}
                "migrate" => action.migrate = Some(Migration::Here),
                "migrate-process" => action.migrate = Some(Migration::Process),
                "disturb" => action.disturb = true,
                _ => {
                    let again = part.strip_prefix("again=").and_then(number::<u8>);
                    action.again = again.ok_or(
                        "its action is not made of `resume`, `migrate`, `migrate-process`, `disturb`, `again=N`",
                    )?;
                }
            }
        }
        // One spelling for each id.
        if action.to_string() == text {
            Ok(action)
        } else {
            Err("the parts of its action are in the wrong order")
        }
    }
}
