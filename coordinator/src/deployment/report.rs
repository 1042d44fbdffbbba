//! What an agent's word does to a node. One match over (state, word); words that come twice or late change nothing.

use redeploy_proto::RedeployId;

use super::{Deployment, Digest, Doing, Failure, NodeState, Verdict};
use crate::ids::NodeId;
use crate::moment::Moment;

/// An agent's word about one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The preflight came out well; what the image stands for.
    CheckedWell(Digest),
    /// The preflight found what speaks against it.
    CheckedBadly(String),
    /// The order is written down there and is being worked on.
    AtWork,
    /// The agent opened a session and knows nothing of the order, so it was never begun.
    NeverBegun,
    /// It is over.
    Ended(Ended),
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// As wanted.
    Well,
    /// Not as wanted.
    Badly(Failure),
}

impl Deployment {
    /// Takes over an agent's word about one of the nodes. `true` if it changed anything. A word about an id that is not
    /// of the node's present attempt changes nothing.
    pub fn take_report(&mut self, node: NodeId, id: RedeployId, report: &Report, now: Moment) -> bool {
        let Some(part) = self.nodes.get(&node) else { return false };
        let Some(doing) = part.doing(id) else { return false };
        let Some(next) = next(&part.state, doing, report, now) else { return false };
        let verified = matches!(next, NodeState::Done { .. }) && matches!(report, Report::Ended(Ended::Well));
        if let Some(part) = self.nodes.get_mut(&node) {
            part.state = next;
        }
        if verified {
            self.last_verified = Some(now);
        }
        if let Report::CheckedWell(digest) = report {
            self.fix(node, digest);
        }
        true
    }

    /// The first word about an image's digest counts for all.
    fn fix(&mut self, node: NodeId, digest: &Digest) {
        if let Some(part) = self.nodes.get(&node) {
            self.fixed.entry(part.image.clone()).or_insert_with(|| digest.clone());
        }
    }
}

/// The next state, or `None` if the word changes nothing in this one.
fn next(state: &NodeState, doing: Doing, report: &Report, now: Moment) -> Option<NodeState> {
    match (doing, report) {
        (Doing::Redeploy, Report::CheckedWell(_)) => is_checking(state).then_some(NodeState::Ready),
        (Doing::Redeploy, Report::CheckedBadly(why)) => {
            is_checking(state).then(|| NodeState::Refused { why: why.clone() })
        }
        // A revert has no preflight.
        (Doing::Revert, Report::CheckedWell(_) | Report::CheckedBadly(_)) => None,
        (_, Report::AtWork) => is_unknown(state, doing).then_some(match doing {
            Doing::Redeploy => NodeState::Running { since: now, cancelled: false },
            Doing::Revert => NodeState::Reverting { since: now },
        }),
        // The driver says this only of an order that is not to be sent again.
        (_, Report::NeverBegun) => {
            (is_unknown(state, doing) || is_ordered(state, doing)).then_some(match doing {
                Doing::Redeploy => NodeState::Ready,
                Doing::Revert => NodeState::Done { at: now },
            })
        }
        (Doing::Redeploy, Report::Ended(ended)) => redeploy_ended(state, ended, now),
        (Doing::Revert, Report::Ended(ended)) => revert_ended(state, ended, now),
    }
}

fn is_checking(state: &NodeState) -> bool {
    matches!(state, NodeState::Checking { .. })
}

fn is_unknown(state: &NodeState, what: Doing) -> bool {
    matches!(state, NodeState::Unknown { doing, .. } if *doing == what)
}

fn is_ordered(state: &NodeState, doing: Doing) -> bool {
    match doing {
        Doing::Redeploy => matches!(state, NodeState::Running { .. }),
        Doing::Revert => matches!(state, NodeState::Reverting { .. }),
    }
}

fn redeploy_ended(state: &NodeState, ended: &Ended, now: Moment) -> Option<NodeState> {
    let (open, passed_over) = match state {
        NodeState::Running { .. } | NodeState::Unknown { doing: Doing::Redeploy, .. } => (true, false),
        // A human, or `recover`, ended what was stuck.
        NodeState::Failed { failure, passed_over, .. } => (failure.is_stuck(), *passed_over),
        // It was taken for not begun, and the agent knows better.
        NodeState::Ready => (true, false),
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Refused { .. }
        | NodeState::Done { .. }
        | NodeState::Unknown { doing: Doing::Revert, .. }
        | NodeState::Reverting { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => (false, false),
    };
    match ended {
        Ended::Well => open.then_some(NodeState::Done { at: now }),
        Ended::Badly(failure) => {
            let next = NodeState::Failed { at: now, failure: failure.clone(), passed_over };
            (open && state.failure() != Some(failure)).then_some(next)
        }
    }
}

fn revert_ended(state: &NodeState, ended: &Ended, now: Moment) -> Option<NodeState> {
    let open = match state {
        NodeState::Reverting { .. } | NodeState::Unknown { doing: Doing::Revert, .. } => true,
        NodeState::RevertFailed { failure, .. } => failure.is_stuck(),
        // As above: taken for not begun.
        NodeState::Done { .. } => true,
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Running { .. }
        | NodeState::Failed { .. }
        | NodeState::Unknown { doing: Doing::Redeploy, .. }
        | NodeState::Reverted { .. } => false,
    };
    match ended {
        Ended::Well => open.then_some(NodeState::Reverted { at: now }),
        Ended::Badly(failure) => {
            let next = NodeState::RevertFailed { at: now, failure: failure.clone() };
            (open && state.failure() != Some(failure)).then_some(next)
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// For people.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Refused => "was refused, and nothing was touched",
            Self::Undone => "failed and was undone: it is as it was",
            Self::Stuck => "is stuck: its undo failed, and a human is needed",
        }
    }
}
