//! What a create body mounts, and the volumes that come into being with it.
//!
//! Later ones win, per target: other containers' mounts (`VolumesFrom`), `Binds`, `Mounts`; what is left of
//! `Config.Volumes` becomes an anonymous volume each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::EngineError;
use super::disk;
use super::images::FakeImage;
use super::state::State;

/// Everything mounted into a new container, in the form of inspect's `Mounts`.
pub(super) struct Mounts {
    /// One entry per target.
    pub(super) listed: Vec<Value>,
    /// Names of the volumes that have no name of their own.
    pub(super) anonymous: BTreeSet<String>,
}

impl State {
    /// Settles the mounts of a new container, creating and filling volumes.
    pub(super) fn settle_mounts(
        &mut self,
        config: &Value,
        host: &Value,
        image: &FakeImage,
    ) -> Result<Mounts, EngineError> {
        let mut by_target: BTreeMap<String, Value> = BTreeMap::new();
        for from in texts(&host["VolumesFrom"]) {
            let name = from.split(':').next().unwrap_or("");
            for mount in self.find(name)?.raw["Mounts"].as_array().into_iter().flatten() {
                by_target.insert(text(&mount["Destination"]).to_owned(), mount.clone());
            }
        }
        for bind in texts(&host["Binds"]) {
            let mut parts = bind.split(':');
            let (source, target) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let is_writable = !parts.flat_map(|options| options.split(',')).any(|option| option == "ro");
            let mount = self.mount(source, target, is_writable)?;
            by_target.insert(target.to_owned(), mount);
        }
        let mut anonymous = BTreeSet::new();
        for mount in host["Mounts"].as_array().into_iter().flatten() {
            let target = text(&mount["Target"]).to_owned();
            if let Some(mount) = self.mount_of_body(mount, &mut anonymous)? {
                by_target.insert(target, mount);
            }
        }
        for (target, _) in config["Volumes"].as_object().into_iter().flatten() {
            if !by_target.contains_key(target) {
                let name = self.fresh_id("anonymous volume");
                by_target.insert(target.clone(), self.mount(&name, target, true)?);
                anonymous.insert(name);
            }
        }
        let listed: Vec<Value> = by_target.into_values().collect();
        self.fill_volumes(&listed, image)?;
        Ok(Mounts { listed, anonymous })
    }

    fn mount_of_body(
        &mut self,
        mount: &Value,
        anonymous: &mut BTreeSet<String>,
    ) -> Result<Option<Value>, EngineError> {
        let is_writable = !mount["ReadOnly"].as_bool().unwrap_or(false);
        let target = text(&mount["Target"]);
        match text(&mount["Type"]) {
            "tmpfs" => Ok(Some(json!({
                "Type": "tmpfs", "Source": "", "Destination": target, "Mode": "", "RW": is_writable, "Propagation": ""
            }))),
            "volume" if text(&mount["Source"]).is_empty() => {
                let name = self.fresh_id("anonymous volume");
                anonymous.insert(name.clone());
                self.mount(&name, target, is_writable).map(Some)
            }
            "volume" | "bind" => self.mount(text(&mount["Source"]), target, is_writable).map(Some),
            _ => Ok(None),
        }
    }

    /// One mount: of a host path, or of a volume that is created if need be.
    fn mount(&mut self, source: &str, target: &str, is_writable: bool) -> Result<Value, EngineError> {
        let mode = if is_writable { "" } else { "ro" };
        if source.starts_with('/') {
            return Ok(json!({
                "Type": "bind", "Source": source, "Destination": target, "Mode": mode, "RW": is_writable,
                "Propagation": "rprivate"
            }));
        }
        self.ensure_volume(&json!({ "Name": source }))?;
        Ok(json!({
            "Type": "volume", "Name": source, "Source": self.volume_dir(source), "Destination": target,
            "Driver": "local", "Mode": mode, "RW": is_writable, "Propagation": ""
        }))
    }

    /// An empty volume gets what the image ships at its target.
    fn fill_volumes(&self, mounts: &[Value], image: &FakeImage) -> Result<(), EngineError> {
        for mount in mounts.iter().filter(|mount| mount["Type"] == "volume") {
            let directory = self.volume_dir(text(&mount["Name"]));
            if !disk::is_empty(&directory) {
                continue;
            }
            let prefix = format!("{}/", text(&mount["Destination"]).trim_end_matches('/'));
            for (path, bytes) in &image.files {
                if let Some(rest) = path.strip_prefix(&prefix).filter(|rest| !rest.is_empty()) {
                    disk::put(&directory, rest, bytes)
                        .map_err(|error| super::broken("fill a volume", &error))?;
                }
            }
        }
        Ok(())
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
