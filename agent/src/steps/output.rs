//! What steps leave behind: typed, journaled, and read by later steps, the undo and the report.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::Skipped;

/// The output of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepOutput {
    /// There is nothing to remember.
    Nothing,
    /// Of `create`.
    Created(Created),
    /// Of `capture` and `prefill`: live rounds by archive.
    Packed(Packed),
    /// Of `stop`.
    Stopped(Stopped),
    /// Of `settle`.
    Settled(Settled),
    /// Of `start`.
    Started(Started),
    /// Of `drain`.
    Drained(Drained),
    /// Of `admit`.
    Admitted(Admitted),
    /// Of any step, where dependents go along: the container's own output first, then theirs.
    Crew(Vec<StepOutput>),
}

impl StepOutput {
    /// The output that is about the container itself, not its dependents.
    #[must_use]
    pub fn own(&self) -> &Self {
        match self {
            Self::Crew(outputs) => outputs.first().unwrap_or(self),
            Self::Nothing
            | Self::Created(_)
            | Self::Packed(_)
            | Self::Stopped(_)
            | Self::Settled(_)
            | Self::Started(_)
            | Self::Drained(_)
            | Self::Admitted(_) => self,
        }
    }
}

/// The new container exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// Its full id.
    pub container: String,
}

/// Archives have grown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// By stem.
    pub archives: BTreeMap<String, PackedArchive>,
}

/// What the rounds of one archive have taken in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedArchive {
    /// Rounds so far.
    pub rounds: u32,
    /// Entries written in all of them.
    pub entries: u64,
    /// Bytes of file contents read.
    pub bytes: u64,
    /// What was left out, and why; the first few.
    pub skipped: Vec<Skipped>,
}

/// The old container has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// When the stop was asked for: downtime begins. `None` when it was not running.
    pub asked_at: Option<Timestamp>,
}

/// Everything is carried over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// What the last rounds took in.
    pub last: Packed,
    /// `.backup` files written, as `PATH.backup`.
    pub backups: Vec<String>,
}

/// The new container was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// When the engine said so: downtime ends. `None` when it stays stopped, as the old one was.
    pub at: Option<Timestamp>,
}

/// The old container gets no new sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    /// Sessions that were still open at the deadline; the stop cuts them off.
    pub sessions_left: u64,
}

/// The new container is behind the balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// Its address there, if it was changed.
    pub address: Option<std::net::IpAddr>,
}
