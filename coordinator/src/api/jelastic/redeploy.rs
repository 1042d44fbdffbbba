//! A deployment for a call: a new one, or the one that is under way for the same request; and its end.
//!
//! Flows in: what was asked for. Flows out: a deployment. It goes on whether or not somebody waits for its end. Must never
//! take a deployment for the same that differs in anything but the login, and never end one that was not begun here.

use std::collections::BTreeSet;

use redeploy_proto::v1::{self, DeploymentPhase, NodePhase, RedeployKind};
use tokio_stream::StreamExt;

use super::codes::{Code, Failed};
use super::order::{Asked, COMMENT};
use super::service::Service;

/// How often a call tries again because the deployment in its way has just ended.
const ATTEMPTS: usize = 3;

/// For the audit log.
const REPLACED: &str = "it had failed, and another one is asked for";

/// The deployment of this call.
///
/// # Errors
/// [`Failed`]: none was begun.
pub(super) async fn begin(service: &Service, asked: &Asked) -> Result<v1::Deployment, Failed> {
    let nodes = service.nodes(&asked.env).await?;
    let meant: BTreeSet<u32> = asked.among(&nodes)?.iter().map(|node| node.node_id).collect();
    let mut refused = Failed::new(Code::Busy, String::new());
    for _ in 0..ATTEMPTS {
        refused = match service.create(asked.request()).await {
            Err(failed) if failed.code == Code::Busy => failed,
            done => return done,
        };
        match in_the_way(service, asked, &meant).await? {
            Some(Way::Same(deployment)) => return Ok(*deployment),
            Some(Way::Failed(id)) => {
                if let Err(failed) = service.cancel_failed(&id, REPLACED).await
                    // Somebody else may have ended it meanwhile.
                    && !matches!(failed.code, Code::Busy | Code::NotFound)
                {
                    return Err(failed);
                }
            }
            Some(Way::Other) => return Err(refused),
            None => {}
        }
    }
    Err(refused)
}

/// What keeps a group busy.
enum Way {
    /// The same request, under way.
    Same(Box<v1::Deployment>),
    /// One of ours that failed and waits for an operator, whom clients of the vendor's do not have.
    Failed(String),
    Other,
}

async fn in_the_way(service: &Service, asked: &Asked, meant: &BTreeSet<u32>) -> Result<Option<Way>, Failed> {
    let mut found = None;
    for open in service.deployments(&asked.env, true).await? {
        let open = service.deployment(&open.deployment_id).await?;
        if open.phase() == DeploymentPhase::Queued
            || open.nodes.iter().all(|node| !meant.contains(&node.node_id))
        {
            continue;
        }
        let way = match (is_at_rest(&open), is_same(&open, asked, meant)) {
            (false, true) => return Ok(Some(Way::Same(Box::new(open)))),
            (true, _) if may_be_replaced(&open) => Way::Failed(open.deployment_id),
            (_, _) => Way::Other,
        };
        found = Some(way);
    }
    Ok(found)
}

/// Whether a deployment is what this call would begin.
fn is_same(open: &v1::Deployment, asked: &Asked, meant: &BTreeSet<u32>) -> bool {
    let nodes: BTreeSet<u32> = open.nodes.iter().map(|node| node.node_id).collect();
    let options = open.options.clone().unwrap_or_default();
    open.kind() == RedeployKind::Redeploy
        && nodes == *meant
        && open.image.as_ref().is_some_and(|image| image.reference == asked.to.tag)
        && options.use_existing_volumes == asked.options.use_existing_volumes
        && options.skip_reinstall == asked.options.skip_reinstall
        && open.strategy.as_ref() == Some(&asked.strategy)
}

/// Begun here, halted by a failure, and of every node it is known what became of it.
fn may_be_replaced(open: &v1::Deployment) -> bool {
    let known = |node: &v1::DeploymentNode| {
        matches!(node.phase(), NodePhase::Done | NodePhase::Failed | NodePhase::Waiting)
    };
    open.phase() == DeploymentPhase::Halted
        && open.comment.starts_with(COMMENT)
        && open.nodes_failed > 0
        && open.nodes.iter().all(known)
}

/// Whether nothing more happens to a deployment by itself.
pub(super) fn is_at_rest(deployment: &v1::Deployment) -> bool {
    let is_at_work = |node: &v1::DeploymentNode| {
        matches!(node.phase(), NodePhase::Ordered | NodePhase::Running | NodePhase::Reverting)
    };
    match deployment.phase() {
        DeploymentPhase::Done
        | DeploymentPhase::Refused
        | DeploymentPhase::RolledBack
        | DeploymentPhase::Cancelled => true,
        // Nodes at work finish after a halt, and undo themselves in a cancellation, which is shown as a halt.
        DeploymentPhase::Halted => !deployment.nodes.iter().any(is_at_work),
        DeploymentPhase::Unspecified
        | DeploymentPhase::Queued
        | DeploymentPhase::Preflight
        | DeploymentPhase::Running
        | DeploymentPhase::RollingBack => false,
    }
}

/// The deployment when it has come to rest. It has a deadline of its own, so this has one.
///
/// # Errors
/// [`Failed`]: it is not known how it ends.
pub(super) async fn end(service: &Service, begun: v1::Deployment) -> Result<v1::Deployment, Failed> {
    let mut updates = service.watch(&begun.deployment_id).await?;
    let mut last = begun;
    while let Some(update) = updates.next().await {
        last = update?.deployment.unwrap_or(last);
        if is_at_rest(&last) {
            return Ok(last);
        }
    }
    let text = format!("how deployment {} ended is not known: ask for it again", last.deployment_id);
    Err(Failed::new(Code::Trouble, text))
}
