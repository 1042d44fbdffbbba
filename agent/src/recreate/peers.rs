//! Containers that a container leans on: shared namespaces, volumes, links.
//!
//! The engine stores ids where the user gave names. An id dies with the next redeploy of the other container;
//! the name lives on. So every reference is turned back into the name of the container as it is now.

use serde_json::Value;

use super::Recreation;
use crate::docker::Container;

/// The modes that can name a container.
const MODES: [&str; 3] = ["NetworkMode", "IpcMode", "PidMode"];

/// The container `id_or_name` means, the way the engine reads it: a full id, a name, then the start of just
/// one id.
pub(super) fn find<'a>(id_or_name: &str, containers: &'a [Container]) -> Option<&'a Container> {
    let name = id_or_name.trim_start_matches('/');
    if name.is_empty() {
        return None;
    }
    let by = |matches: &dyn Fn(&Container) -> bool| containers.iter().find(|container| matches(container));
    by(&|container| container.id() == name).or_else(|| by(&|container| container.name() == name)).or_else(
        || {
            let mut starting = containers.iter().filter(|container| container.id().starts_with(name));
            starting.next().filter(|_| starting.next().is_none())
        },
    )
}

/// Who a `container:<id or name>` mode points at.
pub(super) fn of_mode(mode: &str) -> Option<&str> {
    mode.strip_prefix("container:")
}

/// An entry of `VolumesFrom`, taken apart: container and mode (`ro`, `rw`, `z`, …), if any.
pub(super) fn of_volumes_from(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once(':') {
        Some((peer, mode)) => (peer, Some(mode)),
        None => (entry, None),
    }
}

/// A link, taken apart: container and alias. The engine answers `/source:/self/alias` and takes
/// `source:alias`.
pub(super) fn of_link(link: &str) -> (&str, &str) {
    let (source, alias) = link.split_once(':').unwrap_or((link, link));
    let alias = alias.rsplit_once('/').map_or(alias, |(_, alias)| alias);
    (source.trim_start_matches('/'), alias.trim_start_matches('/'))
}

/// Turns every reference to the container `from` into one to the container `to`: for a container that leans on one
/// that is being replaced.
pub fn lean_on(recreation: &mut Recreation, from: &str, to: &str) {
    let host = &mut recreation.body["HostConfig"];
    for mode in MODES {
        if of_mode(host[mode].as_str().unwrap_or("")) == Some(from) {
            host[mode] = Value::String(format!("container:{to}"));
        }
    }
    replace_each(&mut host["VolumesFrom"], |entry| match of_volumes_from(entry) {
        (peer, None) if peer == from => Some(to.to_owned()),
        (peer, Some(mode)) if peer == from => Some(format!("{to}:{mode}")),
        _ => None,
    });
    replace_each(&mut host["Links"], |link| match of_link(link) {
        (source, alias) if source == from => Some(format!("{to}:{alias}")),
        _ => None,
    });
    for peer in recreation.peers.iter_mut().filter(|peer| peer.name == from) {
        to.clone_into(&mut peer.name);
    }
}

/// Says which id the container `name` has, once it exists.
pub fn identify(recreation: &mut Recreation, name: &str, id: &str) {
    for peer in recreation.peers.iter_mut().filter(|peer| peer.name == name) {
        id.clone_into(&mut peer.id);
    }
}

fn replace_each(list: &mut Value, new: impl Fn(&str) -> Option<String>) {
    for entry in list.as_array_mut().into_iter().flatten() {
        if let Some(text) = entry.as_str().and_then(&new) {
            *entry = Value::String(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(id: &str, name: &str) -> Container {
        Container::new(json!({"Id": id, "Name": format!("/{name}")}))
    }

    #[test]
    fn a_name_comes_before_the_start_of_an_id() {
        let all = [container("abc111", "other"), container("fff222", "abc")];
        let found = |text| find(text, &all).map(Container::id);
        assert_eq!(found("abc"), Some("fff222"));
        assert_eq!(found("abc1"), Some("abc111"));
        assert_eq!(found("abc111"), Some("abc111"));
        assert_eq!(found("/abc"), Some("fff222"));
        assert_eq!(found("nobody"), None);
        let twins = [container("abc111", "one"), container("abc222", "two")];
        assert_eq!(find("abc", &twins), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn every_way_to_lean_is_turned_to_the_new_container() {
        let body = json!({ "HostConfig": {
            "NetworkMode": "container:web", "IpcMode": "container:other", "PidMode": "host",
            "VolumesFrom": ["web:ro", "web", "webs"], "Links": ["web:db", "cache:web"],
        } });
        let peers = vec![super::super::Peer { id: "old".into(), name: "web".into() }];
        let mut recreation = Recreation { body, connects: vec![], sources: vec![], findings: vec![], peers };
        lean_on(&mut recreation, "web", "web.new");
        identify(&mut recreation, "web.new", "new-id");
        let wanted = json!({
            "NetworkMode": "container:web.new", "IpcMode": "container:other", "PidMode": "host",
            "VolumesFrom": ["web.new:ro", "web.new", "webs"], "Links": ["web.new:db", "cache:web"],
        });
        assert_eq!(recreation.body["HostConfig"], wanted);
        assert_eq!(recreation.peers[0].id, "new-id");
    }

    #[test]
    fn links_and_entries_are_taken_apart() {
        assert_eq!(of_link("/db:/web/database"), ("db", "database"));
        assert_eq!(of_link("db:database"), ("db", "database"));
        assert_eq!(of_link("db"), ("db", "db"));
        assert_eq!(of_volumes_from("data:ro"), ("data", Some("ro")));
        assert_eq!(of_volumes_from("data"), ("data", None));
        assert_eq!(of_mode("container:x"), Some("x"));
        assert_eq!(of_mode("bridge"), None);
    }
}
