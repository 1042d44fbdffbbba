//! What a journal holds: the records, and the words in them. The names here are on disks and frozen; a fixture
//! of every version is replayed by the tests.

use jiff::Timestamp;
use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};

use crate::steps::{Step, StepOutput};

/// The version of the journal's form. A reader refuses newer ones.
pub const JOURNAL_VERSION: u32 = 1;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Counts from 0.
    pub seq: u32,
    /// When it was written, by this host's clock.
    pub at: Timestamp,
    /// What happened, or is about to.
    pub event: Event,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", deny_unknown_fields)]
pub enum Event {
    /// The first record of every journal.
    Opened {
        /// [`JOURNAL_VERSION`] of the writer.
        version: u32,
        /// Whose journal it is.
        id: RedeployId,
        /// Which list of steps it follows.
        kind: SagaKind,
    },
    /// A step is about to act.
    Started {
        /// The step.
        step: Step,
    },
    /// A step has acted and all it did is durable.
    Done {
        /// The step.
        step: Step,
        /// What later steps, the undo and the report need of it.
        output: StepOutput,
    },
    /// The saga turns back: everything started so far will be undone, the step in progress included.
    TurnedBack {
        /// Why.
        reason: Reason,
    },
    /// A step is about to be undone.
    Undoing {
        /// The step.
        step: Step,
    },
    /// A step has been undone.
    Undone {
        /// The step.
        step: Step,
        /// When the undo made the old container serve again, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serving_since: Option<Timestamp>,
        /// What is not as it was before all the same, in words for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// What else people must know: what was left alone, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// An undo failed: a human is needed.
    Stuck {
        /// The step whose undo failed.
        step: Step,
        /// What the undo said.
        error: String,
    },
    /// The point of no return: the new state is the state.
    Committed,
    /// Another process took over where the last one was interrupted.
    Resumed,
    /// Nothing is left to do.
    Closed {
        /// How it ended.
        outcome: Outcome,
    },
}

/// Which list of steps a journal follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaKind {
    /// A new container takes the old one's place.
    Redeploy,
    /// The parked container comes back.
    Revert,
}

/// Why a saga turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", deny_unknown_fields)]
pub enum Reason {
    /// A step failed.
    Failed {
        /// The step.
        step: Step,
        /// What it said, with its causes.
        error: String,
        /// What somebody else did, if that was the cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interference: Option<Interference>,
    },
    /// The process ended in the middle: killed, crashed, powered off.
    Interrupted,
    /// Somebody asked it to stop.
    Cancelled,
}

/// One of our containers was not in the state we left it in: somebody else acted on it, or it ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interference {
    /// What the container is called.
    pub container: String,
    /// What it does, as the end of a sentence.
    pub found: String,
    /// What was expected of it: `to stay stopped`.
    pub expected: String,
    /// The engine's word for what happened, where it told: `stop`, `destroy`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When that happened, by the engine's clock; without an event, when it was found.
    pub at: Timestamp,
}

/// How a saga ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Committed and tidied up.
    Done,
    /// Committed; tidying up is unfinished and will be tried again.
    DoneUntidy,
    /// Turned back, and everything is as it was.
    Undone,
}

// === impl Interference ===

impl Interference {
    /// Found just now, without word from the engine.
    pub(crate) fn found(container: &str, found: &str, expected: &str) -> Self {
        Self {
            container: container.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
            event: None,
            at: Timestamp::now(),
        }
    }
}

impl std::fmt::Display for Interference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { container, found, expected, event, at } = self;
        write!(f, "container {container} {found}, expected it {expected}: ")?;
        match event {
            Some(event) => write!(f, "not done by this redeploy (event `{event}` at {at})"),
            None => write!(f, "not done by this redeploy (found at {at})"),
        }
    }
}
