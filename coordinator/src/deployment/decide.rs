//! What happens next: a pure function of a deployment, what is seen of its hosts, and the time.
//!
//! Flows out: moves that can be made now, and when to ask again if nothing is heard. Must never name more nodes to
//! start than may be down at once, nor start one in a deployment that halted.

use std::collections::BTreeSet;

use super::explain::{Explanation, explain};
use super::{Deployment, Digest, Fleet, Halt, HostSeen, NodePart, NodeState, OnFailure, Phase};
use crate::ids::NodeId;
use crate::moment::Moment;

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// In this order.
    pub moves: Vec<Move>,
    /// Ask again then, even if nothing was heard.
    pub wake_at: Option<Moment>,
}

/// One move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The group is free: preflights begin, and the deadline counts.
    Begin,
    /// Order this node's preflight.
    Check(NodeId),
    /// Order its redeploy.
    Redeploy(NodeId),
    /// Order its parked container back.
    Revert(NodeId),
    /// Order it to stop and undo.
    Cancel(NodeId),
    /// Its agent was silent for too long.
    Lose(NodeId),
    /// Go on in this phase.
    Enter(Phase),
}

/// The next moves, and why each node that does not move stays put.
#[must_use]
pub fn decide(deployment: &Deployment, fleet: &Fleet, now: Moment) -> (Decision, Explanation) {
    let view = View { deployment, fleet, now };
    let mut decision = view.lost();
    if decision.moves.is_empty() {
        let wake_at = decision.wake_at;
        decision = match &deployment.phase {
            Phase::Queued => view.queued(),
            Phase::Checking => view.checking(),
            Phase::Rolling => view.rolling(),
            Phase::GoingBack => view.going_back(),
            Phase::Cancelling => view.cancelling(),
            Phase::Halted { .. }
            | Phase::BackHalted { .. }
            | Phase::Done
            | Phase::Refused
            | Phase::Cancelled
            | Phase::RolledBack => Decision::default(),
        };
        // A moment that is past wakes nobody: what it meant is in the moves.
        decision.wake_at = earlier(decision.wake_at.filter(|at| *at > now), wake_at);
    }
    let explanation = explain(deployment, &decision, fleet, now);
    (decision, explanation)
}

pub(super) fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn only(step: Move) -> Decision {
    Decision { moves: vec![step], wake_at: None }
}

fn all(moves: Vec<Move>) -> Decision {
    Decision { moves, wake_at: None }
}

/// What the rules look at.
struct View<'a> {
    deployment: &'a Deployment,
    fleet: &'a Fleet,
    now: Moment,
}

impl View<'_> {
    fn parts(&self) -> impl Iterator<Item = &NodePart> {
        self.deployment.nodes.values()
    }

    fn first(&self, wanted: impl Fn(&NodeState) -> bool) -> Option<NodeId> {
        self.parts().find(|part| wanted(&part.state)).map(|part| part.node)
    }

    fn has(&self, wanted: impl Fn(&NodeState) -> bool) -> bool {
        self.first(wanted).is_some()
    }

    /// When a node's host has been silent for the whole grace period; `None` while it is connected.
    fn lost_at(&self, part: &NodePart) -> Option<Moment> {
        match self.fleet.host(&part.host) {
            HostSeen::Connected => None,
            HostSeen::Silent { since } => Some(since.after(self.deployment.terms.grace)),
        }
    }

    /// Nodes whose agents were at work and are silent for too long, or are at work long after the deadline.
    fn lost(&self) -> Decision {
        let last = self.deployment.deadline.after(self.deployment.terms.grace);
        let mut decision = Decision::default();
        for part in self.parts().filter(|part| part.state.in_flight()) {
            let lost_at = self.lost_at(part).map_or(last, |silent| silent.min(last));
            if lost_at <= self.now {
                decision.moves.push(Move::Lose(part.node));
            } else {
                decision.wake_at = earlier(decision.wake_at, Some(lost_at));
            }
        }
        decision
    }

    fn queued(&self) -> Decision {
        if self.fleet.ahead.is_some() { Decision::default() } else { only(Move::Begin) }
    }

    fn checking(&self) -> Decision {
        let overdue = self.now >= self.deployment.deadline;
        if overdue || self.has(|state| matches!(state, NodeState::Refused { .. })) {
            // The others' answers are waited for, so that all refusals are told at once.
            let awaited = self.has(|state| matches!(state, NodeState::Checking { .. }));
            return if overdue || !awaited { only(Move::Enter(Phase::Refused)) } else { Decision::default() };
        }
        if self.parts().all(|part| past_checking(&part.state)) {
            return only(Move::Enter(Phase::Rolling));
        }
        let mut decision = all(self.next_checks());
        decision.wake_at = Some(self.deployment.deadline);
        decision
    }

    /// Of each image one node is asked first: what it finds the image to be is what all others are asked about.
    fn next_checks(&self) -> Vec<Move> {
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        let mut moves = Vec::new();
        for part in self.parts() {
            let first = asked.insert(&part.image);
            let fixed = self.deployment.fixed.contains_key(&part.image);
            if matches!(part.state, NodeState::Waiting) && (first || fixed) {
                moves.push(Move::Check(part.node));
            }
        }
        moves
    }

    fn rolling(&self) -> Decision {
        if let Some(phase) = self.trouble() {
            return only(Move::Enter(phase));
        }
        if self.parts().all(|part| settled(&part.state)) {
            let failed = self.has(|state| matches!(state, NodeState::Failed { .. }));
            let end = if failed { Phase::Halted { why: Halt::Leftover } } else { Phase::Done };
            return only(Move::Enter(end));
        }
        let mut decision = self.next_starts();
        decision.wake_at = earlier(decision.wake_at, Some(self.deployment.deadline));
        decision
    }

    /// What forbids any further start.
    fn trouble(&self) -> Option<Phase> {
        let halted = |why| Some(Phase::Halted { why });
        if let Some(node) = self.first(|state| matches!(state, NodeState::Unknown { .. })) {
            return halted(Halt::Unknown { node });
        }
        if let Some(node) = self.first(|s| matches!(s, NodeState::Failed { passed_over: false, .. })) {
            return match self.deployment.terms.on_failure {
                OnFailure::Halt => halted(Halt::Failed { node }),
                OnFailure::Rollback => Some(Phase::GoingBack),
            };
        }
        if self.now >= self.deployment.deadline && !self.parts().all(|part| settled(&part.state)) {
            return halted(Halt::Deadline);
        }
        None
    }

    fn next_starts(&self) -> Decision {
        let pause = self.deployment.pause_until().filter(|until| *until > self.now);
        if pause.is_some() {
            return Decision { moves: Vec::new(), wake_at: pause };
        }
        let mut decision = Decision::default();
        let mut room = self.deployment.room();
        for part in self.parts().filter(|part| matches!(part.state, NodeState::Ready)) {
            match self.lost_at(part) {
                Some(at) if at <= self.now && room > 0 => {
                    return only(Move::Enter(Phase::Halted { why: Halt::Unreachable { node: part.node } }));
                }
                Some(at) if at <= self.now => {}
                Some(at) => decision.wake_at = earlier(decision.wake_at, Some(at)),
                None if room > 0 => {
                    room -= 1;
                    decision.moves.push(Move::Redeploy(part.node));
                }
                None => {}
            }
        }
        let nobody_at_work = !self.has(NodeState::in_flight);
        if self.deployment.room() == 0 && nobody_at_work {
            return only(Move::Enter(Phase::Halted { why: Halt::NoRoom }));
        }
        decision
    }

    fn going_back(&self) -> Decision {
        let halted = |why| only(Move::Enter(Phase::BackHalted { why }));
        if let Some(node) = self.first(|state| matches!(state, NodeState::Unknown { .. })) {
            return halted(Halt::Unknown { node });
        }
        if let Some(node) = self.first(|state| matches!(state, NodeState::RevertFailed { .. })) {
            return halted(Halt::Failed { node });
        }
        let mut decision = Decision { moves: Vec::new(), wake_at: Some(self.deployment.deadline) };
        // Who is still going forward will be done, and then has to come back too.
        if self.has(|state| matches!(state, NodeState::Running { .. })) {
            return decision;
        }
        let mut back: Vec<(Moment, NodeId)> = self.parts().filter_map(finished).collect();
        back.sort_unstable();
        let at_work = self.has(NodeState::in_flight);
        if back.is_empty() && !at_work {
            let stuck = self.first(NodeState::may_be_down);
            return stuck.map_or(only(Move::Enter(Phase::RolledBack)), |node| halted(Halt::Failed { node }));
        }
        if self.now >= self.deployment.deadline {
            return halted(Halt::Deadline);
        }
        if !at_work && self.deployment.room() == 0 {
            return halted(Halt::NoRoom);
        }
        for (_, node) in back.iter().rev().take(self.deployment.room()) {
            match self.deployment.nodes.get(node).and_then(|part| self.lost_at(part)) {
                None => decision.moves.push(Move::Revert(*node)),
                Some(at) if at <= self.now => return halted(Halt::Unreachable { node: *node }),
                // Those that finished before it come after it.
                Some(at) => {
                    decision.wake_at = earlier(decision.wake_at, Some(at));
                    break;
                }
            }
        }
        decision
    }

    fn cancelling(&self) -> Decision {
        let told = |part: &&NodePart| matches!(part.state, NodeState::Running { cancelled: false, .. });
        let moves: Vec<Move> = self.parts().filter(told).map(|part| Move::Cancel(part.node)).collect();
        let at_work = self.has(|s| matches!(s, NodeState::Running { .. } | NodeState::Reverting { .. }));
        if at_work { all(moves) } else { only(Move::Enter(Phase::Cancelled)) }
    }
}

/// A finished node, with when it finished: who was last goes back first.
pub(super) fn finished(part: &NodePart) -> Option<(Moment, NodeId)> {
    part.state.done_at().map(|at| (at, part.node))
}

fn past_checking(state: &NodeState) -> bool {
    !matches!(state, NodeState::Waiting | NodeState::Checking { .. } | NodeState::Refused { .. })
}

/// Nothing more happens to it while the deployment goes forward.
fn settled(state: &NodeState) -> bool {
    matches!(state, NodeState::Done { .. } | NodeState::Failed { .. } | NodeState::Reverted { .. })
}

impl Deployment {
    /// How many more nodes may be taken down now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.allowed_down().saturating_sub(self.down())
    }

    /// Until when the pause after the last verified node lasts; `None` if none is due.
    #[must_use]
    pub fn pause_until(&self) -> Option<Moment> {
        self.last_verified.map(|at| at.after(self.terms.delay))
    }

    /// What a node's image stands for, once that is known.
    #[must_use]
    pub fn digest_of(&self, part: &NodePart) -> Option<&str> {
        match self.fixed.get(&part.image) {
            Some(Digest::Of(digest)) => Some(digest),
            Some(Digest::None) | None => None,
        }
    }
}
