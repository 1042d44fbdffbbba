//! Is what the coordinator tells of a deployment what is there?
//!
//! Flows in: the last state that was told. Flows out: nothing, or the first difference. For each node: the engine's own
//! word on the container, an answer of the service, the user's file in it, the journals on its host. And of all of
//! them: none was lost, none is there twice.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::host::{KEPT, NODE};
use super::{Host, Hosts, Images};
use crate::engine::text_at;
use crate::wait;

pub(super) fn check(hosts: &Hosts<'_>, told: &Value, images: &Images) -> Result<()> {
    nodes_are_all_there(hosts)?;
    let parts = told["nodes"].as_array().context("nothing was told of nodes")?;
    // At the same time: each asks an engine of its own.
    std::thread::scope(|scope| {
        let looks: Vec<_> =
            parts.iter().map(|part| scope.spawn(|| look(hosts, part, told, images))).collect();
        looks
            .into_iter()
            .try_for_each(|look| look.join().unwrap_or_else(|_| anyhow::bail!("a look panicked")))
    })
}

fn look(hosts: &Hosts<'_>, part: &Value, told: &Value, images: &Images) -> Result<()> {
    let host = hosts.hosts.iter().find(|host| part["node_id"] == host.node);
    let host = host.with_context(|| format!("a node of nobody: {part}"))?;
    node(host, part, told, images).with_context(|| {
        let containers = host.exec(&["docker", "ps", "--all"]).unwrap_or_default();
        format!("{}: {}\n{containers}", host.name, host.agent_log())
    })
}

/// With the ids they had from the start, on the hosts they were on.
fn nodes_are_all_there(hosts: &Hosts<'_>) -> Result<()> {
    wait::until(wait::PATIENCE, "every node to be there", || {
        let nodes = hosts.nodes()?;
        ensure!(nodes.len() == hosts.hosts.len(), "{nodes:?}");
        for (node, host) in nodes.iter().zip(&hosts.hosts) {
            let is_it = node["node_id"] == host.node && node["host_id"] == host.id.as_str();
            ensure!(is_it && node["is_present"] == true, "{node} is not the one of {}", host.name);
        }
        Ok(true)
    })
}

fn node(host: &Host, part: &Value, told: &Value, images: &Images) -> Result<()> {
    let image = told["image"].as_str().context("no image was told")?;
    let found = host.inspect(NODE)?;
    // An engine with the containerd store has a digest for every image.
    let on = text_at(&found, "/Config/Image")?;
    let on = on.split_once('@').map_or(on.as_str(), |(image, _)| image);
    ensure!(found["State"]["Running"] == true, "its container does not run: {}", found["State"]);
    let phase = part["phase"].as_str().unwrap_or_default();
    match phase {
        "done" => ensure!(on == image, "done, and on {on}"),
        "failed" | "waiting" | "reverted" => ensure!(on != image, "{phase}, and on {on}"),
        other => anyhow::bail!("{other} is no end"),
    }
    let version = if on == images.v1 { "v1" } else { "v2" };
    host.wait_until_it_serves(version)?;
    let kept = host.http().text_of(KEPT)?;
    ensure!(kept.as_deref() == Some(host.name.as_str()), "the user's file holds {kept:?}");
    containers(host)?;
    journals(host, part, phase)
}

/// The node, at most one parked one, and nothing half made.
fn containers(host: &Host) -> Result<()> {
    let list = host.exec(&["docker", "ps", "--all", "--format", "{{.Names}} {{.State}}"])?;
    let parked = list.lines().filter(|line| line.starts_with("web.parked-") && !line.ends_with(" running"));
    let others = list.lines().filter(|line| *line != "web running").count();
    ensure!(parked.count() == others && others <= 1, "containers: {list}");
    Ok(())
}

/// Nothing was done twice, nothing is open, and the last one ended as was told.
fn journals(host: &Host, part: &Value, phase: &str) -> Result<()> {
    let courses = host.courses()?;
    courses.iter().try_for_each(|course| course.nothing_twice())?;
    let open = courses.iter().find(|course| !course.is_closed());
    ensure!(open.is_none(), "{open:?} is open");
    let told = part["redeploy_id"].as_str().unwrap_or_default();
    let course = courses.iter().find(|course| course.id == told);
    match phase {
        "done" => ensure!(course.is_some_and(|course| course.is_committed()), "{told} was not committed"),
        "failed" => ensure!(course.is_none_or(|course| !course.is_committed()), "{told} was committed"),
        _ => {}
    }
    Ok(())
}
