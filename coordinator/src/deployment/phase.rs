//! Where a deployment stands, and why it halted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// Where a deployment stands.
///
/// ```text
///   Queued ──▶ Checking ──▶ Rolling ──▶ Done ────────────┐ rollback
///     │         │  │  ▲      │   ▲  │                    │
///     │ refused │  │  │      │   │  └─ policy rollback ─▶│
///     │         ▼  │  │halt  ▼   │resume, retry-failed   ▼
///     │   Refused  └──┴─▶ Halted ┴───── rollback ──▶ GoingBack ──▶ RolledBack
///     │                     │                         │     ▲
///     │ cancel              │ cancel          failure ▼     │ rollback
///     └────▶ Cancelling ◀───┴──────────────────── BackHalted
///                │
///                ▼  nobody at work any more
///            Cancelled
/// ```
///
/// The order to revert one node is a deployment that begins in `GoingBack`. All phases but the ends can be cancelled.
///
/// A halt is at once: nodes under way end by themselves, and no other starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Another deployment of the group is not over.
    Queued,
    /// All nodes are asked whether anything speaks against it. Nothing is touched.
    Checking,
    /// Nodes are being redeployed.
    Rolling,
    /// No further node starts until an operator decides.
    Halted {
        /// What led to it.
        why: Halt,
    },
    /// Finished nodes are being taken back.
    GoingBack,
    /// The taking back failed; it is never taken back itself.
    BackHalted {
        /// What led to it.
        why: Halt,
    },
    /// Every node is on the image.
    Done,
    /// Something spoke against it before the first node was touched.
    Refused,
    /// An operator gave it up; who is at work undoes it.
    Cancelling,
    /// An operator gave it up, and nobody is at work on it.
    Cancelled,
    /// Every node that was redeployed is back.
    RolledBack,
}

/// Why it halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Halt {
    /// This node failed.
    Failed {
        /// The first that did.
        node: NodeId,
    },
    /// This node's agent is silent for longer than the grace period, and what it did is not known.
    Unknown {
        /// The first one.
        node: NodeId,
    },
    /// This node's turn has come, and its agent is silent.
    Unreachable {
        /// The first one.
        node: NodeId,
    },
    /// The deadline passed.
    Deadline,
    /// An operator said so.
    Operator {
        /// Who.
        who: String,
    },
    /// Everything else is done; these nodes failed and were passed over.
    Leftover,
    /// So many nodes are stuck that none may be taken down.
    NoRoom,
}

// === impl Phase ===

impl Phase {
    /// Nothing moves any more, unless an operator orders a rollback of one that is done.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::Done | Self::Refused | Self::Cancelled | Self::RolledBack => true,
            Self::Queued
            | Self::Checking
            | Self::Rolling
            | Self::Halted { .. }
            | Self::GoingBack
            | Self::Cancelling
            | Self::BackHalted { .. } => false,
        }
    }

    /// The frozen word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Checking => "checking",
            Self::Rolling => "rolling",
            Self::Halted { .. } => "halted",
            Self::GoingBack => "going_back",
            Self::BackHalted { .. } => "back_halted",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled_back",
        }
    }
}

// === impl Halt ===

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { node } => write!(f, "node {node} failed"),
            Self::Unknown { node } => {
                write!(f, "the agent of node {node} is silent, so its state is not known")
            }
            Self::Unreachable { node } => write!(f, "it is node {node}'s turn, and its agent is silent"),
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Operator { who } => write!(f, "{who} said so"),
            Self::Leftover => f.write_str("all others are done, and failed nodes remain"),
            Self::NoRoom => f.write_str("stuck nodes may be down, and no more may be"),
        }
    }
}
