//! Containers of the fake coming, being renamed, connected, and going.

use serde_json::{Value, json};

use super::images::FakeImage;
use super::merge::{filled_host_config, merged_config};
use super::state::{FakeContainer, Held, State, no_such_container};
use super::{EngineError, broken, disk, refused};

/// From this API version on a container can be created with several networks.
const MANY_NETWORKS_MINOR: u16 = 44;

/// From this API version on `Aliases` does not list the short id.
const CLEAN_ALIASES_MINOR: u16 = 45;

impl State {
    pub(super) fn create(&mut self, name: &str, body: &Value) -> Result<String, EngineError> {
        let action = format!("create container {name}");
        check_name(&action, name)?;
        self.check_name_is_free(&action, name)?;
        let reference = body["Image"].as_str().unwrap_or("");
        let image_id = self
            .image_id(reference)
            .ok_or_else(|| refused(&action, 404, format!("No such image: {reference}")))?;
        let Some(image) = self.images.get(&image_id).map(|stored| stored.image.clone()) else {
            return Err(refused(&action, 404, format!("No such image: {reference}")));
        };
        let id = self.fresh_id("container");
        let config = merged_config(body, &image.config, reference, &id);
        let mut host = filled_host_config(&body["HostConfig"]);
        self.name_peer_by_id(&action, &mut host)?;
        check_settings(&action, body, &config, &host)?;
        let networks = self.first_networks(&action, &id, &host, &body["NetworkingConfig"])?;
        let mounts = self.settle_mounts(&config, &host, &image)?;
        self.lay_out_root(&id, &image)?;
        let raw = json!({
            "Id": id, "Created": self.now_text(), "Path": "", "Args": [], "State": fresh_state(), "Image": image_id,
            "Name": format!("/{name}"), "RestartCount": 0, "Driver": "fake", "Platform": "linux",
            "HostConfig": host, "Config": config, "Mounts": mounts.listed, "NetworkSettings": { "Networks": networks },
            "GraphDriver": { "Name": "fake", "Data": { "MergedDir": self.root_dir(&id) } }
        });
        let container = FakeContainer {
            raw,
            behaviour: image.behaviour,
            shipped: image.files,
            anonymous: mounts.anonymous,
            hold: Held::No,
            has_run: false,
            was_stopped_by_hand: false,
            looks: 0,
            log: String::new(),
            is_jammed: false,
            witnesses: Vec::new(),
        };
        self.containers.insert(id.clone(), container);
        self.emit(&id, "create");
        Ok(id)
    }

    /// A network of another container is stored by that one's id.
    fn name_peer_by_id(&self, action: &str, host: &mut Value) -> Result<(), EngineError> {
        let Some(peer) = host["NetworkMode"].as_str().and_then(|mode| mode.strip_prefix("container:")) else {
            return Ok(());
        };
        let id =
            self.id_of(peer).ok_or_else(|| refused(action, 404, format!("No such container: {peer}")))?;
        host["NetworkMode"] = json!(format!("container:{id}"));
        Ok(())
    }

    fn lay_out_root(&self, id: &str, image: &FakeImage) -> Result<(), EngineError> {
        let root = self.root_dir(id);
        let files = image.files.iter();
        std::fs::create_dir_all(&root)
            .and_then(|()| files.clone().try_for_each(|(path, bytes)| disk::put(&root, path, bytes)))
            .map_err(|error| broken("lay out a container's root", &error))
    }

    /// `NetworkSettings.Networks` of a new container.
    fn first_networks(
        &self,
        action: &str,
        id: &str,
        host: &Value,
        networking: &Value,
    ) -> Result<Value, EngineError> {
        let mode = host["NetworkMode"].as_str().unwrap_or("default");
        let mode = if mode == "default" { "bridge" } else { mode };
        let mut networks = json!({});
        if mode.starts_with("container:") {
            return Ok(networks);
        }
        let sent = networking["EndpointsConfig"].as_object().cloned().unwrap_or_default();
        if sent.len() > 1 && self.api.minor < MANY_NETWORKS_MINOR {
            let names: Vec<&str> = sent.keys().map(String::as_str).collect();
            let message = format!("Container cannot be connected to network endpoints: {}", names.join(", "));
            return Err(refused(action, 400, message));
        }
        networks[mode] = self.endpoint(id, mode, &json!({}));
        for (name, endpoint) in &sent {
            let name = if name == "default" { "bridge" } else { name };
            networks[name] = self.endpoint(id, name, endpoint);
        }
        Ok(networks)
    }

    fn endpoint(&self, id: &str, network: &str, sent: &Value) -> Value {
        let known = self.network(network);
        let mut endpoint = json!({
            "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": known.map_or("", |found| {
                found["Id"].as_str().unwrap_or("")
            }),
            "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "MacAddress": "", "DriverOpts": null,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0
        });
        for (key, value) in sent.as_object().into_iter().flatten() {
            endpoint[key] = value.clone();
        }
        let is_own = !matches!(network, "bridge" | "host" | "none");
        if is_own && self.api.minor < CLEAN_ALIASES_MINOR {
            let mut aliases = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
            let short = json!(id.get(..12).unwrap_or(id));
            if !aliases.contains(&short) {
                aliases.push(short);
            }
            endpoint["Aliases"] = Value::Array(aliases);
        }
        endpoint
    }

    pub(super) fn rename(&mut self, id: &str, name: &str) -> Result<(), EngineError> {
        let action = format!("rename container {id} to {name}");
        check_name(&action, name)?;
        self.check_name_is_free(&action, name)?;
        let container = self.find(id)?;
        let networks = container.raw["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let on_overlay = networks
            .filter_map(|(network, _)| self.network(network))
            .any(|network| network["Driver"] == "overlay");
        if container.is_alive() && on_overlay {
            // The engine's own trouble with renaming on attachable overlay networks (moby#42351).
            return Err(refused(&action, 500, "Could not add service state for endpoint: already exists"));
        }
        let container = self.find_mut(id)?;
        container.raw["Name"] = json!(format!("/{name}"));
        let id = container.id().to_owned();
        self.emit(&id, "rename");
        Ok(())
    }

    pub(super) fn set_restart_policy(&mut self, id: &str, policy: &Value) -> Result<(), EngineError> {
        let container = self.find_mut(id)?;
        let is_no = matches!(policy["Name"].as_str(), None | Some("" | "no"));
        if container.raw["HostConfig"]["AutoRemove"] == true && !is_no {
            let message = "Restart policy cannot be updated because AutoRemove is enabled for the container";
            return Err(refused(&format!("set the restart policy of container {id}"), 409, message));
        }
        let retries = policy["MaximumRetryCount"].as_i64().unwrap_or(0);
        let name = if is_no { "no" } else { policy["Name"].as_str().unwrap_or("no") };
        container.raw["HostConfig"]["RestartPolicy"] = json!({ "Name": name, "MaximumRetryCount": retries });
        let id = container.id().to_owned();
        self.emit(&id, "update");
        Ok(())
    }

    pub(super) fn connect(&mut self, network: &str, id: &str, sent: &Value) -> Result<(), EngineError> {
        let action = format!("connect container {id} to network {network}");
        let name = self.network_name(&action, network)?;
        let container_id = self.id_of(id).ok_or_else(|| no_such_container(id))?;
        let endpoint = self.endpoint(&container_id, &name, sent);
        let container = self.find_mut(id)?;
        if container.raw["NetworkSettings"]["Networks"].get(&name).is_some() {
            let message = format!("endpoint with name {} already exists in network {name}", container.name());
            return Err(refused(&action, 403, message));
        }
        container.raw["NetworkSettings"]["Networks"][name] = endpoint;
        Ok(())
    }

    pub(super) fn disconnect(&mut self, network: &str, id: &str) -> Result<(), EngineError> {
        let name =
            self.network(network).and_then(|found| found["Name"].as_str()).unwrap_or(network).to_owned();
        let Some(container_id) = self.id_of(id) else { return Ok(()) };
        let Some(container) = self.containers.get_mut(&container_id) else { return Ok(()) };
        if let Some(networks) = container.raw["NetworkSettings"]["Networks"].as_object_mut() {
            networks.shift_remove(&name);
        }
        Ok(())
    }

    fn network_name(&self, action: &str, network: &str) -> Result<String, EngineError> {
        let found = self.network(network).and_then(|found| found["Name"].as_str());
        found.map(str::to_owned).ok_or_else(|| refused(action, 404, format!("network {network} not found")))
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), EngineError> {
        let Some(id) = self.id_of(id) else { return Ok(()) };
        if self.containers.get(&id).is_some_and(FakeContainer::is_alive) {
            self.end(&id, 137);
        }
        self.forget(&id)
    }

    pub(super) fn remove_stopped(&mut self, id: &str) -> Result<(), EngineError> {
        let Some(id) = self.id_of(id) else { return Ok(()) };
        if self.containers.get(&id).is_some_and(FakeContainer::is_alive) {
            return Err(refused(&format!("remove container {id}"), 409, "it is running"));
        }
        self.forget(&id)
    }

    /// Removes a container that does not run.
    pub(super) fn forget(&mut self, id: &str) -> Result<(), EngineError> {
        if let Some(jammed) = self.containers.get_mut(id).filter(|container| container.is_jammed) {
            jammed.raw["State"]["Status"] = json!("dead");
            jammed.raw["State"]["Dead"] = json!(true);
            let message = format!("unable to remove filesystem for {id}: device or resource busy");
            return Err(refused(&format!("remove container {id}"), 500, message));
        }
        if self.containers.remove(id).is_none() {
            return Ok(());
        }
        let directory = self.dir.join("containers").join(id);
        std::fs::remove_dir_all(directory).map_err(|error| broken("remove a container", &error))?;
        self.emit(id, "destroy");
        Ok(())
    }
}

fn fresh_state() -> Value {
    json!({
        "Status": "created", "Running": false, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
        "Pid": 0, "ExitCode": 0, "Error": "", "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"
    })
}

/// Letters, digits, `_`, `.`, `-`, two at least, the first a letter or digit.
fn check_name(action: &str, name: &str) -> Result<(), EngineError> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if name.len() > 1 && starts_well && name.bytes().all(is_inner) {
        return Ok(());
    }
    let message = format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    Err(refused(action, 400, message))
}

fn check_settings(action: &str, body: &Value, config: &Value, host: &Value) -> Result<(), EngineError> {
    let is_empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if is_empty(&config["Entrypoint"]) && is_empty(&config["Cmd"]) {
        return Err(refused(action, 400, "No command specified"));
    }
    let mode = host["NetworkMode"].as_str().unwrap_or("");
    let names_itself = body["Hostname"].as_str().is_some_and(|name| !name.is_empty());
    if names_itself && (mode == "host" || mode.starts_with("container:")) {
        return Err(refused(action, 400, "conflicting options: hostname and the network mode"));
    }
    let restarts = !matches!(host["RestartPolicy"]["Name"].as_str(), None | Some("" | "no"));
    if host["AutoRemove"] == true && restarts {
        return Err(refused(action, 400, "can't create 'AutoRemove' container with restart policy"));
    }
    Ok(())
}
