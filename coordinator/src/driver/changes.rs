//! What changed between two states of a deployment: the rows to store and the events to tell.

use crate::deployment::{Counts, Deployment, NodePart, NodeState, Phase};
use crate::store::{NewDeployment, NewEvent, Saved};

/// The rows that changed; `None` if nothing did.
pub(super) fn saved(
    before: Option<&Deployment>,
    after: &Deployment,
    new: Option<NewDeployment>,
) -> Option<Saved> {
    let parts: Vec<NodePart> =
        after.nodes.changed_since(before.map(|before| &before.nodes)).cloned().collect();
    let head = after.head();
    let same = before.is_some_and(|before| parts.is_empty() && head == before.head());
    (!same).then(|| Saved { head, counts: Counts::of(&after.nodes), parts, new })
}

/// One event for each phase entered and each node's state that people care for.
pub(super) fn events(before: Option<&Deployment>, after: &Deployment, by: &str) -> Vec<NewEvent> {
    let base = NewEvent {
        env: after.env.to_string(),
        group: after.group.to_string(),
        deployment: after.id.to_string(),
        by: by.to_owned(),
        ..NewEvent::default()
    };
    let mut events = Vec::new();
    if before.is_none_or(|before| before.phase != after.phase) {
        let kind = format!("deployment.{}", after.phase.word());
        events.push(NewEvent { kind, text: phase_text(after), ..base.clone() });
    }
    let Some(before) = before else { return events };
    for part in after.nodes.changed_since(Some(&before.nodes)) {
        let old = before.nodes.get(&part.node).map(|old| old.state.word());
        if old != Some(part.state.word()) {
            let redeploy = part.redeploy_id.to_string();
            let (node, host) = (part.node.0, part.host.to_string());
            let kind = format!("node.{}", part.state.word());
            events.push(NewEvent { kind, node, host, redeploy, text: state_text(part), ..base.clone() });
        }
    }
    events
}

fn phase_text(deployment: &Deployment) -> String {
    let what = format!("{} of {}/{}", deployment.terms.image, deployment.env, deployment.group);
    match &deployment.phase {
        Phase::Halted { why } | Phase::BackHalted { why } => format!("{what}: {why}"),
        Phase::Queued
        | Phase::Checking
        | Phase::Rolling
        | Phase::GoingBack
        | Phase::Done
        | Phase::Refused
        | Phase::Cancelling
        | Phase::Cancelled
        | Phase::RolledBack => format!("{what}: {}", deployment.phase.word()),
    }
}

fn state_text(part: &NodePart) -> String {
    let container = &part.container;
    match &part.state {
        NodeState::Refused { why } => format!("{container}: {why}"),
        NodeState::Failed { failure, .. } | NodeState::RevertFailed { failure, .. } => {
            format!("{container} {}: {}", failure.verdict.phrase(), failure.why)
        }
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Running { .. }
        | NodeState::Done { .. }
        | NodeState::Unknown { .. }
        | NodeState::Reverting { .. }
        | NodeState::Reverted { .. } => format!("{container}: {}", part.state.word()),
    }
}
