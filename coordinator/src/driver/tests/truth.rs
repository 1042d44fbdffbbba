//! What must hold at every moment, and what must be true at the end.

use super::agent::Agent;
use super::world::World;
use crate::deployment::{NodePart, NodeState, Phase};

impl World {
    pub(super) fn check(&self) {
        let down = self.agents.iter().filter(|agent| agent.is_down()).count();
        assert!(down <= self.allowed, "{down} down, {} allowed, at {}", self.allowed, self.now);
        assert!(self.runs.values().all(|count| *count == 1), "an id had its effect twice");
    }

    /// What the coordinator says of each node is what its agent knows.
    pub(super) async fn check_end(&self) -> &'static str {
        let deployment = self.deployment().await;
        let rests = deployment.phase.is_end()
            || matches!(deployment.phase, Phase::Halted { .. } | Phase::BackHalted { .. });
        assert!(rests, "it ended {:?}", deployment.phase);
        for (part, agent) in deployment.nodes.values().zip(&self.agents) {
            check_node(part, agent);
        }
        deployment.phase.word()
    }
}

fn check_node(part: &NodePart, agent: &Agent) {
    let told = match &part.state {
        NodeState::Done { .. } => (true, false),
        NodeState::Failed { failure, .. } => (false, failure.is_stuck()),
        NodeState::RevertFailed { failure, .. } => (true, failure.is_stuck()),
        // It cannot come back, so what it did stays unknown, and is called that.
        NodeState::Unknown { .. } if agent.is_revoked => return,
        NodeState::Unknown { .. } => panic!("{} is back, and it is still unknown: {part:?}", agent.host),
        NodeState::Running { .. } | NodeState::Reverting { .. } => panic!("still at work: {part:?}"),
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Reverted { .. } => (false, false),
    };
    assert_eq!(told, (agent.is_new, agent.is_stuck), "the report is not true: {part:?} {agent:?}");
}
