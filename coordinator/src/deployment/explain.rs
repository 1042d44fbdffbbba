//! Why each node stays where it is. Printed as it is by whoever shows a deployment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::decide::finished;
use super::{Decision, Deployment, Fleet, Halt, HostSeen, Move, NodePart, NodeState, Phase};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::{Moment, Span};

/// A reason for every node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// By node; all nodes are in it.
    pub nodes: BTreeMap<NodeId, Reason>,
}

/// Why a node does not move, or that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It moves now.
    Moves,
    /// Its agent is at work.
    AtWork {
        /// Since when.
        since: Moment,
    },
    /// Nothing is left to do for it.
    Settled,
    /// The deployment is behind another one.
    Behind(DeploymentId),
    /// Another node is asked first what the image is.
    FixesImage(NodeId),
    /// Others' preflights are not over.
    OthersChecked(usize),
    /// As many as may be down are.
    Full {
        /// One of them.
        node: NodeId,
        /// How many may.
        allowed: usize,
    },
    /// The pause after the last node.
    Pause {
        /// What is left of it.
        left: Span,
    },
    /// Its host is silent, and is waited for.
    HostSilent(HostId),
    /// It is behind others in the taking back.
    BackAfter(NodeId),
    /// The deployment halted.
    Halted(Halt),
    /// The deployment is over or being given up, and does not touch it.
    Untouched(&'static str),
    /// Its agent is silent, and what it did is not known.
    Unknown(HostId),
}

pub(super) fn explain(
    deployment: &Deployment,
    decision: &Decision,
    fleet: &Fleet,
    now: Moment,
) -> Explanation {
    let all_move = decision.moves.iter().any(|step| matches!(step, Move::Begin | Move::Enter(_)));
    let moving: HashSet<NodeId> = decision.moves.iter().filter_map(concerns).collect();
    let context = Context::new(deployment, fleet, now);
    let reason = |part: &NodePart| {
        if all_move || moving.contains(&part.node) { Reason::Moves } else { context.reason(part) }
    };
    Explanation { nodes: deployment.nodes.values().map(|part| (part.node, reason(part))).collect() }
}

/// The one node a move is about.
fn concerns(step: &Move) -> Option<NodeId> {
    match step {
        Move::Check(of) | Move::Redeploy(of) | Move::Revert(of) | Move::Cancel(of) | Move::Lose(of) => {
            Some(*of)
        }
        Move::Begin | Move::Enter(_) => None,
    }
}

/// What is the same for all nodes, found once: a group may have ten thousand.
struct Context<'a> {
    deployment: &'a Deployment,
    fleet: &'a Fleet,
    now: Moment,
    at_work: Option<NodeId>,
    unchecked: usize,
    last_done: Option<NodeId>,
    first_ready: Option<NodeId>,
    is_full: bool,
    /// The first node of each image.
    first_of: HashMap<&'a str, NodeId>,
}

impl<'a> Context<'a> {
    fn new(deployment: &'a Deployment, fleet: &'a Fleet, now: Moment) -> Self {
        let parts = || deployment.nodes.values();
        let unchecked =
            |part: &&NodePart| matches!(part.state, NodeState::Waiting | NodeState::Checking { .. });
        let mut first_of = HashMap::new();
        for part in parts() {
            first_of.entry(part.image.as_str()).or_insert(part.node);
        }
        Self {
            deployment,
            fleet,
            now,
            at_work: parts().find(|part| part.state.may_be_down()).map(|part| part.node),
            unchecked: parts().filter(unchecked).count(),
            last_done: parts().filter_map(finished).max().map(|(_, node)| node),
            first_ready: parts().find(|part| matches!(part.state, NodeState::Ready)).map(|part| part.node),
            is_full: deployment.room() == 0,
            first_of,
        }
    }

    fn reason(&self, part: &NodePart) -> Reason {
        match &part.state {
            NodeState::Checking { since }
            | NodeState::Running { since, .. }
            | NodeState::Reverting { since } => Reason::AtWork { since: *since },
            NodeState::Unknown { .. } => Reason::Unknown(part.host.clone()),
            NodeState::Refused { .. }
            | NodeState::Failed { .. }
            | NodeState::Reverted { .. }
            | NodeState::RevertFailed { .. } => Reason::Settled,
            NodeState::Done { .. } => self.why_done_stays(part),
            NodeState::Waiting | NodeState::Ready => self.why_it_waits(part),
        }
    }

    fn why_done_stays(&self, part: &NodePart) -> Reason {
        match &self.deployment.phase {
            Phase::GoingBack => self.why_not_back(part),
            Phase::BackHalted { why } => Reason::Halted(why.clone()),
            Phase::Queued
            | Phase::Checking
            | Phase::Rolling
            | Phase::Halted { .. }
            | Phase::Done
            | Phase::Refused
            | Phase::Cancelling
            | Phase::Cancelled
            | Phase::RolledBack => Reason::Settled,
        }
    }

    fn why_not_back(&self, part: &NodePart) -> Reason {
        match (self.silent(part), self.at_work, self.last_done) {
            (Some(silent), _, _) => silent,
            (None, Some(node), _) => Reason::Full { node, allowed: self.deployment.allowed_down() },
            (None, None, Some(node)) if node != part.node => Reason::BackAfter(node),
            (None, None, _) => Reason::Moves,
        }
    }

    fn why_it_waits(&self, part: &NodePart) -> Reason {
        match &self.deployment.phase {
            Phase::Queued => self.fleet.ahead.map_or(Reason::Moves, Reason::Behind),
            Phase::Checking => self.why_not_checked(part),
            Phase::Rolling => self.why_not_started(part),
            Phase::Halted { why } | Phase::BackHalted { why } => Reason::Halted(why.clone()),
            Phase::GoingBack
            | Phase::Done
            | Phase::Refused
            | Phase::Cancelling
            | Phase::Cancelled
            | Phase::RolledBack => Reason::Untouched(self.deployment.phase.word()),
        }
    }

    fn why_not_checked(&self, part: &NodePart) -> Reason {
        match self.first_of.get(part.image.as_str()) {
            Some(first) if matches!(part.state, NodeState::Waiting) && *first != part.node => {
                Reason::FixesImage(*first)
            }
            Some(_) | None => Reason::OthersChecked(self.unchecked),
        }
    }

    fn why_not_started(&self, part: &NodePart) -> Reason {
        if let Some(node) = self.at_work
            && self.is_full
        {
            return Reason::Full { node, allowed: self.deployment.allowed_down() };
        }
        if let Some(until) = self.deployment.pause_until().filter(|until| *until > self.now) {
            return Reason::Pause { left: self.now.until(until) };
        }
        if let Some(silent) = self.silent(part) {
            return silent;
        }
        // As many as there was room for start in this decision, and this node comes after them.
        let allowed = self.deployment.allowed_down();
        self.first_ready.map_or(Reason::Moves, |node| Reason::Full { node, allowed })
    }

    fn silent(&self, part: &NodePart) -> Option<Reason> {
        match self.fleet.host(&part.host) {
            HostSeen::Connected => None,
            HostSeen::Silent { .. } => Some(Reason::HostSilent(part.host.clone())),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moves => f.write_str("moves now"),
            Self::AtWork { .. } => f.write_str("its agent is at work"),
            Self::Settled => f.write_str("nothing is left to do"),
            Self::Behind(id) => write!(f, "deployment {} of this group is not over", id.short()),
            Self::FixesImage(node) => write!(f, "node {node} is asked first what the image is"),
            Self::OthersChecked(count) => write!(f, "the preflight of {count} more is not over"),
            Self::Full { node, allowed: 1 } => write!(f, "node {node} goes first, one at a time"),
            Self::Full { node, allowed } => write!(f, "node {node} and others go first, {allowed} at a time"),
            Self::Pause { left } => write!(f, "pause after the last node, {left} left"),
            Self::HostSilent(host) => write!(f, "host {host} is silent; it is waited for"),
            Self::BackAfter(node) => write!(f, "node {node} was later and goes back first"),
            Self::Halted(why) => write!(f, "halted: {why}"),
            Self::Untouched(phase) => write!(f, "the deployment is {phase} and leaves it as it is"),
            Self::Unknown(host) => write!(f, "host {host} is silent, so what became of it is not known"),
        }
    }
}
