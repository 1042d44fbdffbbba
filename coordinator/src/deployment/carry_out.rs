//! Carries a decision out on the deployment itself, and says which orders come of it. Still pure.

use redeploy_proto::RedeployId;

use super::{Decision, Deployment, Doing, Explanation, Fleet, Move, NodeState, Phase, decide};
use crate::ids::NodeId;
use crate::moment::Moment;

/// Something an agent is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errand {
    /// About this node.
    pub node: NodeId,
    /// The id it is known by.
    pub id: RedeployId,
    /// What.
    pub kind: ErrandKind,
}

/// What an agent is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrandKind {
    /// Plan and check; touch nothing.
    Check,
    /// Redeploy.
    Redeploy,
    /// Put the parked container back.
    Revert,
    /// Stop and undo.
    Cancel,
}

/// A deployment after all moves that could be made.
#[derive(Debug, Clone)]
pub struct Settled {
    /// What agents are to be told, once this is stored.
    pub errands: Vec<Errand>,
    /// Ask again then.
    pub wake_at: Option<Moment>,
    /// Why each node stays put.
    pub explanation: Explanation,
}

/// Rounds of decisions until none moves anything. Each enters a phase or moves a node forward, so there are few; the
/// limit only keeps a defect from becoming an endless loop.
const ROUNDS_MAX: usize = 32;

/// Moves made at once at most. They are stored in one transaction, and whatever else is stored waits for it; the rest is
/// for the next turn, which comes at once.
const MOVES_MAX: usize = 500;

/// Decides and carries out until nothing moves any more, or as many moves are made as one turn may.
pub fn settle(deployment: &mut Deployment, fleet: &Fleet, now: Moment) -> Settled {
    let mut errands = Vec::new();
    let mut room = MOVES_MAX;
    let (mut decision, mut explanation) = decide(deployment, fleet, now);
    for _ in 0..ROUNDS_MAX {
        if decision.moves.is_empty() || room == 0 {
            break;
        }
        decision.moves.truncate(room);
        room -= decision.moves.len();
        errands.extend(carry_out(deployment, &decision, now));
        (decision, explanation) = decide(deployment, fleet, now);
    }
    let wake_at = if decision.moves.is_empty() { decision.wake_at } else { Some(now) };
    Settled { errands, wake_at, explanation }
}

/// Makes the moves of one decision.
pub fn carry_out(deployment: &mut Deployment, decision: &Decision, now: Moment) -> Vec<Errand> {
    decision.moves.iter().filter_map(|step| make(deployment, step, now)).collect()
}

fn make(deployment: &mut Deployment, step: &Move, now: Moment) -> Option<Errand> {
    match step {
        Move::Begin => {
            deployment.started_at = Some(now);
            deployment.deadline = now.after(deployment.terms.budget);
            deployment.enter(Phase::Checking, now);
            None
        }
        Move::Enter(phase) => {
            deployment.enter(phase.clone(), now);
            None
        }
        Move::Check(node) => order(deployment, *node, ErrandKind::Check, NodeState::Checking { since: now }),
        Move::Redeploy(node) => {
            let next = NodeState::Running { since: now, cancelled: false };
            order(deployment, *node, ErrandKind::Redeploy, next)
        }
        Move::Revert(node) => {
            order(deployment, *node, ErrandKind::Revert, NodeState::Reverting { since: now })
        }
        Move::Cancel(node) => {
            let next = NodeState::Running { since: now, cancelled: true };
            order(deployment, *node, ErrandKind::Cancel, next)
        }
        Move::Lose(node) => {
            lose(deployment, *node, now);
            None
        }
    }
}

fn order(deployment: &mut Deployment, node: NodeId, kind: ErrandKind, next: NodeState) -> Option<Errand> {
    let part = deployment.nodes.get_mut(&node)?;
    part.state = next;
    let id = match kind {
        ErrandKind::Check | ErrandKind::Redeploy | ErrandKind::Cancel => part.redeploy_id,
        ErrandKind::Revert => part.revert_id,
    };
    Some(Errand { node, id, kind })
}

fn lose(deployment: &mut Deployment, node: NodeId, now: Moment) {
    let Some(part) = deployment.nodes.get_mut(&node) else { return };
    let unknown = |doing| NodeState::Unknown { since: now, doing };
    let next = match &part.state {
        NodeState::Checking { .. } => {
            Some(NodeState::Refused { why: format!("host {} did not answer in time", part.host) })
        }
        NodeState::Running { .. } => Some(unknown(Doing::Redeploy)),
        NodeState::Reverting { .. } => Some(unknown(Doing::Revert)),
        NodeState::Waiting
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Done { .. }
        | NodeState::Failed { .. }
        | NodeState::Unknown { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => None,
    };
    if let Some(next) = next {
        part.state = next;
    }
}

impl Deployment {
    /// Enters a phase.
    pub(super) fn enter(&mut self, phase: Phase, now: Moment) {
        self.ended_at = phase.is_end().then_some(now);
        self.phase = phase;
    }

    /// What must be said again to an agent that opens a session, of the orders that still stand.
    #[must_use]
    pub fn standing(&self, node: NodeId) -> Vec<Errand> {
        let Some(part) = self.nodes.get(&node) else { return Vec::new() };
        let errand = |id, kind| Errand { node, id, kind };
        match &part.state {
            NodeState::Checking { .. } => vec![errand(part.redeploy_id, ErrandKind::Check)],
            NodeState::Running { cancelled: false, .. } => {
                vec![errand(part.redeploy_id, ErrandKind::Redeploy)]
            }
            NodeState::Running { cancelled: true, .. } => vec![
                errand(part.redeploy_id, ErrandKind::Redeploy),
                errand(part.redeploy_id, ErrandKind::Cancel),
            ],
            NodeState::Reverting { .. } => vec![errand(part.revert_id, ErrandKind::Revert)],
            NodeState::Waiting
            | NodeState::Ready
            | NodeState::Refused { .. }
            | NodeState::Done { .. }
            | NodeState::Failed { .. }
            | NodeState::Unknown { .. }
            | NodeState::Reverted { .. }
            | NodeState::RevertFailed { .. } => Vec::new(),
        }
    }
}
