//! What people read: one line per thing. Texts of agents are tamed: they may hold what steers a terminal.

use std::io::Write;

use redeploy_proto::v1;

use super::units::{moment, size, took};
use crate::json;

/// A line on stdout. Whoever closed the pipe has read enough.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", tame(line));
}

/// Without anything that steers a terminal, or changes the order in which letters are shown.
pub(super) fn tame(text: &str) -> String {
    let is_bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect()
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

/// What a deployment brings its nodes to.
fn goal(deployment: &v1::Deployment) -> String {
    let image = deployment.image.clone().unwrap_or_default().reference;
    if image.is_empty() { "its parked container".to_owned() } else { image }
}

/// A deployment's own line.
pub(super) fn head(deployment: &v1::Deployment) -> String {
    let (id, phase, place) = (short(&deployment.deployment_id), phase(deployment), place(deployment));
    let why = if deployment.reason.is_empty() { String::new() } else { format!(": {}", deployment.reason) };
    format!("{id} {place} to {}: {phase}{why}", goal(deployment))
}

/// Group or node.
pub(super) fn place(deployment: &v1::Deployment) -> String {
    let target = deployment.target.clone().unwrap_or_default();
    let node = if target.node_id == 0 { String::new() } else { format!(" node {}", target.node_id) };
    format!("{}/{}{node}", target.env, target.group)
}

/// A node's line: what it does, or why it waits, or how it ended.
pub(super) fn node(node: &v1::DeploymentNode) -> String {
    let detail = detail(node, None);
    let line = format!("node {} {}: {}", node.node_id, node.container, node_phase(node));
    if detail.is_empty() { line } else { format!("{line}, {detail}") }
}

/// What is to be said of a node besides its phase. `speed` of what it works on, if it is known.
pub(super) fn detail(node: &v1::DeploymentNode, speed: Option<&str>) -> String {
    let mut parts = Vec::new();
    parts.extend(node.progress.as_ref().map(|progress| step(progress, speed)));
    if !node.waits_for.is_empty() {
        parts.push(node.waits_for.clone());
    }
    if let Some(report) = &node.report {
        parts.extend(report.downtime_ms.map(|ms| format!("down for {}", took(ms))));
        parts.push(why(report));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(": ")
}

/// `undoing start`, `capture volume data 12 MiB of 40 MiB, 35 MiB/s`.
fn step(progress: &v1::Progress, speed: Option<&str>) -> String {
    let undoing = if progress.is_undoing { "undoing " } else { "" };
    let mut text = format!("{undoing}{}", progress.step);
    if !progress.what.is_empty() {
        text.push_str(&format!(" {}", progress.what));
    }
    if progress.done_bytes > 0 {
        text.push_str(&format!(" {}", size(progress.done_bytes)));
        if progress.total_bytes > 0 {
            text.push_str(&format!(" of {}", size(progress.total_bytes)));
        }
        text.push_str(&speed.map(|speed| format!(", {speed}")).unwrap_or_default());
    }
    text
}

/// Why a redeploy did not end well; empty if it did.
pub(super) fn why(report: &v1::Report) -> String {
    let failure = report.failure.as_ref().map(|failure| failure.reason.clone());
    failure.unwrap_or_else(|| report.refusals.join("; "))
}

pub(super) fn whole(deployment: &v1::Deployment) {
    say(&head(deployment));
    let told = [
        ("ordered", format!("{} by {}", moment(deployment.created_at_ms), deployment.created_by)),
        ("started", moment(deployment.started_at_ms)),
        ("ended", moment(deployment.ended_at_ms)),
        ("why", deployment.comment.clone()),
    ];
    told.iter()
        .filter(|(_, text)| !text.is_empty())
        .for_each(|(name, text)| say(&format!("  {name} {text}")));
    deployment.nodes.iter().for_each(|part| say(&format!("  {}", node(part))));
}

pub(super) fn deployments(list: &[v1::Deployment]) {
    let head = ["ID", "ORDERED", "GROUP", "TO", "PHASE", "DONE", "BY", ""].map(str::to_owned).to_vec();
    let row = |deployment: &v1::Deployment| {
        let why = if deployment.reason.is_empty() { &deployment.comment } else { &deployment.reason };
        vec![
            short(&deployment.deployment_id).to_owned(),
            moment(deployment.created_at_ms),
            place(deployment),
            goal(deployment),
            phase(deployment),
            format!("{}/{}", deployment.nodes_done, deployment.nodes_total),
            deployment.created_by.clone(),
            why.clone(),
        ]
    };
    table(&std::iter::once(head).chain(list.iter().map(row)).collect::<Vec<_>>());
}

/// Columns as wide as what stands in them.
pub(super) fn table(rows: &[Vec<String>]) {
    aligned(rows).iter().for_each(|line| say(line));
}

/// The lines of a table.
pub(super) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Names and what stands for them, one below the other; without those that have nothing.
pub(super) fn facts(facts: &[(&str, String)]) {
    let told = facts.iter().filter(|(_, value)| !value.is_empty());
    table(&told.map(|(name, value)| vec![format!("{name}:"), value.clone()]).collect::<Vec<_>>());
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
            waits_for: "node 2 is\nat work\u{202e}".to_owned(),
            ..v1::DeploymentNode::default()
        };
        assert_eq!(tame(&node(&node_part)), "node 1 web [2J: waiting, node 2 is at work ");
    }

    #[test]
    fn a_node_tells_its_step_its_bytes_and_its_speed() {
        let progress = v1::Progress {
            step: "capture".into(),
            what: "volume data".into(),
            done_bytes: 12 << 20,
            total_bytes: 40 << 20,
            ..v1::Progress::default()
        };
        let mut part = v1::DeploymentNode { progress: Some(progress), ..v1::DeploymentNode::default() };
        let text = detail(&part, Some("35 MiB/s"));
        assert_eq!(text, "capture volume data 12 MiB of 40 MiB, 35 MiB/s");
        let undone = v1::Progress { step: "start".into(), is_undoing: true, ..v1::Progress::default() };
        part.progress = Some(undone);
        assert_eq!(detail(&part, None), "undoing start");
        let failure = v1::Failure { reason: "verify failed".into(), ..v1::Failure::default() };
        part.progress = None;
        part.report =
            Some(v1::Report { downtime_ms: Some(800), failure: Some(failure), ..v1::Report::default() });
        assert_eq!(detail(&part, None), "down for 0.8 s: verify failed");
    }
}
