//! The trait's calls, one by one, onto the fake's memory.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::Value;
use tokio_stream::wrappers::ReceiverStream;

use super::super::{Change, Container, ContainerEvent, EngineInfo, EventStream, Image, OnPull, Volume};
use super::super::{Engine, Hold, RegistryLogin, Witness};
use super::state::{Held, State};
use super::{EngineError, FakeEngine, disk, images};
use crate::rootfs::Root;

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.call("info", |state| Ok(state.info()))
    }

    async fn container(&self, id_or_name: &str) -> Result<Option<Container>, EngineError> {
        self.call("container", |state| Ok(state.look_at(id_or_name).map(Container::new)))
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.call("containers", |state| {
            let ids: Vec<String> = state.containers.keys().cloned().collect();
            Ok(ids.iter().filter_map(|id| state.look_at(id)).map(Container::new).collect())
        })
    }

    async fn create(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        self.call("create", |state| state.create(name, body))
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.call("start", |state| state.start(id))
    }

    async fn stop(&self, id: &str, _grace: Option<Duration>) -> Result<(), EngineError> {
        self.call("stop", |state| state.stop(id))
    }

    async fn hold(&self, id: &str) -> Result<Box<dyn Hold>, EngineError> {
        let id = self.call("hold", |state| state.hold(id))?;
        Ok(Box::new(FakeHold { engine: self.clone(), id }))
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        self.call("rename", |state| state.rename(id, name))
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        self.call("remove", |state| state.remove(id))
    }

    async fn remove_stopped(&self, id: &str) -> Result<(), EngineError> {
        self.call("remove_stopped", |state| state.remove_stopped(id))
    }

    async fn set_restart_policy(&self, id: &str, policy: &Value) -> Result<(), EngineError> {
        self.call("set_restart_policy", |state| state.set_restart_policy(id, policy))
    }

    async fn network_connect(&self, network: &str, id: &str, endpoint: &Value) -> Result<(), EngineError> {
        self.call("network_connect", |state| state.connect(network, id, endpoint))
    }

    async fn network_disconnect(&self, network: &str, id: &str) -> Result<(), EngineError> {
        self.call("network_disconnect", |state| state.disconnect(network, id))
    }

    async fn network(&self, id_or_name: &str) -> Result<Option<Value>, EngineError> {
        self.call("network", |state| Ok(state.network(id_or_name).cloned()))
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.call("image", |state| Ok(state.inspect_image(reference)))
    }

    async fn pull(
        &self,
        repository: &str,
        tag_or_digest: &str,
        login: Option<&RegistryLogin>,
        on_progress: OnPull<'_>,
    ) -> Result<(), EngineError> {
        let progress = self.call("pull", |state| state.pull(repository, tag_or_digest, login))?;
        on_progress(progress);
        Ok(())
    }

    async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        self.call("tag", |state| state.tag(image, repository, tag))
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        self.call("untag", |state| state.untag(reference))
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        self.call("volume", |state| Ok(state.volumes.get(name).cloned()))
    }

    async fn create_volume(&self, body: &Value) -> Result<(), EngineError> {
        self.call("create_volume", |state| state.ensure_volume(body))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.call("remove_volume", |state| state.remove_volume(name))
    }

    async fn logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        self.call("logs", |state| {
            let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
            let all: Vec<&str> = state.find(id)?.log.split_inclusive('\n').collect();
            Ok(all.get(all.len().saturating_sub(wanted)..).unwrap_or_default().concat())
        })
    }

    async fn witness(&self, id: &str) -> Result<Witness, EngineError> {
        let words = self.call("witness", |state| state.witness(id))?;
        Ok(Witness::new(ReceiverStream::new(words).map(Ok)))
    }

    async fn diff(&self, id: &str) -> Result<Vec<Change>, EngineError> {
        self.call("diff", |state| {
            let container = state.find(id)?;
            Ok(disk::changes(&state.root_dir(container.id()), &container.shipped))
        })
    }

    async fn events(&self, since_ns: i64) -> Result<EventStream, EngineError> {
        let begun = self.call("events", |state| Ok(state.restarts))?;
        let start = (self.clone(), self.events.subscribe(), 0);
        let events = futures_util::stream::unfold(start, move |(engine, mut count, next)| async move {
            loop {
                count.mark_unchanged();
                if engine.lock().restarts != begun {
                    return None;
                }
                if let Some((event, after)) = engine.event_from(next, since_ns) {
                    return Some((Ok(event), (engine, count, after)));
                }
                count.changed().await.ok()?;
            }
        });
        Ok(Box::pin(events))
    }

    async fn open_root(&self, id: &str) -> Result<Root, EngineError> {
        self.call("open_root", |state| state.open_root(id))
    }

    async fn open_volume(&self, name: &str) -> Result<Root, EngineError> {
        self.call("open_volume", |state| match state.volumes.get(name) {
            None => Err(no_root(&format!("volume {name}"), "there is no such volume")),
            Some(volume) if volume.driver != "local" => {
                Err(no_root(&format!("volume {name}"), "its driver keeps the data out of reach"))
            }
            Some(volume) => open(Path::new(&volume.mountpoint), format!("volume {name}")),
        })
    }

    async fn own_record(&self, _: &str) -> Result<Option<Value>, EngineError> {
        self.call("own_record", |_| Ok(None))
    }

    async fn open_host_dir(&self, path: &str) -> Result<Root, EngineError> {
        self.call("open_host_dir", |_| open(Path::new(path), format!("host directory {path}")))
    }
}

/// A hold on one of its containers.
struct FakeHold {
    engine: FakeEngine,
    id: String,
}

#[async_trait]
impl Hold for FakeHold {
    async fn stop(&self) -> Result<(), EngineError> {
        self.engine.call("stop_held", |state| state.stop_held(&self.id))
    }

    fn stands(&self) -> bool {
        self.engine.lock().containers.get(&self.id).is_some_and(|container| container.hold != Held::No)
    }
}

impl Drop for FakeHold {
    fn drop(&mut self) {
        // A container that is gone has nothing to be let go of.
        let _ = self.engine.quietly(|state| state.let_go(&self.id));
    }
}

impl FakeEngine {
    /// The first event from index `next` on that is not older than `since_ns`, and the index after it.
    fn event_from(&self, next: usize, since_ns: i64) -> Option<(ContainerEvent, usize)> {
        let state = self.lock();
        let mut later = state.events.iter().enumerate().skip(next);
        later.find(|(_, event)| event.time_ns >= since_ns).map(|(at, event)| (event.clone(), at + 1))
    }
}

impl State {
    fn info(&self) -> EngineInfo {
        EngineInfo {
            version: "20.10.24".to_owned(),
            api: self.api,
            os: "linux".to_owned(),
            architecture: self.architecture.clone(),
            root_dir: self.dir.to_string_lossy().into_owned(),
            storage_driver: "overlay2".to_owned(),
            default_runtime: "runc".to_owned(),
            default_log_driver: "json-file".to_owned(),
            cgroup_version: 2,
            engine_id: images::hex(&[self.dir.to_string_lossy().as_bytes()]),
        }
    }

    fn open_root(&mut self, id: &str) -> Result<Root, EngineError> {
        let Ok(container) = self.find(id) else { return Err(no_root(id, "there is no such container")) };
        let (name, is_running) = (container.name().to_owned(), container.status() == "running");
        if container.raw["HostConfig"]["ReadonlyRootfs"] == true && !is_running {
            return Err(no_root(&name, "its root file system is read-only and it does not run"));
        }
        let directory = self.root_dir(container.id());
        if !is_running && disk::is_held_open(&directory) {
            self.violations
                .push(format!("the root of {name}, which does not run, was opened while held open"));
        }
        open(&directory, format!("container {name}"))
    }
}

fn open(path: &Path, label: String) -> Result<Root, EngineError> {
    Root::open_dir(path, label.clone()).map_err(|error| no_root(&label, &error.to_string()))
}

fn no_root(what: &str, detail: &str) -> EngineError {
    EngineError::NoRoot { what: what.to_owned(), detail: detail.to_owned() }
}
