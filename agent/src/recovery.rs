//! The recovery sheet: the exact commands and paths to finish a redeploy by hand when its undo failed. Pure.

use crate::paths::RedeployDir;
use crate::plan::{Incoming, Plan, Source};

/// A name as a POSIX shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The sheet for one plan, whatever state it got stuck in: every command is safe when its work is done already.
#[must_use]
pub fn sheet(plan: &Plan, dir: &RedeployDir) -> String {
    let old = &plan.outgoing.id;
    let node = quoted(&plan.node);
    let mut lines = vec![
        format!("Recovery sheet: {} of container {} ({})", kind(plan), plan.node, plan.id),
        String::new(),
        "First try:  redeploy-agent recover".to_owned(),
        String::new(),
        "By hand, in this order; a command whose work is done already may fail, go on then.".to_owned(),
        String::new(),
        "1. Take the new container out of the way:".to_owned(),
    ];
    lines.extend(set_aside(plan).into_iter().map(|line| format!("   {line}")));
    let shared = plan.archives.iter().filter_map(|archive| match &archive.source {
        Source::Volume { name, shared: true } => Some((format!("volume {name}"), &archive.stem)),
        Source::Bind { path, shared: true } => Some((format!("host directory {path}"), &archive.stem)),
        Source::Root { .. } | Source::Volume { .. } | Source::Bind { .. } => None,
    });
    let shared: Vec<_> = shared.collect();
    if !shared.is_empty() {
        lines.push(String::new());
        lines.push(
            "2. Only if the new container ran and damaged data: what was captured before is in".to_owned(),
        );
        for (what, stem) in shared {
            let path = dir.archives().join(format!("{stem}.tar.gz"));
            lines.push(format!("   {}   ({what}; list it with: tar tzf)", quoted(&path.to_string_lossy())));
        }
    }
    lines.push(String::new());
    lines.push("3. Bring the old container back:".to_owned());
    lines.push(format!("   docker rename {old} {node}"));
    lines.push(format!("   docker update --restart {} {old}", restart_policy(plan)));
    if plan.outgoing.alive {
        lines.push(format!("   docker start {old}"));
    }
    lines.push(String::new());
    lines.push(format!("Journal: {}", dir.journal().display()));
    lines.push(String::new());
    lines.join("\n")
}

fn kind(plan: &Plan) -> &'static str {
    match plan.kind {
        crate::saga::SagaKind::Redeploy => "redeploy",
        crate::saga::SagaKind::Revert => "revert",
    }
}

fn set_aside(plan: &Plan) -> Vec<String> {
    match &plan.incoming {
        Incoming::New(new) => vec![
            format!(
                "docker ps -a --filter label={}={}   # the new container",
                crate::plan::REDEPLOY_LABEL,
                plan.id
            ),
            "docker stop ID   # its id from the line above".to_owned(),
            format!("docker rename ID {}", quoted(&new.temporary_name)),
        ],
        Incoming::Parked { id, parked_name, .. } => vec![
            format!("docker update --restart no {id}"),
            format!("docker stop {id}"),
            format!("docker rename {id} {}", quoted(parked_name)),
        ],
    }
}

/// As `docker update --restart` takes it.
fn restart_policy(plan: &Plan) -> String {
    let policy = &plan.outgoing.restart_policy;
    let name = policy["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no");
    match policy["MaximumRetryCount"].as_u64() {
        Some(count) if count > 0 && name == "on-failure" => format!("{name}:{count}"),
        _ => quoted(name),
    }
}
