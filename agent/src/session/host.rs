//! What the coordinator is told of this host: facts, and its containers.
//!
//! Flows in: the engine, `/proc`, the history. Flows out: wire messages. What cannot be found out is left at zero. Must
//! never change anything.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redeploy_proto::v1::{ContainerFacts, ContainerState, Health, HostFacts, Inventory};
use serde_json::Value;

use crate::docker::{Container, Engine, EngineError, EngineInfo, RunState};
use crate::explain::explain;
use crate::history;
use crate::paths::DataDir;
use crate::plan::{Names, Plan, is_stand_in};

/// Labels that make a container a node.
const ENV: &str = "io.redeploy.env";
const GROUP: &str = "io.redeploy.group";
const NODE: &str = "io.redeploy.node";

/// On the containers a saga makes.
const MADE_BY: &str = "io.redeploy.id";

/// The machine's own name.
pub(super) fn name() -> String {
    line("/proc/sys/kernel/hostname")
}

/// Facts of this host.
pub(super) fn facts(info: &EngineInfo, data: &DataDir) -> HostFacts {
    let disk = rustix::fs::statvfs(data.root()).ok();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = text("/proc/meminfo");
    HostFacts {
        host_name: name(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_version: info.version.clone(),
        engine_api: info.api.to_string(),
        os: info.os.clone(),
        architecture: info.architecture.clone(),
        kernel: line("/proc/sys/kernel/osrelease"),
        storage_driver: info.storage_driver.clone(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        cpu_free_milli: cpu_free_milli(cpus, &line("/proc/loadavg")),
        memory_total_bytes: memory_bytes(&memory, "MemTotal:"),
        memory_available_bytes: memory_bytes(&memory, "MemAvailable:"),
        data_dir_total_bytes: disk.as_ref().map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize)),
        data_dir_free_bytes: disk.as_ref().map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        data_dir: data.root().display().to_string(),
    }
}

/// The same, if the engine answers in time.
pub(super) async fn facts_within(
    engine: &dyn Engine,
    data: &DataDir,
    patience: Duration,
) -> Option<HostFacts> {
    let info = in_time(patience, engine.info()).await?;
    Some(facts(&info, data))
}

/// The containers of this host, if the engine answers in time.
pub(super) async fn inventory_within(
    engine: &dyn Engine,
    data: &DataDir,
    max: u32,
    patience: Duration,
) -> Option<Inventory> {
    in_time(patience, inventory(engine, data, max)).await
}

/// The session must go on, whatever the engine does: its own limits are made for work, and far too long.
async fn in_time<T>(patience: Duration, asking: impl Future<Output = Result<T, EngineError>>) -> Option<T> {
    match tokio::time::timeout(patience, asking).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(error = explain(&error), "the engine does not answer");
            None
        }
        Err(_) => {
            tracing::warn!(?patience, "the engine does not answer in time");
            None
        }
    }
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn line(path: &str) -> String {
    text(path).trim().to_owned()
}

fn memory_bytes(memory: &str, key: &str) -> u64 {
    let line = memory.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// What the load of the last minute leaves.
fn cpu_free_milli(cpus: usize, loadavg: &str) -> u32 {
    let all = u32::try_from(cpus).unwrap_or(0).saturating_mul(1000);
    let (whole, hundredths) =
        loadavg.split(' ').next().and_then(|load| load.split_once('.')).unwrap_or(("0", "0"));
    let used =
        whole.parse::<u32>().unwrap_or(0).saturating_mul(1000) + hundredths.parse::<u32>().unwrap_or(0) * 10;
    all.saturating_sub(used)
}

/// The containers of this host but parked and half-made ones; labelled ones first, `max` at most.
pub(super) async fn inventory(
    engine: &dyn Engine,
    data: &DataDir,
    max: u32,
) -> Result<Inventory, EngineError> {
    let containers = engine.containers().await?;
    let past = {
        let data = data.clone();
        tokio::task::spawn_blocking(move || Past::of(&data)).await.unwrap_or_default()
    };
    let mut facts = Vec::new();
    for container in containers.iter().filter(|container| past.is_serving(container)) {
        let image = engine.image(container.image_id()).await?;
        let digest = image.and_then(|image| Some(image.repo_digests().next()?.split_once('@')?.1.to_owned()));
        facts.push(container_facts(container, digest.unwrap_or_default(), &past));
    }
    facts.sort_by(|a, b| (a.env.is_empty(), &a.name).cmp(&(b.env.is_empty(), &b.name)));
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let is_cut_short = facts.len() > max;
    facts.truncate(max);
    Ok(Inventory { containers: facts, is_cut_short })
}

/// What the history says of containers.
#[derive(Default)]
struct Past {
    /// Ids and names of parked containers.
    parked: Vec<(String, String)>,
    /// Names under which containers are set aside, also in a saga that has not committed and may never.
    aside: HashSet<String>,
    /// By container name: the newest ended redeploy.
    last: HashMap<String, String>,
    /// By container name: the container its newest committed redeploy parked.
    way_back: HashMap<String, String>,
}

impl Past {
    fn of(data: &DataDir) -> Self {
        let mut past = Self { parked: history::parked(data), ..Self::default() };
        for entry in history::load(data).into_iter().flatten() {
            let plans = entry.plan.dependents.iter().chain([&entry.plan]);
            let dead = |plan: &Plan| Names::new(&plan.node, plan.id).dead();
            past.aside.extend(plans.flat_map(|plan| [plan.outgoing.parked_name.clone(), dead(plan)]));
            if !entry.has_ended() {
                continue;
            }
            let node = entry.plan.node.clone();
            past.last.entry(node.clone()).or_insert_with(|| entry.plan.id.to_string());
            if entry.is_committed() {
                past.way_back.entry(node).or_insert_with(|| entry.plan.outgoing.id.clone());
            }
        }
        past
    }

    fn is_serving(&self, container: &Container) -> bool {
        let is_parked = self.aside.contains(container.name()) || is_stand_in(container);
        let is_half_made = container.label(MADE_BY).is_some() && container.name().contains(".new-");
        !is_parked && !is_half_made
    }

    fn can_revert(&self, name: &str) -> bool {
        self.way_back.get(name).is_some_and(|id| self.parked.iter().any(|(parked, _)| parked == id))
    }
}

fn container_facts(container: &Container, digest: String, past: &Past) -> ContainerFacts {
    let label = |name: &str| container.label(name).unwrap_or_default().to_owned();
    let host_config = container.raw().get("HostConfig");
    let number = |key: &str| host_config.and_then(|host| host.get(key)?.as_i64()).unwrap_or(0).max(0);
    ContainerFacts {
        container_id: container.id().to_owned(),
        name: container.name().to_owned(),
        env: label(ENV),
        group: label(GROUP),
        node: label(NODE),
        image: container.image_reference().to_owned(),
        image_id: container.image_id().to_owned(),
        digest,
        state: state(container.state()).into(),
        health: health(container).into(),
        since_ms: since_ms(container),
        cpu_milli: u32::try_from(number("NanoCpus") / 1_000_000).unwrap_or(u32::MAX),
        memory_bytes: u64::try_from(number("Memory")).unwrap_or(0),
        last_redeploy_id: past.last.get(container.name()).cloned().unwrap_or_default(),
        can_revert: past.can_revert(container.name()),
    }
}

fn state(state: RunState) -> ContainerState {
    match state {
        RunState::Created => ContainerState::Created,
        RunState::Running => ContainerState::Running,
        RunState::Paused => ContainerState::Paused,
        RunState::Restarting => ContainerState::Restarting,
        RunState::Exited | RunState::Removing => ContainerState::Exited,
        RunState::Dead => ContainerState::Dead,
    }
}

fn health(container: &Container) -> Health {
    match container.health() {
        None | Some("none") => Health::None,
        Some("starting") => Health::Starting,
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        Some(_) => Health::Unspecified,
    }
}

fn since_ms(container: &Container) -> i64 {
    let ended = || container.raw().pointer("/State/FinishedAt").and_then(Value::as_str);
    let at = if container.is_alive() { Some(container.started_at()) } else { ended() };
    let at = at.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.map_or(0, |at| at.as_millisecond().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::FakeEngine;

    #[tokio::test]
    async fn an_engine_that_does_not_answer_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, data) = (FakeEngine::new(dir.path()), DataDir::new(dir.path()));
        let long = Duration::from_secs(60);
        assert!(facts_within(&engine, &data, long).await.is_some());
        assert!(inventory_within(&engine, &data, 10, long).await.is_some());
        engine.mute();
        let short = Duration::from_millis(10);
        assert!(facts_within(&engine, &data, short).await.is_none());
        assert!(inventory_within(&engine, &data, 10, short).await.is_none());
    }
}
