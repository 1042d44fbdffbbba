//! Containers that lean on a container and must be recreated or restarted when it is replaced.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::docker::Container;

use super::json::{pairs, text, texts};
use super::peers;

/// A container that leans on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// How it leans. One that leans in several ways is listed once for each.
    pub kind: DependentKind,
}

/// How a container leans on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependentKind {
    /// Lives in its network namespace.
    Network,
    /// Shares its memory segments and queues.
    Ipc,
    /// Lives among its processes.
    Pid,
    /// Mounts its volumes.
    VolumesFrom,
    /// Is linked to it, on the default bridge or another network.
    Link,
}

impl std::fmt::Display for Dependent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self.kind {
            DependentKind::Network => "lives in its network",
            DependentKind::Ipc => "shares its memory",
            DependentKind::Pid => "lives among its processes",
            DependentKind::VolumesFrom => "mounts its volumes",
            DependentKind::Link => "is linked to it",
        };
        write!(f, "{} ({how})", self.name)
    }
}

/// Who among `all` leans on `of`.
#[must_use]
pub fn dependents(of: &Container, all: &[Container]) -> Vec<Dependent> {
    let others = all.iter().filter(|other| other.id() != of.id());
    let leaning = others.flat_map(|other| ways(other, of, all).into_iter().map(move |kind| (other, kind)));
    leaning
        .map(|(other, kind)| Dependent { id: other.id().to_owned(), name: other.name().to_owned(), kind })
        .collect()
}

fn ways(other: &Container, of: &Container, all: &[Container]) -> Vec<DependentKind> {
    let host = &other.raw()["HostConfig"];
    let is_of = |peer: &str| peers::find(peer, all).map_or(peer == of.id(), |found| found.id() == of.id());
    let shares = |field: &str| peers::of_mode(text(&host[field])).is_some_and(is_of);
    let mounts =
        || texts(&host["VolumesFrom"]).into_iter().any(|entry| is_of(peers::of_volumes_from(entry).0));
    let links = || links(other.raw()).into_iter().any(|link| is_of(peers::of_link(link).0));
    let mut kinds = Vec::new();
    let mut note = |leans: bool, kind| kinds.extend(leans.then_some(kind));
    note(shares("NetworkMode"), DependentKind::Network);
    note(shares("IpcMode"), DependentKind::Ipc);
    note(shares("PidMode"), DependentKind::Pid);
    note(mounts(), DependentKind::VolumesFrom);
    note(links(), DependentKind::Link);
    kinds
}

fn links(container: &Value) -> Vec<&str> {
    let networks = pairs(&container["NetworkSettings"]["Networks"]);
    let of_networks = networks.flat_map(|(_, endpoint)| texts(&endpoint["Links"]));
    texts(&container["HostConfig"]["Links"]).into_iter().chain(of_networks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_lean_is_seen() {
        let (id, other) = ("a".repeat(64), "b".repeat(64));
        let of = Container::new(json!({"Id": id, "Name": "/db", "HostConfig": {}}));
        let leans = |name: &str, host: Value, networks: Value| {
            Container::new(json!({
                "Id": format!("{name}-id"), "Name": format!("/{name}"), "HostConfig": host,
                "NetworkSettings": {"Networks": networks},
            }))
        };
        let all = [
            of.clone(),
            leans("net", json!({"NetworkMode": format!("container:{id}")}), json!({})),
            leans("ipc", json!({"IpcMode": "container:db"}), json!({})),
            leans("pid", json!({"PidMode": format!("container:{id}")}), json!({})),
            leans("vol", json!({"VolumesFrom": ["x", "db:ro"]}), json!({})),
            leans("volid", json!({"VolumesFrom": [&id[..12]]}), json!({})),
            leans("link", json!({"Links": ["/db:/link/database"]}), json!({})),
            leans("netlink", json!({}), json!({"n": {"Links": ["db:database"]}})),
            leans("two", json!({"IpcMode": "container:db", "PidMode": "container:db"}), json!({})),
            leans(
                "not",
                json!({"NetworkMode": format!("container:{other}"), "VolumesFrom": ["dbx"]}),
                json!({}),
            ),
        ];
        let found: Vec<(String, DependentKind)> =
            dependents(&of, &all).into_iter().map(|found| (found.name, found.kind)).collect();
        use DependentKind::{Ipc, Link, Network, Pid, VolumesFrom};
        let expected = [
            ("net", Network),
            ("ipc", Ipc),
            ("pid", Pid),
            ("vol", VolumesFrom),
            ("volid", VolumesFrom),
            ("link", Link),
            ("netlink", Link),
            ("two", Ipc),
            ("two", Pid),
        ];
        assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }
}
