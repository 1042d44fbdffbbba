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
        "node_id": (target.node_id != 0).then_some(target.node_id),
        "kind": word(deployment.kind().as_str_name(), "REDEPLOY_KIND_"),
        "image": image.reference,
        "digest": image.digest,
        "phase": phase(deployment).replace(' ', "_"),
        "reason": deployment.reason,
        "created_by": deployment.created_by,
        "comment": deployment.comment,
        "created_at_ms": deployment.created_at_ms,
        "started_at_ms": deployment.started_at_ms,
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
        "progress": node.progress.as_ref().map(progress),
        "redeploy_id": node.redeploy_id,
        "verdict": node.report.as_ref().map(|report| word(report.verdict().as_str_name(), "VERDICT_").replace(' ', "_")),
        "why": node.report.as_ref().map(why),
        "downtime_ms": node.report.as_ref().and_then(|report| report.downtime_ms),
    })
}

fn progress(progress: &v1::Progress) -> Value {
    json!({
        "step": progress.step,
        "is_undoing": progress.is_undoing,
        "what": progress.what,
        "done_bytes": progress.done_bytes,
        "total_bytes": progress.total_bytes,
        "done_files": progress.done_files,
    })
}

/// A report without its lists of files and steps: those are on the host.
fn report(report: &v1::Report) -> Value {
    json!({
        "redeploy_id": report.redeploy_id,
        "kind": word(report.kind().as_str_name(), "REDEPLOY_KIND_"),
        "verdict": word(report.verdict().as_str_name(), "VERDICT_").replace(' ', "_"),
        "is_local": report.is_local,
        "from_image": report.from_image,
        "to_image": report.to_image,
        "digest": report.digest,
        "began_at_ms": report.began_at_ms,
        "ended_at_ms": report.ended_at_ms,
        "downtime_ms": report.downtime_ms,
        "parked": report.parked,
        "warnings": report.warnings,
        "why": why(report),
    })
}

pub(super) fn plan(plan: &v1::PlanDeploymentResponse, open_deployment_id: &str) -> Value {
    let image = plan.image.clone().unwrap_or_default();
    let part = |part: &v1::NodePreflight| {
        json!({
            "node": part.node.as_ref().map(node),
            "problem": part.problem,
            "preflight": part.preflight.as_ref().map(preflight),
        })
    };
    json!({
        "is_ok": plan.is_ok,
        "image": image.reference,
        "digest": image.digest,
        "open_deployment_id": open_deployment_id,
        "nodes": plan.nodes.iter().map(part).collect::<Vec<_>>(),
    })
}

fn preflight(preflight: &v1::Preflight) -> Value {
    json!({
        "is_ok": preflight.is_ok,
        "refusals": preflight.refusals,
        "warnings": preflight.warnings,
        "image_id": preflight.image_id,
        "digest": preflight.digest,
        "lost_paths": preflight.lost_paths,
        "archive_bytes": preflight.archive_bytes,
        "plan_text": preflight.plan_text,
    })
}

pub(super) fn environment(environment: &v1::Environment) -> Value {
    json!({ "env": environment.name, "groups": environment.groups.iter().map(group).collect::<Vec<_>>() })
}

pub(super) fn group(group: &v1::Group) -> Value {
    json!({
        "env": group.env,
        "group": group.name,
        "nodes": group.nodes,
        "nodes_running": group.nodes_running,
        "images": group.images,
        "open_deployment_id": group.open_deployment_id,
    })
}

pub(super) fn event(event: &v1::Event) -> Value {
    json!({
        "seq": event.seq,
        "at_ms": event.at_ms,
        "kind": event.kind,
        "env": event.env,
        "group": event.group,
        "node_id": (event.node_id != 0).then_some(event.node_id),
        "host_id": event.host_id,
        "deployment_id": event.deployment_id,
        "redeploy_id": event.redeploy_id,
        "by": event.by,
        "text": event.text,
    })
}

pub(super) fn api_token(token: &v1::ApiToken) -> Value {
    json!({
        "token_id": token.token_id,
        "name": token.name,
        "role": word(token.role().as_str_name(), "ROLE_"),
        "envs": token.envs,
        "created_at_ms": token.created_at_ms,
        "expires_at_ms": token.expires_at_ms,
        "last_used_at_ms": token.last_used_at_ms,
        "is_revoked": token.is_revoked,
    })
}

pub(super) fn join_token(token: &v1::JoinToken) -> Value {
    json!({
        "token_id": token.token_id,
        "comment": token.comment,
        "created_at_ms": token.created_at_ms,
        "expires_at_ms": token.expires_at_ms,
        "created_by": token.created_by,
        "used_by_host_id": token.used_by_host_id,
        "is_revoked": token.is_revoked,
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
        "since_ms": container.since_ms,
        "cpu_milli": container.cpu_milli,
        "memory_bytes": container.memory_bytes,
        "generation": node.generation,
        "seen_at_ms": node.seen_at_ms,
        "last_redeploy_id": container.last_redeploy_id,
        "last_redeploy": node.last_redeploy.as_ref().map(report),
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
