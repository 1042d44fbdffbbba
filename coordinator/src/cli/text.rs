//! What people read: one line per thing. Texts of agents are tamed: they may hold what steers a terminal.

use std::io::Write;

use redeploy_proto::v1;

use crate::json;

/// A line on stdout. Whoever closed the pipe has read enough.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", tame(line));
}

/// Without anything that steers a terminal.
pub(super) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An enum's word without its prefix, in small letters.
pub(super) fn word(name: &str, prefix: &str) -> String {
    json::word_of(name, prefix).replace('_', " ")
}

pub(super) fn phase(deployment: &v1::Deployment) -> String {
    word(deployment.phase().as_str_name(), "DEPLOYMENT_PHASE_")
}

pub(super) fn node_phase(node: &v1::DeploymentNode) -> String {
    word(node.phase().as_str_name(), "NODE_PHASE_")
}

/// The end of an id, which may be typed instead of the whole.
pub(super) fn short(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// A deployment's own line.
pub(super) fn head(deployment: &v1::Deployment) -> String {
    let target = deployment.target.clone().unwrap_or_default();
    let image = deployment.image.clone().unwrap_or_default().reference;
    let image = if image.is_empty() { "its parked container".to_owned() } else { image };
    let (id, phase) = (short(&deployment.deployment_id), phase(deployment));
    let node = if target.node_id == 0 { String::new() } else { format!(" node {}", target.node_id) };
    let why = if deployment.reason.is_empty() { String::new() } else { format!(": {}", deployment.reason) };
    format!("{id} {}/{}{node} to {image}: {phase}{why}", target.env, target.group)
}

/// A node's line: what it does, or why it waits, or how it ended.
pub(super) fn node(node: &v1::DeploymentNode) -> String {
    let mut line = format!("node {} {}: {}", node.node_id, node.container, node_phase(node));
    if let Some(progress) = &node.progress {
        let undoing = if progress.is_undoing { "undoing " } else { "" };
        line.push_str(&format!(", {undoing}{}", progress.step));
    }
    if !node.waits_for.is_empty() {
        line.push_str(&format!(" ({})", node.waits_for));
    }
    if let Some(report) = &node.report {
        if let Some(ms) = report.downtime_ms {
            line.push_str(&format!(", down for {}.{} s", ms / 1000, ms % 1000 / 100));
        }
        let why = why(report);
        if !why.is_empty() {
            line.push_str(&format!(": {why}"));
        }
    }
    line
}

/// Why a redeploy did not end well; empty if it did.
pub(super) fn why(report: &v1::Report) -> String {
    let failure = report.failure.as_ref().map(|failure| failure.reason.clone());
    failure.unwrap_or_else(|| report.refusals.join("; "))
}

/// How it ended, and what makes sense next.
pub(super) fn summary(deployment: &v1::Deployment) -> String {
    let count = |phases: &[v1::NodePhase]| {
        deployment.nodes.iter().filter(|node| phases.contains(&node.phase())).count()
    };
    let id = short(&deployment.deployment_id);
    let untouched = count(&[v1::NodePhase::Waiting]);
    let (done, back) = (count(&[v1::NodePhase::Done]), count(&[v1::NodePhase::Reverted]));
    let failed = count(&[v1::NodePhase::Failed, v1::NodePhase::Stuck]);
    let unknown = match count(&[v1::NodePhase::Unknown]) {
        0 => String::new(),
        unknown => format!(", {unknown} unknown"),
    };
    let retry = if failed > 0 { format!("retry-failed {id}, ") } else { String::new() };
    let next = match deployment.phase() {
        v1::DeploymentPhase::Halted => {
            format!("; next: redeployctl {retry}resume {id}, rollback {id} or cancel {id}")
        }
        v1::DeploymentPhase::Done => format!("; to take it back: redeployctl rollback {id}"),
        v1::DeploymentPhase::Unspecified
        | v1::DeploymentPhase::Queued
        | v1::DeploymentPhase::Preflight
        | v1::DeploymentPhase::Running
        | v1::DeploymentPhase::RollingBack
        | v1::DeploymentPhase::Refused
        | v1::DeploymentPhase::RolledBack
        | v1::DeploymentPhase::Cancelled => String::new(),
    };
    let phase = phase(deployment);
    format!(
        "{phase}: {done} done, {failed} failed{unknown}, {back} brought back, {untouched} untouched{next}"
    )
}

pub(super) fn whole(deployment: &v1::Deployment) {
    say(&head(deployment));
    deployment.nodes.iter().for_each(|part| say(&format!("  {}", node(part))));
}

pub(super) fn deployments(list: &[v1::Deployment]) {
    let row = |deployment: &v1::Deployment| {
        let done = format!("{}/{}", deployment.nodes_done, deployment.nodes_total);
        say(&format!("{}  ({done} done, by {})", head(deployment), deployment.created_by));
    };
    list.iter().for_each(row);
}

/// Columns as wide as what stands in them.
pub(super) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        say(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_agent_steers_the_terminal() {
        let node_part = v1::DeploymentNode {
            node_id: 1,
            container: "web\u{1b}[2J".to_owned(),
            phase: v1::NodePhase::Waiting.into(),
            waits_for: "node 2 is\nat work".to_owned(),
            ..v1::DeploymentNode::default()
        };
        assert_eq!(tame(&node(&node_part)), "node 1 web [2J: waiting (node 2 is at work)");
    }

    #[test]
    fn a_halted_deployment_says_what_can_be_done() {
        let of = |phase: v1::NodePhase| v1::DeploymentNode { phase: phase.into(), ..Default::default() };
        let deployment = v1::Deployment {
            deployment_id: "0193a1b2-7c00-7000-8000-0123456789ab".to_owned(),
            phase: v1::DeploymentPhase::Halted.into(),
            nodes: vec![of(v1::NodePhase::Failed), of(v1::NodePhase::Waiting)],
            ..v1::Deployment::default()
        };
        assert_eq!(
            summary(&deployment),
            "halted: 0 done, 1 failed, 0 brought back, 1 untouched; next: redeployctl retry-failed 456789ab, \
             resume 456789ab, rollback 456789ab or cancel 456789ab"
        );
    }
}
