//! What a new session means for a node whose order may or may not have arrived.

use std::collections::BTreeSet;

use redeploy_proto::RedeployId;

use crate::deployment::{Doing, NodePart, NodeState, Phase, Report};

/// What a new session means for one node on its host.
pub(super) enum Doubt {
    /// As if the agent had said this.
    Word(RedeployId, Report),
    /// The order still stands and may not have arrived.
    SayAgain,
}

/// What it means for this one; nothing if no order of it is open.
pub(super) fn doubt(part: &NodePart, phase: &Phase, open: &BTreeSet<RedeployId>) -> Option<Doubt> {
    let state = &part.state;
    let (id, wanted) = match state {
        NodeState::Checking { .. } => return Some(Doubt::SayAgain),
        NodeState::Running { cancelled, .. } => (part.redeploy_id, *phase == Phase::Rolling && !cancelled),
        NodeState::Reverting { .. } => (part.revert_id, *phase == Phase::GoingBack),
        NodeState::Unknown { doing: Doing::Redeploy, .. } => (part.redeploy_id, false),
        NodeState::Unknown { doing: Doing::Revert, .. } => (part.revert_id, false),
        NodeState::Waiting
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Done { .. }
        | NodeState::Failed { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => return None,
    };
    match (open.contains(&id), wanted) {
        // Nobody began it, and the deployment no longer wants it.
        (false, false) => Some(Doubt::Word(id, Report::NeverBegun)),
        (false, true) => Some(Doubt::SayAgain),
        (true, _) if matches!(state, NodeState::Unknown { .. }) => Some(Doubt::Word(id, Report::AtWork)),
        // Said again all the same: it costs nothing, and with it goes a cancel that may be lost.
        (true, _) => Some(Doubt::SayAgain),
    }
}
