//! Looks at everything a plan needs to know: the engine, the container, what it holds, what is free on the disks.
//!
//! Flows in: an engine and a container's name. Flows out: facts, for `plan` to decide on. Must never change
//! anything, and never decide: what speaks against a redeploy is a fact here and a refusal there.

mod injected;
mod inside;
mod ourselves;
mod over;
mod space;

use std::path::Path;
use std::sync::Arc;

use redeploy_proto::RedeployId;
use serde_json::Value;

pub use inside::{GivenUp, Inside};
pub use space::measure;

use crate::config::Config;
use crate::docker::{Change, Container, Engine, EngineError, EngineInfo, Image, MountKind};
use crate::history;
use crate::paths::DataDir;
use crate::recreate::NetworkRecord;

/// How often the engine is asked what changed in a container.
const DIFF_TRIES: u32 = 4;

/// Everything that was seen.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The engine.
    pub engine: EngineInfo,
    /// Every container of the host.
    pub containers: Vec<Container>,
    /// The one that is meant.
    pub container: Container,
    /// The image it was created from, if the engine still has it.
    pub old_image: Option<Image>,
    /// The networks it is on.
    pub networks: Vec<Value>,
    /// What the engine's own record of it says of its networks.
    pub network_record: NetworkRecord,
    /// What it keeps in its root, and what is odd about that.
    pub inside: Inside,
    /// Volumes whose data can be opened here, by name.
    pub open_volumes: Vec<String>,
    /// Volumes whose driver options mount something only while a container uses them.
    pub mounted_on_use: Vec<String>,
    /// Bind-mounted host paths that are directories and can be opened here.
    pub open_binds: Vec<String>,
    /// What differs from its image, or why the engine could not say.
    pub changes: Result<Vec<Change>, String>,
    /// A redeploy or revert of it that has not ended.
    pub unfinished: Option<RedeployId>,
    /// Is it parked by an earlier redeploy?
    pub is_parked: bool,
    /// Is it the container that this agent runs in?
    pub is_ourselves: bool,
}

/// The container cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// There is none of that name.
    #[error("there is no container {name:?} on this host: `docker ps -a` lists them")]
    NoSuchContainer {
        /// What was asked for.
        name: String,
    },
    /// The engine did not answer as needed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Looking into its root ended abnormally.
    #[error("looking into container {name} ended abnormally")]
    Panicked {
        /// The container.
        name: String,
    },
}

/// Looks at a container and all around it.
///
/// # Errors
/// [`ObserveError`]
pub async fn observe(
    engine: &Arc<dyn Engine>,
    config: &Config,
    data: &DataDir,
    name: &str,
    keep_volumes: bool,
) -> Result<Observed, ObserveError> {
    let info = engine.info().await?;
    let found = engine.container(name).await?;
    let container = found.ok_or_else(|| ObserveError::NoSuchContainer { name: name.to_owned() })?;
    let old_image = engine.image(container.image_id()).await?;
    let containers = engine.containers().await?;
    let changes = changes(engine.as_ref(), &container).await;
    let seen = inside::Seen {
        container: &container,
        containers: &containers,
        image: old_image.as_ref(),
        injected: injected::paths(&container, old_image.as_ref(), changes.as_deref().unwrap_or_default()),
    };
    let inside = inside::look(engine, seen, &config.preserve, keep_volumes).await?;
    let mounts = container.mounts();
    let mut open_volumes = Vec::new();
    let mut open_binds = Vec::new();
    for mount in &mounts {
        match &mount.kind {
            MountKind::Volume { name, .. } if engine.open_volume(name).await.is_ok() => {
                open_volumes.push(name.clone());
            }
            MountKind::Bind { source }
                if !overlaps(source, &info.root_dir, data) && engine.open_host_dir(source).await.is_ok() =>
            {
                open_binds.push(source.clone());
            }
            MountKind::Volume { .. } | MountKind::Bind { .. } | MountKind::Tmpfs | MountKind::Other(_) => {}
        }
    }
    Ok(Observed {
        networks: networks(engine.as_ref(), &container).await?,
        network_record: network_record(engine.as_ref(), &container).await?,
        containers,
        changes,
        unfinished: unfinished(data, container.name()),
        is_parked: crate::plan::is_stand_in(&container)
            || history::parked(data)
                .iter()
                .any(|(id, name)| id == container.id() && name == container.name()),
        is_ourselves: ourselves::is_us(container.id()),
        engine: info,
        old_image,
        inside,
        mounted_on_use: mounted_on_use(engine.as_ref(), &open_volumes).await?,
        open_volumes,
        open_binds,
        container,
    })
}

/// Asked more than once: drivers that compare two trees give up with an error when a name goes away under their eyes,
/// and a container that runs renames files all the time. Without an answer the plan only knows less.
async fn changes(engine: &dyn Engine, container: &Container) -> Result<Vec<Change>, String> {
    let mut last = engine.diff(container.id()).await;
    for _ in 1..DIFF_TRIES {
        if matches!(last, Ok(_) | Err(EngineError::Unreachable { .. } | EngineError::TimedOut { .. })) {
            break;
        }
        last = engine.diff(container.id()).await;
    }
    last.map_err(|error| crate::explain::explain(&error))
}

async fn mounted_on_use(engine: &dyn Engine, volumes: &[String]) -> Result<Vec<String>, EngineError> {
    let mut special = Vec::new();
    for name in volumes {
        if engine.volume(name).await?.is_some_and(|volume| !volume.options.is_empty()) {
            special.push(name.clone());
        }
    }
    Ok(special)
}

/// Does a host path hold, or lie in, the engine's directory or ours? Such a bind is never archived: the archive would
/// hold itself.
fn overlaps(path: &str, engine_dir: &str, data: &DataDir) -> bool {
    let path = Path::new(path);
    let hits = |other: &Path| path.starts_with(other) || other.starts_with(path);
    hits(Path::new(engine_dir)) || hits(data.root())
}

async fn networks(engine: &dyn Engine, container: &Container) -> Result<Vec<Value>, EngineError> {
    let mut networks = Vec::new();
    for name in
        container.raw()["NetworkSettings"]["Networks"].as_object().into_iter().flatten().map(|(name, _)| name)
    {
        networks.extend(engine.network(name).await?);
    }
    Ok(networks)
}

async fn network_record(engine: &dyn Engine, container: &Container) -> Result<NetworkRecord, EngineError> {
    let own_record = engine.own_record(container.id()).await?;
    Ok(own_record.map(|record| NetworkRecord::of(&record)).unwrap_or_default())
}

/// A saga of this node that is still open, or that cannot be read and so might be.
fn unfinished(data: &DataDir, node: &str) -> Option<RedeployId> {
    history::may_be_open(data, node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::docker::{FakeEngine, FakeImage};

    fn vanished() -> EngineError {
        let (action, message) = ("list the changes".to_owned(), "no such file or directory".to_owned());
        EngineError::Refused { action, status: 500, message }
    }

    #[tokio::test]
    async fn a_tree_that_changes_under_the_engines_eyes_is_asked_for_again_and_then_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let engine = FakeEngine::new(dir.path());
        engine.add_image(FakeImage::default());
        let id = engine.add_container("web", "fake/app:1", json!({})).unwrap();
        let web = engine.container(&id).await.unwrap().unwrap();

        engine.fail_next("diff", vanished());
        assert_eq!(changes(&engine, &web).await, Ok(Vec::new()));

        (0..DIFF_TRIES).for_each(|_| engine.fail_next("diff", vanished()));
        let unknown = changes(&engine, &web).await.unwrap_err();
        assert!(unknown.contains("no such file or directory"), "{unknown}");
    }
}
