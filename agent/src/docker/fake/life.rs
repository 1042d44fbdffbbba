//! Containers of the fake starting, ending and being restarted, and the promises that breaks.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::witness::Word;
use super::images::OnStart;
use super::state::{FakeContainer, Held, State};
use super::{EngineError, broken, disk, refused};

/// What a process leaves that ends at its stop signal (128 + SIGTERM).
const STOPPED: i64 = 143;

/// What a process leaves that is killed (128 + SIGKILL).
const KILLED: i64 = 137;

/// A health check that will pass is `starting` for this many looks.
const LOOKS_STARTING: u32 = 2;

/// What waits for a witness.
const WORDS_MAX: usize = 64;

impl State {
    pub(super) fn start(&mut self, id: &str) -> Result<(), EngineError> {
        let container = self.find(id)?;
        if container.is_alive() {
            return Ok(());
        }
        let id = container.id().to_owned();
        self.check_ports(&id)?;
        self.check_networks(&id)?;
        self.note_violations(&id);
        self.begin(&id)
    }

    /// Runs it: files written, state set, and, for one that does not live, its end.
    fn begin(&mut self, id: &str) -> Result<(), EngineError> {
        let (started_at, pid) = (self.now_text(), 1000 + i64::try_from(self.serial).unwrap_or(0));
        self.serial += 1;
        let root = self.root_dir(id);
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        write_files(container, &root).map_err(|error| broken("write a container's files", &error))?;
        container.has_run = true;
        container.was_stopped_by_hand = false;
        container.looks = 0;
        container.log.push_str(&container.behaviour.prints);
        container.say(|| Word::Output(container.behaviour.prints.clone().into()));
        let state = &mut container.raw["State"];
        for (key, value) in [
            ("Status", json!("running")),
            ("Running", json!(true)),
            ("Restarting", json!(false)),
            ("Pid", json!(pid)),
            ("ExitCode", json!(0)),
            ("StartedAt", json!(started_at)),
        ] {
            state[key] = value;
        }
        let behaviour = container.behaviour.on_start;
        set_health(container);
        self.emit(id, "start");
        if let OnStart::ExitsWith(code) = behaviour {
            self.die(id, code);
        }
        Ok(())
    }

    /// Its process ended by itself; its restart policy says what follows.
    pub(super) fn die(&mut self, id: &str, code: i64) {
        self.end(id, code);
        let Some(container) = self.containers.get_mut(id) else { return };
        let restarts = match container.policy() {
            "always" | "unless-stopped" => true,
            "on-failure" => code != 0,
            _ => false,
        };
        if restarts {
            let count = container.raw["RestartCount"].as_i64().unwrap_or(0);
            container.raw["RestartCount"] = json!(count + 1);
            container.raw["State"]["Status"] = json!("restarting");
            container.raw["State"]["Restarting"] = json!(true);
        }
        self.remove_if_wished(id);
    }

    pub(super) fn stop(&mut self, id: &str) -> Result<(), EngineError> {
        let container = self.find_mut(id)?;
        if !container.is_alive() {
            return Ok(());
        }
        container.was_stopped_by_hand = true;
        let id = container.id().to_owned();
        let root = self.root_dir(&id);
        last_words(self.find(&id)?, &root).map_err(|error| broken("write a container's files", &error))?;
        self.emit(&id, "kill");
        self.end(&id, STOPPED);
        self.emit(&id, "stop");
        self.remove_if_wished(&id);
        Ok(())
    }

    /// From now on nothing is noticed of its end.
    pub(super) fn hold(&mut self, id: &str) -> Result<String, EngineError> {
        let container = self.find_mut(id)?;
        container.hold = Held::Running;
        Ok(container.id().to_owned())
    }

    /// Its process ends, but the engine does not notice.
    pub(super) fn stop_held(&mut self, id: &str) -> Result<(), EngineError> {
        let root = self.root_dir(id);
        let container = self.find_mut(id)?;
        container.hold = Held::Ended;
        container.was_stopped_by_hand = true;
        last_words(container, &root).map_err(|error| broken("write a container's files", &error))
    }

    /// What was not noticed is noticed now.
    pub(super) fn let_go(&mut self, id: &str) -> Result<(), EngineError> {
        let container = self.find_mut(id)?;
        let has_ended = std::mem::replace(&mut container.hold, Held::No) == Held::Ended;
        if has_ended && container.is_alive() {
            self.end(id, STOPPED);
            self.remove_if_wished(id);
        }
        Ok(())
    }

    /// Sets the state of one that has ended.
    pub(super) fn end(&mut self, id: &str, code: i64) {
        let finished_at = self.now_text();
        let Some(container) = self.containers.get_mut(id) else { return };
        let state = &mut container.raw["State"];
        for (key, value) in [
            ("Status", json!("exited")),
            ("Running", json!(false)),
            ("Restarting", json!(false)),
            ("Pid", json!(0)),
            ("ExitCode", json!(code)),
            ("FinishedAt", json!(finished_at)),
        ] {
            state[key] = value;
        }
        container.say(|| Word::ExitCode(code));
        container.witnesses.clear();
        self.emit(id, "die");
    }

    /// What it says from now on.
    pub(super) fn witness(&mut self, id: &str) -> Result<mpsc::Receiver<Word>, EngineError> {
        let (witness, words) = mpsc::channel(WORDS_MAX);
        self.find_mut(id)?.witnesses.push(witness);
        Ok(words)
    }

    /// `--rm`: gone once ended, with the volumes that have no name.
    fn remove_if_wished(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        if container.raw["HostConfig"]["AutoRemove"] != true {
            return;
        }
        let anonymous = container.anonymous.clone();
        let removed = self.forget(id);
        // One that another container has stays.
        let removed = removed.map(|()| anonymous.iter().for_each(|name| drop(self.remove_volume(name))));
        if let Err(error) = removed {
            self.violations.push(format!("container {id} could not remove itself: {error}"));
        }
    }

    /// The engine goes down, all processes with it, and comes back.
    pub(super) fn restart_daemon(&mut self) -> Result<(), EngineError> {
        self.restarts += 1;
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in &ids {
            if self.containers.get(id).is_some_and(FakeContainer::is_alive) {
                self.end(id, KILLED);
            }
        }
        for id in &ids {
            let Some(container) = self.containers.get(id) else { continue };
            let comes_back = match container.policy() {
                "always" => true,
                "unless-stopped" => !container.was_stopped_by_hand,
                // Also one that was stopped by hand, if that left a code: the engine does not tell them apart.
                "on-failure" => container.raw["State"]["ExitCode"] != 0,
                _ => false,
            };
            if container.has_run && comes_back && !container.is_alive() {
                self.note_violations(id);
                self.begin(id)?;
            }
        }
        Ok(())
    }

    /// Lets time pass for one that is looked at.
    pub(super) fn look_at(&mut self, id_or_name: &str) -> Option<Value> {
        let container = self.find_mut(id_or_name).ok()?;
        let raw = container.raw.clone();
        container.looks = container.looks.saturating_add(1);
        set_health(container);
        Some(raw)
    }

    fn check_ports(&mut self, id: &str) -> Result<(), EngineError> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let wanted = container.host_ports();
        let others = self.containers.values().filter(|other| other.id() != id && other.is_alive());
        let taken = others.flat_map(FakeContainer::host_ports).find(|port| wanted.contains(port));
        let Some(port) = taken else { return Ok(()) };
        let port = port.split('/').next().unwrap_or("").to_owned();
        let message = format!(
            "driver failed programming external connectivity on endpoint {}: Bind for 0.0.0.0:{port} failed: port is already allocated",
            container.name()
        );
        Err(refused(&format!("start container {id}"), 500, message))
    }

    fn check_networks(&self, id: &str) -> Result<(), EngineError> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let mode = container.raw["HostConfig"]["NetworkMode"].as_str().unwrap_or("");
        if let Some(peer) = mode.strip_prefix("container:") {
            let action = format!("start container {id}");
            match self.containers.get(peer) {
                None => return Err(refused(&action, 404, format!("No such container: {peer}"))),
                Some(peer) if !peer.is_alive() => {
                    let message = format!("cannot join network of a non running container: {}", peer.id());
                    return Err(refused(&action, 409, message));
                }
                Some(_) => {}
            }
        }
        let mut networks = container.raw["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        match networks.find(|(name, _)| self.network(name).is_none()) {
            None => Ok(()),
            Some((name, _)) => {
                Err(refused(&format!("start container {id}"), 404, format!("network {name} not found")))
            }
        }
    }

    /// What must never be: two writers on a volume, or a start under somebody's open handle.
    fn note_violations(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let mut found = Vec::new();
        for other in self.containers.values().filter(|other| other.id() != id && other.is_alive()) {
            for volume in container.writable_volumes() {
                if other.writable_volumes().any(|name| name == volume) {
                    let (first, second) = (other.name(), container.name());
                    found.push(format!("{first} and {second} were alive at once with volume {volume}"));
                }
            }
        }
        if disk::is_held_open(&self.root_dir(id)) {
            found.push(format!("{} was started while its root was held open", container.name()));
        }
        self.violations.append(&mut found);
    }
}

/// Where a path of the container really lies: in the mount with the longest target above it, or in its root.
fn place(container: &FakeContainer, root: &Path, path: &str) -> (PathBuf, String) {
    let mounts = container.raw["Mounts"].as_array().into_iter().flatten();
    let best = mounts
        .filter_map(|mount| {
            let target = mount["Destination"].as_str()?.trim_end_matches('/');
            let rest = path.strip_prefix(target)?;
            let source = mount["Source"].as_str().filter(|source| !source.is_empty())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((target.len(), source, rest))
        })
        .max_by_key(|(length, _, _)| *length);
    match best {
        Some((_, source, rest)) => (PathBuf::from(source), rest.to_owned()),
        None => (root.to_owned(), path.to_owned()),
    }
}

fn write_files(container: &FakeContainer, root: &Path) -> std::io::Result<()> {
    for mount in container.raw["Mounts"].as_array().into_iter().flatten() {
        std::fs::create_dir_all(disk::inside(root, mount["Destination"].as_str().unwrap_or("")))?;
    }
    for (path, bytes) in &container.behaviour.writes_on_start {
        let (base, path) = place(container, root, path);
        disk::put(&base, &path, bytes)?;
    }
    Ok(())
}

fn last_words(container: &FakeContainer, root: &Path) -> std::io::Result<()> {
    for (path, bytes) in &container.behaviour.writes_on_stop {
        let (base, path) = place(container, root, path);
        match bytes {
            Some(bytes) => disk::put(&base, &path, bytes)?,
            None => match std::fs::remove_file(disk::inside(&base, &path)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}

fn set_health(container: &mut FakeContainer) {
    let test = &container.raw["Config"]["Healthcheck"]["Test"];
    let has_check = test.as_array().is_some_and(|test| !test.is_empty() && test[0] != "NONE");
    let is_running = container.status() == "running";
    let settled = container.looks >= LOOKS_STARTING;
    let status = match container.behaviour.on_start {
        OnStart::Unhealthy => "unhealthy",
        OnStart::BecomesHealthy if is_running && !settled => "starting",
        OnStart::BecomesHealthy => "healthy",
        OnStart::Runs if has_check && is_running && container.looks == 0 => "starting",
        OnStart::Runs if has_check => "healthy",
        OnStart::Runs | OnStart::ExitsWith(_) => return,
    };
    container.raw["State"]["Health"] = json!({ "Status": status, "FailingStreak": 0, "Log": [] });
}
