//! What programs read: one JSON object per line. Names and words are frozen; fields may be added.

use std::io::Write;

use redeploy_proto::v1;
use serde_json::{Value, json};

use super::text::{node_phase, phase, why, word};

/// A line on stdout. Whoever closed the pipe has read enough.
pub(super) fn line(value: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{value}");
}

pub(super) fn deployment(deployment: &v1::Deployment) -> Value {
    let target = deployment.target.clone().unwrap_or_default();
    let image = deployment.image.clone().unwrap_or_default();
    json!({
        "deployment_id": deployment.deployment_id,
        "env": target.env,
        "group": target.group,
        "image": image.reference,
        "digest": image.digest,
        "phase": phase(deployment).replace(' ', "_"),
        "reason": deployment.reason,
        "created_by": deployment.created_by,
        "created_at_ms": deployment.created_at_ms,
        "ended_at_ms": deployment.ended_at_ms,
        "nodes_total": deployment.nodes_total,
        "nodes_done": deployment.nodes_done,
        "nodes_failed": deployment.nodes_failed,
        "nodes": deployment.nodes.iter().map(part).collect::<Vec<_>>(),
    })
}

fn part(node: &v1::DeploymentNode) -> Value {
    json!({
        "node_id": node.node_id,
        "host_id": node.host_id,
        "container": node.container,
        "phase": node_phase(node).replace(' ', "_"),
        "waits_for": node.waits_for,
        "step": node.progress.as_ref().map(|progress| &progress.step),
        "redeploy_id": node.redeploy_id,
        "verdict": node.report.as_ref().map(|report| word(report.verdict().as_str_name(), "VERDICT_").replace(' ', "_")),
        "why": node.report.as_ref().map(why),
        "downtime_ms": node.report.as_ref().and_then(|report| report.downtime_ms),
    })
}

pub(super) fn node(node: &v1::Node) -> Value {
    let container = node.container.clone().unwrap_or_default();
    json!({
        "node_id": node.node_id,
        "env": node.env,
        "group": node.group,
        "host_id": node.host_id,
        "host_name": node.host_name,
        "container": container.name,
        "image": container.image,
        "digest": container.digest,
        "state": word(container.state().as_str_name(), "CONTAINER_STATE_"),
        "health": word(container.health().as_str_name(), "HEALTH_"),
        "is_present": node.is_present,
        "is_adopted": node.is_adopted,
        "can_revert": container.can_revert,
        "last_redeploy_id": container.last_redeploy_id,
    })
}

pub(super) fn host(host: &v1::Host) -> Value {
    let facts = host.facts.clone().unwrap_or_default();
    json!({
        "host_id": host.host_id,
        "host_name": facts.host_name,
        "state": word(host.state().as_str_name(), "HOST_STATE_"),
        "address": host.address,
        "agent_version": facts.agent_version,
        "engine_version": facts.engine_version,
        "cpus": facts.cpus,
        "cpu_free_milli": facts.cpu_free_milli,
        "memory_total_bytes": facts.memory_total_bytes,
        "memory_available_bytes": facts.memory_available_bytes,
        "data_dir_free_bytes": facts.data_dir_free_bytes,
        "nodes": host.nodes,
        "seen_at_ms": host.seen_at_ms,
        "certificate_not_after_ms": host.certificate_not_after_ms,
    })
}
