//! What is mounted in a container, and whose it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::docker::Container;

use super::super::json::{clean_path, keys, pairs, says_nothing, text, texts};
use super::super::peers;

/// A volume that is a container's own: named, or anonymous, but not another container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnVolume {
    /// Where it is mounted.
    pub target: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Did it come without a name of its own?
    pub anonymous: bool,
    /// Would a new volume of this kind be empty? One with a driver or options of its own may keep its contents anywhere: a
    /// new one of the same options could well be the same data.
    pub can_be_fresh: bool,
}

/// The volumes of a container that [`Choices::fresh_volume_names`](crate::recreate::Choices::fresh_volume_names) must name when volumes are given
/// up. `all` are the host's containers, to know those that come with `VolumesFrom`.
#[must_use]
pub fn own_volumes(container: &Container, all: &[Container]) -> Vec<OwnVolume> {
    let host = &container.raw()["HostConfig"];
    let given: BTreeSet<String> = given_targets(host).into_iter().collect();
    let sources: BTreeSet<&str> = named_sources(host).collect();
    let declared: BTreeSet<String> = keys(&container.raw()["Config"]["Volumes"]).map(clean_path).collect();
    let own = |mount: &&Mounted<'_>| {
        given.contains(&mount.target)
            || (declared.contains(&mount.target) && !comes_from_a_peer(mount, container, all))
    };
    mounted(container)
        .iter()
        .filter(|mount| mount.kind == "volume" && own(mount))
        .map(|mount| OwnVolume {
            target: mount.target.clone(),
            name: mount.name.to_owned(),
            driver: mount.driver.to_owned(),
            anonymous: !sources.contains(mount.name) && is_generated(mount.name),
            can_be_fresh: can_be_fresh(host, &mount.target, mount.driver),
        })
        .collect()
}

/// See [`OwnVolume::can_be_fresh`].
pub(super) fn can_be_fresh(host: &Value, target: &str, driver: &str) -> bool {
    let mut given = host["Mounts"].as_array().into_iter().flatten();
    let given = given.find(|given| clean_path(text(&given["Target"])) == target);
    let is_special = given.is_some_and(|given| has_own_driver(&given["VolumeOptions"]["DriverConfig"]));
    !is_special && matches!(driver, "" | "local")
}

fn has_own_driver(config: &Value) -> bool {
    !matches!(text(&config["Name"]), "" | "local") || !says_nothing(&config["Options"])
}

/// One entry of the engine's list of mounts.
pub(super) struct Mounted<'a> {
    pub(super) kind: &'a str,
    pub(super) target: String,
    pub(super) name: &'a str,
    pub(super) driver: &'a str,
    pub(super) source: &'a str,
    pub(super) writable: bool,
}

pub(super) fn mounted(container: &Container) -> Vec<Mounted<'_>> {
    let entry = |mount| {
        let mount: &Value = mount;
        Mounted {
            kind: text(&mount["Type"]),
            target: clean_path(text(&mount["Destination"])),
            name: text(&mount["Name"]),
            driver: text(&mount["Driver"]),
            source: text(&mount["Source"]),
            writable: mount["RW"].as_bool().unwrap_or(true),
        }
    };
    container.raw()["Mounts"].as_array().into_iter().flatten().map(entry).collect()
}

impl Mounted<'_> {
    /// The same as an entry of `HostConfig.Mounts`; `None` for kinds that hold no data.
    pub(super) fn spec(&self) -> Option<Value> {
        let source = match self.kind {
            "volume" => self.name,
            "bind" => self.source,
            _ => return None,
        };
        let mut spec = json!({"Type": self.kind, "Source": source, "Target": self.target});
        if !self.writable {
            spec["ReadOnly"] = json!(true);
        }
        Some(spec)
    }
}

/// Is it mounted in a container of `VolumesFrom` at the same target?
pub(super) fn comes_from_a_peer(mount: &Mounted<'_>, container: &Container, all: &[Container]) -> bool {
    texts(&container.raw()["HostConfig"]["VolumesFrom"])
        .into_iter()
        .filter_map(|entry| peers::find(peers::of_volumes_from(entry).0, all))
        .flat_map(mounted)
        .any(|theirs| {
            theirs.target == mount.target && theirs.name == mount.name && theirs.source == mount.source
        })
}

/// Where the user mounts something.
#[must_use]
pub fn given_targets(host: &Value) -> Vec<String> {
    let binds = texts(&host["Binds"]).into_iter().map(bind_target);
    let mounts = host["Mounts"].as_array().into_iter().flatten();
    let mounts = mounts.map(|mount| clean_path(text(&mount["Target"])));
    let tmpfs = pairs(&host["Tmpfs"]).map(|(target, _)| clean_path(target));
    binds.chain(mounts).chain(tmpfs).collect()
}

/// Volumes and paths the user named.
fn named_sources(host: &Value) -> impl Iterator<Item = &str> {
    let binds = texts(&host["Binds"]).into_iter().filter_map(|bind| bind.split_once(':')).map(|pair| pair.0);
    let mounts = host["Mounts"].as_array().into_iter().flatten().map(|mount| text(&mount["Source"]));
    binds.chain(mounts)
}

pub(super) fn bind_target(bind: &str) -> String {
    let mut parts = bind.split(':');
    let first = parts.next().unwrap_or(bind);
    clean_path(parts.next().unwrap_or(first))
}

/// The engine names what has no name with 64 hex digits.
fn is_generated(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
