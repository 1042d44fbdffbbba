//! The recovery sheet: the exact commands and paths to finish a redeploy by hand when its undo failed. Pure.

use crate::paths::RedeployDir;
use crate::plan::{Incoming, MADE_ANEW, MADE_LABEL, Plan, Source};

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
    let mut lines = vec![
        format!("Recovery sheet: {} of container {} ({})", kind(plan), plan.node, plan.id),
        String::new(),
        "First try:  redeploy-agent recover".to_owned(),
        String::new(),
        "By hand, in this order; a command whose work is done already may fail, go on then.".to_owned(),
        String::new(),
        match plan.dependents.is_empty() {
            true => "1. Take the new container out of the way:".to_owned(),
            false => "1. Take the new containers out of the way, those that lean on it first:".to_owned(),
        },
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
    lines.extend(bring_back(plan, dir));
    if !plan.dependents.is_empty() {
        lines.push(String::new());
        lines.push("4. Then those that lean on it, which find it again by its id:".to_owned());
        let dependents = plan.dependents.iter().enumerate();
        lines.extend(dependents.flat_map(|(index, plan)| bring_back(plan, &dir.dependent(index))));
    }
    if let Some(balancer) = plan.balancer.as_ref().filter(|balancer| balancer.admitted) {
        lines.push(String::new());
        lines.push(
            "Last, when it serves: back into the balancer (see its address first: show servers state)"
                .to_owned(),
        );
        lines.push(format!("   {}", balancer.by_hand()));
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

/// The old container gets its name, its restart policy and, if it ran, its life back.
fn bring_back(plan: &Plan, dir: &RedeployDir) -> Vec<String> {
    let old = &plan.outgoing.id;
    if let Some(stand_in) = plan.outgoing.stand_in.as_ref().filter(|_| plan.outgoing.removes_itself) {
        let (stand_in, node) = (quoted(&stand_in.temporary_name), quoted(&plan.node));
        return vec![
            format!(
                "   It removes itself when it stops (--rm). If it is gone, {stand_in} has its root; save that first:"
            ),
            format!("   docker commit {stand_in} redeploy-rescue"),
            format!(
                "   then run {node} again from image redeploy-rescue, with its own command, settings and volumes"
            ),
        ];
    }
    let mut lines = vec![
        format!("   docker rename {old} {}", quoted(&plan.node)),
        format!("   docker update --restart {} {old}", restart_policy(plan)),
    ];
    if plan.outgoing.alive {
        lines.push(format!("   docker start {old}"));
    }
    lines.extend(if_gone(plan, dir));
    lines
}

/// What to take instead if somebody has removed the old container, or the one it leans on.
fn if_gone(plan: &Plan, dir: &RedeployDir) -> Vec<String> {
    let Some(anew) = &plan.outgoing.anew else { return Vec::new() };
    let mut lines = vec![
        format!(
            "   If that id is gone, or cannot start because the one it leans on is: {}",
            anew.temporary_name
        ),
        format!("   stands for it, or {} if that one is in this list:", quoted(&plan.node)),
        format!("   docker ps -a --no-trunc --filter label={MADE_LABEL}={MADE_ANEW}"),
    ];
    let of_root = plan.archives.iter().filter(|archive| matches!(archive.source, Source::Root { .. }));
    let paths = of_root.map(|archive| dir.archives().join(format!("{}.tar.gz", archive.stem)));
    let paths: Vec<String> = paths.map(|path| format!("   {}", quoted(&path.to_string_lossy()))).collect();
    if !paths.is_empty() {
        lines.push("   What was captured of its root (.part while it was not finished):".to_owned());
        lines.extend(paths);
    }
    lines
}

fn set_aside(plan: &Plan) -> Vec<String> {
    let crew = || plan.dependents.iter().chain([plan]);
    let mut lines = Vec::new();
    if crew().any(|plan| matches!(plan.incoming, Incoming::New(_))) {
        let label = crate::plan::REDEPLOY_LABEL;
        lines.push(format!("docker ps -a --filter label={label}={}   # what was made", plan.id));
    }
    lines.extend(crew().flat_map(set_one_aside));
    lines
}

fn set_one_aside(plan: &Plan) -> Vec<String> {
    match &plan.incoming {
        Incoming::New(new) => vec![
            format!("docker stop ID   # that of {} in the list above", plan.node),
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

#[cfg(test)]
mod tests {
    use super::*;
    use redeploy_proto::RedeployId;

    fn plan() -> Plan {
        serde_json::from_str(include_str!("cli/samples/plan.json")).unwrap()
    }

    fn text(plan: &Plan) -> String {
        let id: RedeployId = plan.id;
        sheet(plan, &crate::paths::DataDir::new("/var/lib/redeploy").redeploy(id))
    }

    #[test]
    fn dependents_are_set_aside_first_and_brought_back_last() {
        let mut plan = plan();
        let mut side = plan.clone();
        side.node = "side car".to_owned();
        side.outgoing.id = "51de".to_owned();
        plan.dependents = vec![side];
        let text = text(&plan);
        let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line:?} is missing in:\n{text}"));
        let set_aside = [at("that of side car in the list"), at("that of web in the list")];
        let back = [
            at(&format!("docker start {}", plan.outgoing.id)),
            at("docker rename 51de 'side car'"),
            at("docker start 51de"),
        ];
        assert!([&set_aside[..], &back[..]].concat().is_sorted(), "{text}");
    }

    #[test]
    fn of_one_that_removes_itself_the_stand_in_is_named() {
        let mut plan = plan();
        plan.outgoing.removes_itself = true;
        plan.outgoing.stand_in = serde_json::from_value(serde_json::json!({
            "temporary_name": "web.stand-in-1", "body": {}, "selection": { "include": [], "exclude": [] },
            "has_root": true,
        }))
        .unwrap();
        let text = text(&plan);
        assert!(text.contains("docker commit web.stand-in-1 ") && !text.contains("docker start"), "{text}");
    }

    #[test]
    fn without_dependents_nothing_is_said_of_them() {
        let text = text(&plan());
        assert!(!text.contains("lean on") && text.contains("3. Bring the old container back:"), "{text}");
    }

    #[test]
    fn what_stands_for_a_removed_one_is_named_with_the_archives_of_its_root() {
        let mut plan = plan();
        assert!(!text(&plan).contains("is gone"));
        let Incoming::New(new) = &plan.incoming else { panic!("the sample is a redeploy") };
        let anew = crate::plan::Anew {
            temporary_name: "web.anew-456789ab".to_owned(),
            recreation: new.recreation.clone(),
        };
        plan.outgoing.anew = Some(Box::new(anew));
        let of = |stem: &str, source| {
            serde_json::json!({
                "stem": stem, "source": source, "selection": { "include": [], "exclude": [] },
            })
        };
        plan.archives = serde_json::from_value(serde_json::json!([
            of("paths", serde_json::json!({ "root": { "into": "replace" } })),
            of("volume-0-data", serde_json::json!({ "volume": { "name": "data", "shared": true } })),
        ]))
        .unwrap();
        let mut side = plan.clone();
        side.node = "side".to_owned();
        plan.dependents = vec![side];
        let text = text(&plan);
        assert_eq!(text.matches("is: web.anew-456789ab").count(), 2, "{text}");
        assert_eq!(text.matches("/paths.tar.gz").count(), 2, "{text}");
        let after_it = text.split("What was captured of its root").nth(1).unwrap();
        assert!(!after_it.lines().nth(2).unwrap().contains("volume-0"), "{text}");
    }
}
