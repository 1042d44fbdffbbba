//! Deployments as they are shown: what is stored, what agents reported, and why nodes wait.

use std::collections::HashMap;

use prost::Message;
use redeploy_proto::v1;

use super::{Api, Refusal};
use crate::deployment::{
    Counts, Deployment, Explanation, NodePart, NodeState, OnFailure, Parallel, Phase, Reason, Terms,
};
use crate::driver::wire::redeploy_options;
use crate::moment::Span;

impl Api {
    /// A deployment with everything known of it.
    pub(crate) async fn show(&self, deployment: &Deployment) -> Result<v1::Deployment, Refusal> {
        let mut reports = HashMap::new();
        for order in self.store.orders(deployment.id).await? {
            let report = order.report.as_deref().and_then(|bytes| v1::Report::decode(bytes).ok());
            reports.extend(report.map(|report| (order.redeploy_id.clone(), report)));
        }
        let explanation = self.views.explanation(deployment.id).unwrap_or_default();
        let node = |part: &NodePart| self.node(part, &mut reports, &explanation);
        let nodes = deployment.nodes.values().map(node).collect();
        Ok(v1::Deployment { nodes, ..head(deployment, &Counts::of(&deployment.nodes)) })
    }

    fn node(
        &self,
        part: &NodePart,
        reports: &mut HashMap<String, v1::Report>,
        explanation: &Explanation,
    ) -> v1::DeploymentNode {
        let phase = node_phase(&part.state);
        let reverted = matches!(
            part.state,
            NodeState::Reverting { .. } | NodeState::Reverted { .. } | NodeState::RevertFailed { .. }
        );
        let id = if reverted { part.revert_id } else { part.redeploy_id };
        let ordered = !matches!(phase, v1::NodePhase::Waiting);
        let waits = matches!(phase, v1::NodePhase::Waiting | v1::NodePhase::Unknown);
        let reason = explanation.nodes.get(&part.node).filter(|_| waits);
        v1::DeploymentNode {
            node_id: part.node.0,
            host_id: part.host.to_string(),
            container: part.container.clone(),
            phase: phase.into(),
            redeploy_id: if ordered { id.to_string() } else { String::new() },
            waits_for: refused_or(&part.state, reason),
            progress: self.views.progress_of(id).filter(|_| part.state.in_flight()),
            report: reports.remove(&id.to_string()),
            preflight: self.views.preflight_of(part.redeploy_id),
        }
    }
}

fn refused_or(state: &NodeState, reason: Option<&Reason>) -> String {
    if let NodeState::Refused { why } = state {
        return why.clone();
    }
    reason.map(ToString::to_string).unwrap_or_default()
}

/// A deployment without its nodes.
pub(super) fn head(deployment: &Deployment, counts: &Counts) -> v1::Deployment {
    let terms = &deployment.terms;
    let on_failure = match terms.on_failure {
        OnFailure::Halt => v1::FailurePolicy::Halt,
        OnFailure::Rollback => v1::FailurePolicy::Rollback,
    };
    let kind = if terms.image.is_empty() { v1::RedeployKind::Revert } else { v1::RedeployKind::Redeploy };
    v1::Deployment {
        deployment_id: deployment.id.to_string(),
        target: Some(v1::Target {
            env: deployment.env.to_string(),
            group: deployment.group.to_string(),
            node_id: counts.only.map_or(0, |node| node.0),
        }),
        kind: kind.into(),
        image: Some(image(deployment)),
        options: Some(redeploy_options(&terms.options)),
        strategy: Some(strategy(terms)),
        on_failure: on_failure.into(),
        phase: phase(&deployment.phase).into(),
        reason: reason(deployment),
        nodes: Vec::new(),
        created_at_ms: deployment.created_at.0,
        started_at_ms: deployment.started_at.map_or(0, |at| at.0),
        ended_at_ms: deployment.ended_at.map_or(0, |at| at.0),
        deadline_at_ms: deployment.deadline.0,
        created_by: deployment.created_by.clone(),
        comment: deployment.comment.clone(),
        nodes_total: counts.total,
        nodes_done: counts.done,
        nodes_failed: counts.failed,
    }
}

fn image(deployment: &Deployment) -> v1::ImageRef {
    let digest = match deployment.fixed.values().next() {
        Some(crate::deployment::Digest::Of(digest)) if deployment.fixed.len() == 1 => digest.clone(),
        Some(_) | None => String::new(),
    };
    v1::ImageRef { reference: deployment.terms.image.clone(), digest }
}

fn strategy(terms: &Terms) -> v1::Strategy {
    use v1::{batches::Size, strategy::Kind};
    let batches = |size| Kind::Batches(v1::Batches { size: Some(size) });
    let kind = match terms.parallel {
        Parallel::Nodes(1) => Kind::Sequential(v1::Sequential {}),
        Parallel::Nodes(nodes) => batches(Size::Nodes(nodes)),
        Parallel::Percent(percent) => batches(Size::Percent(u32::from(percent))),
        Parallel::All => Kind::AllAtOnce(v1::AllAtOnce {}),
    };
    let Span(delay) = terms.delay;
    v1::Strategy { kind: Some(kind), delay_ms: u64::from(delay) }
}

pub(super) fn phase(phase: &Phase) -> v1::DeploymentPhase {
    match phase {
        Phase::Queued => v1::DeploymentPhase::Queued,
        Phase::Checking => v1::DeploymentPhase::Preflight,
        Phase::Rolling => v1::DeploymentPhase::Running,
        // The reason tells that it is being cancelled.
        Phase::Halted { .. } | Phase::BackHalted { .. } | Phase::Cancelling => v1::DeploymentPhase::Halted,
        Phase::GoingBack => v1::DeploymentPhase::RollingBack,
        Phase::Done => v1::DeploymentPhase::Done,
        Phase::Refused => v1::DeploymentPhase::Refused,
        Phase::Cancelled => v1::DeploymentPhase::Cancelled,
        Phase::RolledBack => v1::DeploymentPhase::RolledBack,
    }
}

fn reason(deployment: &Deployment) -> String {
    match &deployment.phase {
        Phase::Halted { why } => why.to_string(),
        Phase::BackHalted { why } => format!("while going back: {why}"),
        Phase::Cancelling => "it is being cancelled: who is at work undoes it".into(),
        Phase::Refused => "something spoke against it before a node was touched".into(),
        Phase::Queued
        | Phase::Checking
        | Phase::Rolling
        | Phase::GoingBack
        | Phase::Done
        | Phase::Cancelled
        | Phase::RolledBack => String::new(),
    }
}

fn node_phase(state: &NodeState) -> v1::NodePhase {
    match state {
        NodeState::Waiting | NodeState::Checking { .. } | NodeState::Ready => v1::NodePhase::Waiting,
        NodeState::Running { .. } => v1::NodePhase::Running,
        NodeState::Done { .. } => v1::NodePhase::Done,
        NodeState::Failed { failure, .. } | NodeState::RevertFailed { failure, .. } if failure.is_stuck() => {
            v1::NodePhase::Stuck
        }
        NodeState::Refused { .. } | NodeState::Failed { .. } | NodeState::RevertFailed { .. } => {
            v1::NodePhase::Failed
        }
        NodeState::Unknown { .. } => v1::NodePhase::Unknown,
        NodeState::Reverting { .. } => v1::NodePhase::Reverting,
        NodeState::Reverted { .. } => v1::NodePhase::Reverted,
    }
}
