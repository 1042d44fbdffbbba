//! Exit codes, all of them, in one place. Scripts depend on the numbers: they are frozen, and equal to the agent's.

use std::process::ExitCode;

use redeploy_proto::v1::{Deployment, DeploymentPhase, NodePhase, RedeployKind};
use tonic::{Code, Status};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked for is done.
    Done,
    /// It ended otherwise: cancelled, or rolled back after a failure.
    Failed,
    /// Nothing was begun.
    Refused,
    /// A node is stuck, or what became of it is not known here: a human is needed.
    Stuck,
    /// It halted, and waits for an operator.
    Halted,
    /// Arguments are wrong. Nothing was begun.
    Usage,
}

/// For every `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0   done
  1   not done: cancelled, or failed and rolled back
  2   refused: nothing was begun, the reasons say why
  3   a node is stuck, or how it ended is not known here: a human is needed
  5   halted: resume, retry-failed, rollback or cancel it
  64  the arguments are wrong: nothing was begun";

/// Why the program ends before its end.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) text: String,
}

/// What a deployment is to end in, for whoever follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Done,
    Cancelled,
    RolledBack,
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Stuck => 3,
            Self::Halted => 5,
            Self::Usage => 64,
        }
    }

    /// How a deployment ended; `None` while it has not.
    pub(super) fn of(deployment: &Deployment, goal: Goal) -> Option<Self> {
        let any = |wanted: &[NodePhase]| deployment.nodes.iter().any(|node| wanted.contains(&node.phase()));
        // The order to revert one node has no other good end than that.
        let is_revert = deployment.kind() == RedeployKind::Revert;
        let goal = if is_revert && goal == Goal::Done { Goal::RolledBack } else { goal };
        let reached = |is: Goal| Some(if is == goal { Self::Done } else { Self::Failed });
        match deployment.phase() {
            DeploymentPhase::Done => reached(Goal::Done),
            DeploymentPhase::Cancelled => reached(Goal::Cancelled),
            DeploymentPhase::RolledBack => reached(Goal::RolledBack),
            DeploymentPhase::Refused => Some(Self::Refused),
            // Being cancelled is shown as halted, and nodes at work finish after a halt.
            DeploymentPhase::Halted if goal == Goal::Cancelled => None,
            DeploymentPhase::Halted if any(&[NodePhase::Running, NodePhase::Reverting]) => None,
            DeploymentPhase::Halted if any(&[NodePhase::Stuck]) => Some(Self::Stuck),
            DeploymentPhase::Halted => Some(Self::Halted),
            DeploymentPhase::Unspecified
            | DeploymentPhase::Queued
            | DeploymentPhase::Preflight
            | DeploymentPhase::Running
            | DeploymentPhase::RollingBack => None,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Stop {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, text: text.into() }
    }
}

impl From<Status> for Stop {
    /// Of a call whose answer did not come nobody knows whether it was carried out.
    fn from(status: Status) -> Self {
        let said = status.message();
        if is_passing(&status) {
            let text = format!("whether it was carried out is not known ({said}): see `redeployctl status`");
            return Self { exit: Exit::Stuck, text };
        }
        Self::refused(said)
    }
}

/// Whether it makes sense to ask again in a while: also when only the pace was too fast.
pub(super) fn may_be_asked_again(status: &Status) -> bool {
    is_passing(status) || status.code() == Code::ResourceExhausted
}

/// Whether the answer is lost, and with it whether the call was carried out.
fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
    )
}

#[cfg(test)]
mod tests {
    use redeploy_proto::v1::DeploymentNode;

    use super::*;

    fn deployment(phase: DeploymentPhase, node: NodePhase) -> Deployment {
        let node = DeploymentNode { phase: node.into(), ..DeploymentNode::default() };
        Deployment { phase: phase.into(), nodes: vec![node], ..Deployment::default() }
    }

    #[test]
    fn each_end_has_its_code_and_help_names_it() {
        use {DeploymentPhase as D, NodePhase as N};
        for (phase, node, goal, code) in [
            (D::Done, N::Done, Goal::Done, Some(0)),
            (D::RolledBack, N::Reverted, Goal::Done, Some(1)),
            (D::RolledBack, N::Reverted, Goal::RolledBack, Some(0)),
            (D::Cancelled, N::Waiting, Goal::Done, Some(1)),
            (D::Cancelled, N::Waiting, Goal::Cancelled, Some(0)),
            (D::Refused, N::Failed, Goal::Done, Some(2)),
            (D::Halted, N::Failed, Goal::Done, Some(5)),
            (D::Halted, N::Stuck, Goal::Done, Some(3)),
            (D::Halted, N::Running, Goal::Done, None),
            (D::Halted, N::Failed, Goal::Cancelled, None),
            (D::Running, N::Failed, Goal::Done, None),
            (D::Queued, N::Waiting, Goal::Done, None),
        ] {
            let exit = Exit::of(&deployment(phase, node), goal).map(Exit::code);
            assert_eq!(exit, code, "{phase:?} {node:?} {goal:?}");
            let line = |code: u8| HELP.lines().any(|line| line.trim().starts_with(&format!("{code}  ")));
            assert!(code.is_none_or(line), "{code:?}");
        }
        assert!(HELP.contains("  64  "));
        let revert = RedeployKind::Revert.into();
        let revert = Deployment { kind: revert, ..deployment(D::RolledBack, N::Reverted) };
        assert_eq!(Exit::of(&revert, Goal::Done), Some(Exit::Done));
    }

    #[test]
    fn a_lost_answer_is_not_a_refusal() {
        assert_eq!(Stop::from(Status::unavailable("gone")).exit, Exit::Stuck);
        assert_eq!(Stop::from(Status::not_found("no group cq")).exit, Exit::Refused);
        let fast = Status::resource_exhausted("too many calls");
        assert!(may_be_asked_again(&fast));
        assert_eq!(Stop::from(fast).exit, Exit::Refused);
    }
}
