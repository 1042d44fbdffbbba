//! A deployment: one request to bring a group to an image, as data, and the pure functions that move it.
//!
//! Flows in: what an operator ordered (`command`), what agents reported (`report`), what is seen of their hosts
//! (`Fleet`), and the time. Flows out: the next moves and a reason for every node that does not move (`decide`).
//! Must never: ask for the time, send, store, or choose an id. The driver does that.

mod carry_out;
mod command;
mod counts;
mod decide;
mod explain;
mod node;
mod nodes;
mod parallel;
mod phase;
mod report;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::ids::{DeploymentId, EnvName, GroupName, HostId};
use crate::moment::Moment;

pub use carry_out::{Errand, ErrandKind, Settled, carry_out, settle};
pub use command::{Command, CommandRefused};
pub use counts::Counts;
pub use decide::{Decision, Move, decide};
pub use explain::{Explanation, Reason};
pub use node::{Doing, Failure, NodePart, NodeState, Verdict};
pub use nodes::Nodes;
pub use parallel::{InvalidParallel, Parallel};
pub use phase::{Halt, Phase};
pub use report::{Ended, Report};
pub use terms::{OnFailure, Options, Terms};

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
    pub nodes: Nodes,
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

// === impl Deployment ===

impl Deployment {
    /// All of it but its nodes.
    #[must_use]
    pub fn head(&self) -> Self {
        Self {
            id: self.id,
            env: self.env.clone(),
            group: self.group.clone(),
            terms: self.terms.clone(),
            fixed: self.fixed.clone(),
            phase: self.phase.clone(),
            created_at: self.created_at,
            started_at: self.started_at,
            deadline: self.deadline,
            last_verified: self.last_verified,
            ended_at: self.ended_at,
            created_by: self.created_by.clone(),
            comment: self.comment.clone(),
            nodes: Nodes::default(),
        }
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
