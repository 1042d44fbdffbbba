//! How many nodes of a deployment stand where: what a list of deployments says of each.

use serde::{Deserialize, Serialize};

use super::{NodeState, Nodes};
use crate::ids::NodeId;

/// So many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// In all.
    pub total: u32,
    /// The new container serves.
    pub done: u32,
    /// Failed, stuck or refused.
    pub failed: u32,
    /// The node, where it is the only one.
    pub only: Option<NodeId>,
}

impl Counts {
    /// Of these.
    #[must_use]
    pub fn of(nodes: &Nodes) -> Self {
        let mut counts = Self::default();
        for part in nodes.values() {
            counts.total += 1;
            match part.state {
                NodeState::Done { .. } => counts.done += 1,
                NodeState::Failed { .. } | NodeState::RevertFailed { .. } | NodeState::Refused { .. } => {
                    counts.failed += 1;
                }
                NodeState::Waiting
                | NodeState::Checking { .. }
                | NodeState::Ready
                | NodeState::Running { .. }
                | NodeState::Unknown { .. }
                | NodeState::Reverting { .. }
                | NodeState::Reverted { .. } => {}
            }
        }
        counts.only = nodes.keys().next().copied().filter(|_| counts.total == 1);
        counts
    }
}
