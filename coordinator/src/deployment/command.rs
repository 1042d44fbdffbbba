//! What an operator may order of a deployment, and in which state. Refusals say what is possible instead.

use redeploy_proto::RedeployId;

use super::{Deployment, Halt, NodePart, NodeState, Phase};
use crate::ids::NodeId;
use crate::moment::Moment;

/// An operator's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// No further node starts.
    Halt {
        /// Who said so.
        who: String,
    },
    /// Go on where it halted; failed nodes stay as they are.
    Resume,
    /// Go on where it halted; failed nodes again.
    RetryFailed,
    /// Take the finished nodes back.
    Rollback,
    /// Give it up.
    Cancel,
    /// Give it up if a failure halted it and nothing of it is at work, stuck or unknown: whoever orders this looked
    /// at it before, and others may have gone on with it since.
    CancelFailed,
}

/// Not in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// The phase does not allow it.
    #[error("it is {phase}; {possible}")]
    Phase {
        /// Which.
        phase: &'static str,
        /// What can be done.
        possible: &'static str,
    },
    /// A node's state is not known.
    #[error(
        "what became of node {0} is not known, because its agent is silent: it is taken over when the agent is back; \
         `cancel` gives the deployment up"
    )]
    Unknown(NodeId),
    /// Too many are stuck.
    #[error(
        "node {0} is stuck and may be down, and no more may be: `redeploy-agent recover` on its host, then try again"
    )]
    NoRoom(NodeId),
    /// Nothing to retry.
    #[error("no node failed in a way that can be tried again; `resume` goes on with the others")]
    NothingFailed,
}

fn not_now(phase: &Phase, possible: &'static str) -> CommandRefused {
    CommandRefused::Phase { phase: phase.word(), possible }
}

impl Deployment {
    /// Carries out an operator's order. `fresh` chooses ids for new attempts.
    ///
    /// # Errors
    /// [`CommandRefused`]; nothing changed.
    pub fn command(
        &mut self,
        command: &Command,
        now: Moment,
        fresh: &mut dyn FnMut() -> RedeployId,
    ) -> Result<(), CommandRefused> {
        match command {
            Command::Halt { who } => self.halt(who, now),
            Command::Resume => self.resume(now),
            Command::RetryFailed => self.retry_failed(now, fresh),
            Command::Rollback => self.rollback(now, fresh),
            Command::Cancel => self.cancel(now),
            Command::CancelFailed => self.cancel_failed(now),
        }
    }

    fn halt(&mut self, who: &str, now: Moment) -> Result<(), CommandRefused> {
        let why = Halt::Operator { who: who.to_owned() };
        let next = match &self.phase {
            Phase::Checking | Phase::Rolling => Phase::Halted { why },
            Phase::GoingBack => Phase::BackHalted { why },
            Phase::Halted { .. } | Phase::BackHalted { .. } => return Ok(()),
            Phase::Queued => return Err(not_now(&self.phase, "`cancel` takes it out of the queue")),
            Phase::Cancelling | Phase::Done | Phase::Refused | Phase::Cancelled | Phase::RolledBack => {
                return Err(not_now(&self.phase, "there is nothing to halt"));
            }
        };
        self.enter(next, now);
        Ok(())
    }

    fn resume(&mut self, now: Moment) -> Result<(), CommandRefused> {
        self.expect_halted("only one that is halted can be resumed")?;
        self.expect_room()?;
        for part in self.nodes.values_mut() {
            if let NodeState::Failed { passed_over, .. } = &mut part.state {
                *passed_over = true;
            }
        }
        self.go_on(now);
        Ok(())
    }

    fn retry_failed(
        &mut self,
        now: Moment,
        fresh: &mut dyn FnMut() -> RedeployId,
    ) -> Result<(), CommandRefused> {
        self.expect_halted("only what failed in one that is halted can be tried again")?;
        let again =
            |state: &NodeState| matches!(state, NodeState::Failed { failure, .. } if !failure.is_stuck());
        if !self.nodes.values().any(|part| again(&part.state)) {
            return Err(CommandRefused::NothingFailed);
        }
        self.expect_room()?;
        for part in self.nodes.values_mut() {
            if again(&part.state) {
                part.state = NodeState::Ready;
                part.redeploy_id = fresh();
            } else if let NodeState::Failed { passed_over, .. } = &mut part.state {
                *passed_over = true;
            }
        }
        self.go_on(now);
        Ok(())
    }

    fn rollback(&mut self, now: Moment, fresh: &mut dyn FnMut() -> RedeployId) -> Result<(), CommandRefused> {
        match &self.phase {
            Phase::Halted { .. } | Phase::BackHalted { .. } | Phase::Done => {}
            Phase::GoingBack => return Ok(()),
            Phase::Rolling => return Err(not_now(&self.phase, "`halt` it first")),
            Phase::Queued | Phase::Checking => {
                return Err(not_now(&self.phase, "`cancel` it: no node was touched"));
            }
            Phase::Refused | Phase::Cancelling | Phase::Cancelled | Phase::RolledBack => {
                return Err(not_now(&self.phase, "there is nothing to take back"));
            }
        }
        self.expect_known()?;
        self.expect_room()?;
        for part in self.nodes.values_mut() {
            if let NodeState::RevertFailed { at, failure } = &part.state
                && !failure.is_stuck()
            {
                part.state = NodeState::Done { at: *at };
                part.revert_id = fresh();
            }
        }
        self.deadline = now.after(self.terms.budget);
        self.enter(Phase::GoingBack, now);
        Ok(())
    }

    fn cancel(&mut self, now: Moment) -> Result<(), CommandRefused> {
        match &self.phase {
            Phase::Queued
            | Phase::Checking
            | Phase::Rolling
            | Phase::Halted { .. }
            | Phase::GoingBack
            | Phase::BackHalted { .. } => self.enter(Phase::Cancelling, now),
            Phase::Cancelling | Phase::Cancelled => {}
            Phase::Done | Phase::Refused | Phase::RolledBack => {
                return Err(not_now(&self.phase, "there is nothing to cancel"));
            }
        }
        Ok(())
    }

    fn cancel_failed(&mut self, now: Moment) -> Result<(), CommandRefused> {
        let is_settled = |part: &NodePart| {
            let state = &part.state;
            !state.in_flight() && !state.may_be_down()
        };
        let by_failure = match &self.phase {
            // Somebody else was quicker.
            Phase::Cancelling | Phase::Cancelled => return Ok(()),
            Phase::Halted { why } => matches!(why, Halt::Failed { .. } | Halt::Leftover),
            Phase::Queued
            | Phase::Checking
            | Phase::Rolling
            | Phase::GoingBack
            | Phase::BackHalted { .. }
            | Phase::Done
            | Phase::Refused
            | Phase::RolledBack => false,
        };
        if by_failure && self.nodes.values().all(is_settled) {
            return self.cancel(now);
        }
        let possible = "only one that a failure halted, with no node at work or stuck, makes room";
        Err(not_now(&self.phase, possible))
    }

    fn expect_halted(&self, possible: &'static str) -> Result<(), CommandRefused> {
        match &self.phase {
            Phase::Halted { .. } => self.expect_known(),
            Phase::BackHalted { .. } => {
                Err(not_now(&self.phase, "`rollback` goes on taking nodes back, `cancel` gives it up"))
            }
            Phase::Queued
            | Phase::Checking
            | Phase::Rolling
            | Phase::GoingBack
            | Phase::Cancelling
            | Phase::Done
            | Phase::Refused
            | Phase::Cancelled
            | Phase::RolledBack => Err(not_now(&self.phase, possible)),
        }
    }

    fn expect_known(&self) -> Result<(), CommandRefused> {
        let unknown = |state: &NodeState| matches!(state, NodeState::Unknown { .. });
        match self.nodes.values().find(|part| unknown(&part.state)) {
            Some(part) => Err(CommandRefused::Unknown(part.node)),
            None => Ok(()),
        }
    }

    /// Room that nodes at work take up comes back when they end; that of stuck ones does not.
    fn expect_room(&self) -> Result<(), CommandRefused> {
        let stuck = |part: &&NodePart| part.state.may_be_down() && !part.state.in_flight();
        match self.nodes.values().filter(stuck).nth(self.allowed_down() - 1) {
            Some(part) => Err(CommandRefused::NoRoom(part.node)),
            None => Ok(()),
        }
    }

    /// On from a halt: with the preflights, if those were not over.
    fn go_on(&mut self, now: Moment) {
        let unchecked = |state: &NodeState| {
            matches!(state, NodeState::Waiting | NodeState::Checking { .. } | NodeState::Refused { .. })
        };
        let checking = self.nodes.values().any(|part| unchecked(&part.state));
        self.deadline = now.after(self.terms.budget);
        self.enter(if checking { Phase::Checking } else { Phase::Rolling }, now);
    }
}
