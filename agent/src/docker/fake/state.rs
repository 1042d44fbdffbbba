//! Everything the fake engine knows, and how it is looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::witness::Word;
use super::super::{ApiVersion, ContainerEvent, Volume};
use super::images::{Behaviour, Registry, StoredImage, hex};
use super::{EngineError, broken, refused};

/// The fake's whole memory; its directories hold the files.
#[derive(Debug)]
pub(super) struct State {
    pub(super) dir: PathBuf,
    pub(super) api: ApiVersion,
    pub(super) architecture: String,
    pub(super) images: BTreeMap<String, StoredImage>,
    pub(super) registry: Registry,
    pub(super) containers: BTreeMap<String, FakeContainer>,
    pub(super) volumes: BTreeMap<String, Volume>,
    pub(super) networks: BTreeMap<String, Value>,
    pub(super) events: Vec<ContainerEvent>,
    /// How often it restarted: that ends every stream of events.
    pub(super) restarts: u64,
    pub(super) calls: Vec<&'static str>,
    pub(super) faults: Vec<Fault>,
    pub(super) violations: Vec<String>,
    /// Counts things that need a number of their own.
    pub(super) serial: u64,
    last_ns: i64,
}

/// A call that is to fail.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) method: &'static str,
    /// After the engine did what was asked, or before?
    pub(super) is_late: bool,
    /// So many calls go well before.
    pub(super) skips: usize,
    pub(super) error: EngineError,
}

/// Is the engine kept from taking note of a container's end?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// No.
    No,
    /// Yes, and it runs.
    Running,
    /// Yes, and it has ended.
    Ended,
}

/// One container.
#[derive(Debug)]
pub(super) struct FakeContainer {
    /// Its inspect answer.
    pub(super) raw: Value,
    pub(super) behaviour: Behaviour,
    /// The files of its image, for `diff`.
    pub(super) shipped: Vec<(String, Vec<u8>)>,
    /// Volumes that go with it if it removes itself.
    pub(super) anonymous: BTreeSet<String>,
    pub(super) hold: Held,
    pub(super) has_run: bool,
    pub(super) was_stopped_by_hand: bool,
    /// How often it was inspected since its start.
    pub(super) looks: u32,
    pub(super) log: String,
    /// Does the engine fail to remove it?
    pub(super) is_jammed: bool,
    /// Who listens to it.
    pub(super) witnesses: Vec<mpsc::Sender<Word>>,
}

impl FakeContainer {
    /// Whoever listens hears it; a witness who does not keep up misses it.
    pub(super) fn say(&self, word: impl Fn() -> Word) {
        self.witnesses.iter().for_each(|witness| drop(witness.try_send(word())));
    }

    pub(super) fn id(&self) -> &str {
        self.raw["Id"].as_str().unwrap_or("")
    }

    pub(super) fn name(&self) -> &str {
        self.raw["Name"].as_str().unwrap_or("").trim_start_matches('/')
    }

    pub(super) fn status(&self) -> &str {
        self.raw["State"]["Status"].as_str().unwrap_or("")
    }

    pub(super) fn is_alive(&self) -> bool {
        matches!(self.status(), "running" | "restarting")
    }

    pub(super) fn policy(&self) -> &str {
        self.raw["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap_or("no")
    }

    /// Volumes it may write to.
    pub(super) fn writable_volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.raw["Mounts"].as_array().into_iter().flatten();
        mounts
            .filter(|mount| mount["Type"] == "volume" && mount["RW"] == true)
            .filter_map(|mount| mount["Name"].as_str())
    }

    /// Ports of the host it asks for, as `port/protocol` of the host.
    pub(super) fn host_ports(&self) -> BTreeSet<String> {
        let bindings = self.raw["HostConfig"]["PortBindings"].as_object().into_iter().flatten();
        bindings
            .flat_map(|(port, hosts)| {
                let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol).to_owned();
                let hosts = hosts.as_array().into_iter().flatten();
                hosts.filter_map(move |host| match host["HostPort"].as_str() {
                    None | Some("" | "0") => None,
                    Some(port) => Some(format!("{port}/{protocol}")),
                })
            })
            .collect()
    }
}

impl State {
    pub(super) fn new(dir: &Path, api: ApiVersion) -> Self {
        let mut state = Self {
            dir: dir.to_owned(),
            api,
            architecture: "amd64".to_owned(),
            images: BTreeMap::new(),
            registry: Registry::new(),
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            events: Vec::new(),
            restarts: 0,
            calls: Vec::new(),
            faults: Vec::new(),
            violations: Vec::new(),
            serial: 0,
            last_ns: 0,
        };
        for name in ["bridge", "host", "none"] {
            let driver = if name == "none" { "null" } else { name };
            state.add_network(name, driver);
        }
        state
    }

    /// A container by exact id or name.
    pub(super) fn id_of(&self, id_or_name: &str) -> Option<String> {
        let name = id_or_name.trim_start_matches('/');
        let mut all = self.containers.values();
        all.find(|container| container.id() == name || container.name() == name)
            .map(|container| container.id().to_owned())
    }

    pub(super) fn find(&self, id_or_name: &str) -> Result<&FakeContainer, EngineError> {
        self.id_of(id_or_name)
            .and_then(|id| self.containers.get(&id))
            .ok_or_else(|| no_such_container(id_or_name))
    }

    pub(super) fn find_mut(&mut self, id_or_name: &str) -> Result<&mut FakeContainer, EngineError> {
        self.id_of(id_or_name)
            .and_then(|id| self.containers.get_mut(&id))
            .ok_or_else(|| no_such_container(id_or_name))
    }

    pub(super) fn check_name_is_free(&self, action: &str, name: &str) -> Result<(), EngineError> {
        let Ok(owner) = self.find(name) else { return Ok(()) };
        let message = format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{}\".",
            owner.id()
        );
        Err(refused(action, 409, message))
    }

    pub(super) fn root_dir(&self, id: &str) -> PathBuf {
        self.dir.join("containers").join(id).join("root")
    }

    pub(super) fn volume_dir(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name).join("_data")
    }

    /// 64 hex digits nobody else has.
    pub(super) fn fresh_id(&mut self, kind: &str) -> String {
        self.serial += 1;
        hex(&[kind.as_bytes(), &self.serial.to_le_bytes(), self.dir.to_string_lossy().as_bytes()])
    }

    /// Nanoseconds since 1970, never the same twice.
    pub(super) fn now_ns(&mut self) -> i64 {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        self.last_ns = now.max(self.last_ns + 1);
        self.last_ns
    }

    /// The same as the engine writes it into inspect answers.
    pub(super) fn now_text(&mut self) -> String {
        let now = i128::from(self.now_ns());
        jiff::Timestamp::from_nanosecond(now).map(|at| at.to_string()).unwrap_or_default()
    }

    pub(super) fn emit(&mut self, container: &str, action: &str) {
        let time_ns = self.now_ns();
        self.events.push(ContainerEvent {
            container: container.to_owned(),
            action: action.to_owned(),
            time_ns,
        });
    }

    /// The next planned failure of `method`, used up.
    pub(super) fn take_fault(&mut self, method: &str, is_late: bool) -> Option<EngineError> {
        let mut faults = self.faults.iter_mut().enumerate();
        let (at, fault) = faults.find(|(_, fault)| fault.method == method && fault.is_late == is_late)?;
        if fault.skips > 0 {
            fault.skips -= 1;
            return None;
        }
        Some(self.faults.remove(at).error)
    }

    pub(super) fn ensure_volume(&mut self, body: &Value) -> Result<(), EngineError> {
        let name = match body["Name"].as_str() {
            None | Some("") => self.fresh_id("volume"),
            Some(name) => name.to_owned(),
        };
        let mountpoint = self.volume_dir(&name);
        std::fs::create_dir_all(&mountpoint).map_err(|error| broken("create a volume", &error))?;
        let pairs = |map: &Value| {
            let pairs = map.as_object().into_iter().flatten();
            pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or("").to_owned())).collect()
        };
        self.volumes.entry(name.clone()).or_insert_with(|| Volume {
            name,
            driver: body["Driver"].as_str().unwrap_or("local").to_owned(),
            mountpoint: mountpoint.to_string_lossy().into_owned(),
            labels: pairs(&body["Labels"]),
            options: pairs(&body["DriverOpts"]),
        });
        Ok(())
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Result<(), EngineError> {
        let uses = |container: &FakeContainer| {
            let mut mounts = container.raw["Mounts"].as_array().into_iter().flatten();
            mounts.any(|mount| mount["Name"] == name)
        };
        if let Some(user) = self.containers.values().find(|container| uses(container)) {
            let message = format!("remove {name}: volume is in use - [{}]", user.id());
            return Err(refused(&format!("remove volume {name}"), 409, message));
        }
        if self.volumes.remove(name).is_some() {
            let directory = self.dir.join("volumes").join(name);
            std::fs::remove_dir_all(directory).map_err(|error| broken("remove a volume", &error))?;
        }
        Ok(())
    }

    pub(super) fn add_network(&mut self, name: &str, driver: &str) {
        let id = self.fresh_id("network");
        let network = json!({
            "Name": name, "Id": id, "Driver": driver, "Scope": if driver == "overlay" { "swarm" } else { "local" },
            "Attachable": driver == "overlay", "Containers": {}
        });
        self.networks.entry(name.to_owned()).or_insert(network);
    }

    pub(super) fn network(&self, id_or_name: &str) -> Option<&Value> {
        let by_id = || self.networks.values().find(|network| network["Id"] == id_or_name);
        self.networks.get(id_or_name).or_else(by_id)
    }
}

pub(super) fn no_such_container(id_or_name: &str) -> EngineError {
    refused(&format!("find container {id_or_name}"), 404, format!("No such container: {id_or_name}"))
}
