//! A deployment: one request to bring a group to an image, as data, and the pure functions that move it.
//!
//! Flows in: what an operator ordered (`command`), what agents reported (`report`), what is seen of their hosts
//! (`Fleet`), and the time. Flows out: the next moves and a reason for every node that does not move (`decide`).
//! Must never: ask for the time, send, store, or choose an id. The driver does that.

mod carry_out;
mod command;
mod decide;
mod explain;
mod node;
mod parallel;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};

use crate::ids::{DeploymentId, EnvName, GroupName, HostId, NodeId};
use crate::moment::{Moment, Span};

pub use carry_out::{Errand, ErrandKind, Settled, carry_out, settle};
pub use command::{Command, CommandRefused};
pub use decide::{Decision, Move, decide};
pub use explain::{Explanation, Reason};
pub use node::{Doing, Failure, NodePart, NodeState, Verdict};
pub use parallel::{InvalidParallel, Parallel};
pub use report::{Ended, Report};

/// What was asked for. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The image as the operator wrote it.
    pub image: String,
    /// How many at once.
    pub parallel: Parallel,
    /// Pause after a node is verified, before the next starts.
    pub delay: Span,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// How long the whole may take, from its start or its last resumption.
    pub budget: Span,
    /// How long a host may be silent before its node counts as unknown.
    pub grace: Span,
    /// Passed to every agent as it is.
    pub options: Options,
}

/// What each node's redeploy, or its revert, is done with. Empty and zero: as the agent's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Mount the same volumes again.
    pub use_existing_volumes: bool,
    /// The old file system below the new image's files.
    pub skip_reinstall: bool,
    /// Archive bind mounts as well.
    pub archive_binds: Option<bool>,
    /// How long the new container may take to become healthy.
    pub verify_timeout: Span,
    /// An extra question to the new container.
    pub probe: String,
    /// Do not ask the registry.
    pub pull_never: bool,
    /// In a revert: volumes as they were captured, instead of today's data.
    pub restore_volumes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            use_existing_volumes: true,
            skip_reinstall: false,
            archive_binds: None,
            verify_timeout: Span(0),
            probe: String::new(),
            pull_never: false,
            restore_volumes: false,
        }
    }
}

/// What the first failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing further starts, and an operator decides.
    Halt,
    /// What was finished is taken back, last one first.
    Rollback,
}

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

/// What an image's reference stood for when the deployment began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// This, and every node gets exactly it.
    Of(String),
    /// Built on its hosts and known to no registry: every node takes its own.
    None,
}

/// One deployment, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name for ever.
    pub id: DeploymentId,
    /// Environment.
    pub env: EnvName,
    /// Group.
    pub group: GroupName,
    /// What was asked for.
    pub terms: Terms,
    /// The digest of each image, as the first preflight of it found it; all other nodes are given this.
    pub fixed: BTreeMap<String, Digest>,
    /// Where it stands.
    pub phase: Phase,
    /// When it was ordered.
    pub created_at: Moment,
    /// When it left the queue.
    #[serde(default)]
    pub started_at: Option<Moment>,
    /// When it must be over; counted from the start, and anew from each resumption.
    pub deadline: Moment,
    /// When the last node was verified: the delay counts from here.
    pub last_verified: Option<Moment>,
    /// When it reached an end.
    pub ended_at: Option<Moment>,
    /// Who ordered it.
    pub created_by: String,
    /// For people: why.
    #[serde(default)]
    pub comment: String,
    /// Its nodes, in the order of their ids.
    #[serde(skip)]
    pub nodes: BTreeMap<NodeId, NodePart>,
}

/// What is seen of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostSeen {
    /// Its agent holds a session.
    Connected,
    /// It holds none, since then.
    Silent {
        /// Since when.
        since: Moment,
    },
}

/// What `decide` may look at besides the deployment.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Hosts by id.
    pub hosts: HashMap<HostId, HostSeen>,
    /// A host that is not listed counts as silent since then: the start of this process.
    pub since: Moment,
    /// The deployment that holds the group, when it is another one.
    pub ahead: Option<DeploymentId>,
}

// === impl Fleet ===

impl Fleet {
    /// What is seen of one host.
    #[must_use]
    pub fn host(&self, host: &HostId) -> HostSeen {
        self.hosts.get(host).copied().unwrap_or(HostSeen::Silent { since: self.since })
    }
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

// === impl Deployment ===

impl Deployment {
    /// The node an id of a redeploy, revert or check belongs to, in its present attempt.
    #[must_use]
    pub fn node_of(&self, id: RedeployId) -> Option<NodeId> {
        self.nodes.values().find(|part| part.redeploy_id == id || part.revert_id == id).map(|part| part.node)
    }

    /// How many nodes may be down at once.
    #[must_use]
    pub fn allowed_down(&self) -> usize {
        self.terms.parallel.of(self.nodes.len())
    }

    /// Whether a word of an agent is still awaited. It may be when the deployment is over: cancelled while an agent
    /// was silent.
    #[must_use]
    pub fn awaits_word(&self) -> bool {
        self.nodes.values().any(|part| match &part.state {
            NodeState::Running { .. } | NodeState::Reverting { .. } | NodeState::Unknown { .. } => true,
            NodeState::Waiting
            | NodeState::Checking { .. }
            | NodeState::Ready
            | NodeState::Refused { .. }
            | NodeState::Done { .. }
            | NodeState::Failed { .. }
            | NodeState::Reverted { .. }
            | NodeState::RevertFailed { .. } => false,
        })
    }

    /// How many are, or may be.
    #[must_use]
    pub fn down(&self) -> usize {
        self.nodes.values().filter(|part| part.state.may_be_down()).count()
    }
}
