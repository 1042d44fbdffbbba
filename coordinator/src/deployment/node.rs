//! One node's part of a deployment: its ids, fixed before they are needed, and where it stands.

use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};

use crate::ids::{HostId, NodeId};
use crate::moment::Moment;

/// Where one node stands.
///
/// ```text
///   Waiting ─▶ Checking ─▶ Ready ─▶ Running ─▶ Done ─▶ Reverting ─▶ Reverted
///                 │          ▲        │ ▲ │      ▲      │ ▲   │
///                 ▼     retry│        │ │ ▼      │again │ │   ▼
///              Refused       └─ Failed│ │Unknown └──────┼─┼─ RevertFailed
///                                 ▲   │ └──(redeploy)   │ └─ Unknown (revert)
///                                 └───┘                 └──▶
/// ```
///
/// `Unknown` leaves to wherever the agent's word leads when it is heard again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum NodeState {
    /// Not asked yet.
    Waiting,
    /// Its preflight is ordered.
    Checking {
        /// Since when.
        since: Moment,
    },
    /// Nothing speaks against it.
    Ready,
    /// Something speaks against it; nothing was touched.
    Refused {
        /// What.
        why: String,
    },
    /// Its redeploy is ordered.
    Running {
        /// Since when.
        since: Moment,
        /// The agent was told to stop and undo.
        cancelled: bool,
    },
    /// The new container serves.
    Done {
        /// When that was heard.
        at: Moment,
    },
    /// The redeploy failed.
    Failed {
        /// When that was heard.
        at: Moment,
        /// How and why.
        failure: Failure,
        /// An operator saw it and let the others go on.
        passed_over: bool,
    },
    /// The agent is silent, so what became of the order is not known.
    Unknown {
        /// Since when it counts as that.
        since: Moment,
        /// What it was at.
        doing: Doing,
    },
    /// The parked container is ordered back.
    Reverting {
        /// Since when.
        since: Moment,
    },
    /// The old container serves again.
    Reverted {
        /// When that was heard.
        at: Moment,
    },
    /// It could not be taken back.
    RevertFailed {
        /// When that was heard.
        at: Moment,
        /// How and why.
        failure: Failure,
    },
}

/// What a silent agent was at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// A redeploy.
    Redeploy,
    /// A revert.
    Revert,
}

/// How a redeploy or revert failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which state that left the node.
    pub verdict: Verdict,
    /// In the agent's words.
    pub why: String,
}

/// In which state a failure left the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was begun.
    Refused,
    /// It undid itself: the node is as it was.
    Undone,
    /// The undo failed as well: a human is needed, and the node may be down.
    Stuck,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePart {
    /// Which node.
    pub node: NodeId,
    /// Where it lives.
    pub host: HostId,
    /// Its container's name there.
    pub container: String,
    /// The image it is to get, as the agent is told it; without a digest.
    pub image: String,
    /// Names the preflight and the redeploy of this attempt.
    pub redeploy_id: RedeployId,
    /// Names the revert of this attempt.
    pub revert_id: RedeployId,
    /// Where it stands.
    pub state: NodeState,
}

// === impl NodePart ===

impl NodePart {
    /// What an id stands for in the present attempt.
    #[must_use]
    pub fn doing(&self, id: RedeployId) -> Option<Doing> {
        if id == self.redeploy_id {
            Some(Doing::Redeploy)
        } else if id == self.revert_id {
            Some(Doing::Revert)
        } else {
            None
        }
    }
}

// === impl NodeState ===

impl NodeState {
    /// Whether the node may not be serving just now because of this deployment.
    #[must_use]
    pub fn may_be_down(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Unknown { .. } | Self::Reverting { .. } => true,
            Self::Failed { failure, .. } | Self::RevertFailed { failure, .. } => failure.is_stuck(),
            Self::Waiting
            | Self::Checking { .. }
            | Self::Ready
            | Self::Refused { .. }
            | Self::Done { .. }
            | Self::Reverted { .. } => false,
        }
    }

    /// Whether an agent is at work on it, as far as is known.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        match self {
            Self::Checking { .. } | Self::Running { .. } | Self::Reverting { .. } => true,
            Self::Waiting
            | Self::Ready
            | Self::Refused { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Unknown { .. }
            | Self::Reverted { .. }
            | Self::RevertFailed { .. } => false,
        }
    }

    /// When it was finished, if it is.
    #[must_use]
    pub fn done_at(&self) -> Option<Moment> {
        if let Self::Done { at } = self { Some(*at) } else { None }
    }

    /// How it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } | Self::RevertFailed { failure, .. } => Some(failure),
            Self::Waiting
            | Self::Checking { .. }
            | Self::Ready
            | Self::Refused { .. }
            | Self::Running { .. }
            | Self::Done { .. }
            | Self::Unknown { .. }
            | Self::Reverting { .. }
            | Self::Reverted { .. } => None,
        }
    }

    /// The frozen word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Checking { .. } => "checking",
            Self::Ready => "ready",
            Self::Refused { .. } => "refused",
            Self::Running { .. } => "running",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::Reverting { .. } => "reverting",
            Self::Reverted { .. } => "reverted",
            Self::RevertFailed { .. } => "revert_failed",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Whether a human is needed.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.verdict == Verdict::Stuck
    }
}
