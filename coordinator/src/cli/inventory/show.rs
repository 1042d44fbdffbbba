//! The inventory as people read it, or as JSON lines.

use prost::{Message, Name};
use redeploy_proto::v1;

use crate::cli::args::Output;
use crate::cli::json;
use crate::cli::text::{facts, say, short, table, why, word};
use crate::cli::units::{moment, size, took};

/// A table with a head, or a line for each thing.
fn list<T: Message + Name>(things: &[T], output: Output, head: &[&str], row: fn(&T) -> Vec<String>) {
    if output == Output::Json {
        return things.iter().for_each(json::line);
    }
    let head = head.iter().map(|name| (*name).to_owned()).collect();
    table(&std::iter::once(head).chain(things.iter().map(row)).collect::<Vec<_>>());
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
}

pub(super) fn environments(environments: &[v1::Environment], output: Output) {
    list(environments, output, &["ENVIRONMENT", "GROUPS", "NODES", "RUNNING"], |env| {
        let sum = |of: fn(&v1::Group) -> u32| env.groups.iter().map(of).sum::<u32>().to_string();
        let names: Vec<&str> = env.groups.iter().map(|group| group.name.as_str()).collect();
        vec![env.name.clone(), names.join(","), sum(|group| group.nodes), sum(|group| group.nodes_running)]
    });
}

pub(super) fn environment_facts(environment: &v1::Environment, output: Output) {
    match output {
        Output::Json => json::line(environment),
        Output::Table => groups(&environment.groups, output),
    }
}

pub(super) fn groups(groups: &[v1::Group], output: Output) {
    list(groups, output, &["GROUP", "NODES", "RUNNING", "IMAGES", "DEPLOYMENT"], |group| {
        vec![
            format!("{}/{}", group.env, group.name),
            group.nodes.to_string(),
            group.nodes_running.to_string(),
            group.images.join(","),
            short(&group.open_deployment_id).to_owned(),
        ]
    });
}

pub(super) fn group_facts(group: &v1::Group, members: &[v1::Node], output: Output) {
    if output == Output::Json {
        return json::line_with(group, "members", json::list(members));
    }
    facts(&[
        ("group", format!("{}/{}", group.env, group.name)),
        ("nodes", format!("{}, {} running", group.nodes, group.nodes_running)),
        ("images", group.images.join(", ")),
        ("deployment", or(short(&group.open_deployment_id), "none is open")),
    ]);
    nodes(members, output);
}

pub(super) fn nodes(nodes: &[v1::Node], output: Output) {
    let head = ["NODE", "GROUP", "CONTAINER", "HOST", "STATE", "IMAGE"];
    list(nodes, output, &head, |node| {
        let container = node.container.clone().unwrap_or_default();
        vec![
            node.node_id.to_string(),
            format!("{}/{}", node.env, node.group),
            container.name.clone(),
            or(&node.host_name, &node.host_id),
            state(node, &container),
            container.image,
        ]
    });
}

fn state(node: &v1::Node, container: &v1::ContainerFacts) -> String {
    if !node.is_present {
        return "not there".to_owned();
    }
    let state = word(container.state().as_str_name(), "CONTAINER_STATE_");
    match container.health() {
        v1::Health::Unspecified | v1::Health::None => state,
        v1::Health::Starting | v1::Health::Healthy | v1::Health::Unhealthy => {
            format!("{state}, {}", word(container.health().as_str_name(), "HEALTH_"))
        }
    }
}

pub(super) fn node_facts(node: &v1::Node, output: Output) {
    if output == Output::Json {
        return json::line(node);
    }
    let container = node.container.clone().unwrap_or_default();
    let adopted = if node.is_adopted { " (adopted)" } else { "" };
    let limit = |text: String, is_some: bool| if is_some { text } else { "no limit".to_owned() };
    facts(&[
        ("node", node.node_id.to_string()),
        ("group", format!("{}/{}{adopted}", node.env, node.group)),
        ("host", format!("{} {}", node.host_id, node.host_name)),
        ("container", format!("{} {}", container.name, container.container_id)),
        ("image", container.image.clone()),
        ("digest", container.digest.clone()),
        ("state", state(node, &container)),
        ("since", moment(container.since_ms)),
        ("seen", moment(node.seen_at_ms)),
        (
            "cpu",
            limit(
                format!("{}.{:03}", container.cpu_milli / 1000, container.cpu_milli % 1000),
                container.cpu_milli > 0,
            ),
        ),
        ("memory", limit(size(container.memory_bytes), container.memory_bytes > 0)),
        ("revert", if container.can_revert { "possible" } else { "nothing is parked" }.to_owned()),
        ("last redeploy", node.last_redeploy.as_ref().map(last_redeploy).unwrap_or_default()),
    ]);
}

/// `redeploy from web:1 to web:2, done, down for 0.8 s, ended 2026-01-31T12:00:01Z (456789ab, by a command on its host)`
fn last_redeploy(report: &v1::Report) -> String {
    let kind = word(report.kind().as_str_name(), "REDEPLOY_KIND_");
    let verdict = word(report.verdict().as_str_name(), "VERDICT_");
    let mut parts = vec![format!("{kind} from {} to {}", report.from_image, report.to_image), verdict];
    parts.extend(report.downtime_ms.map(|ms| format!("down for {}", took(ms))));
    parts.push(format!("ended {}", moment(report.ended_at_ms)));
    parts.push(why(report));
    parts.retain(|part| !part.is_empty());
    let local = if report.is_local { ", by a command on its host" } else { "" };
    format!("{} ({}{local})", parts.join(", "), short(&report.redeploy_id))
}

pub(super) fn hosts(hosts: &[v1::Host], output: Output) {
    let head = ["HOST", "NAME", "STATE", "NODES", "ENGINE", "ADDRESS"];
    list(hosts, output, &head, |host| {
        let facts = host.facts.clone().unwrap_or_default();
        vec![
            host.host_id.clone(),
            facts.host_name,
            word(host.state().as_str_name(), "HOST_STATE_"),
            host.nodes.to_string(),
            facts.engine_version,
            host.address.clone(),
        ]
    });
}

pub(super) fn host_facts(host: &v1::Host, members: &[v1::Node], output: Output) {
    if output == Output::Json {
        return json::line_with(host, "members", json::list(members));
    }
    let known = host.facts.clone().unwrap_or_default();
    let free = |free: u64, total: u64| format!("{} free of {}", size(free), size(total));
    facts(&[
        ("host", host.host_id.clone()),
        ("name", known.host_name.clone()),
        ("state", word(host.state().as_str_name(), "HOST_STATE_")),
        ("address", host.address.clone()),
        ("joined", moment(host.joined_at_ms)),
        ("seen", moment(host.seen_at_ms)),
        ("certificate", format!("until {}", moment(host.certificate_not_after_ms))),
        ("agent", known.agent_version.clone()),
        ("engine", format!("{} ({})", known.engine_version, known.storage_driver)),
        ("system", format!("{} {} {}", known.os, known.architecture, known.kernel)),
        (
            "cpu",
            format!(
                "{}, {}.{:03} free",
                known.cpus,
                known.cpu_free_milli / 1000,
                known.cpu_free_milli % 1000
            ),
        ),
        ("memory", free(known.memory_available_bytes, known.memory_total_bytes)),
        (
            "data directory",
            format!("{} ({})", known.data_dir, free(known.data_dir_free_bytes, known.data_dir_total_bytes)),
        ),
    ]);
    if members.is_empty() {
        return say("no nodes");
    }
    nodes(members, output);
}

pub(super) fn join_tokens(tokens: &[v1::JoinToken], output: Output) {
    let head = ["ID", "MADE", "BY", "EXPIRES", "USED BY", "COMMENT", ""];
    list(tokens, output, &head, |token| {
        vec![
            token.token_id.clone(),
            moment(token.created_at_ms),
            token.created_by.clone(),
            moment(token.expires_at_ms),
            or(&token.used_by_host_id, "nobody"),
            token.comment.clone(),
            if token.is_revoked { "revoked".to_owned() } else { String::new() },
        ]
    });
}
