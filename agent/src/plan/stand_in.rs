//! The stand-in: what a container that cannot be parked is parked as. A container of Docker Compose cannot, because its
//! labels stay with it, and Compose would start it as an instance of its service. Pure.

use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::archives::mount_targets;
use super::{MADE_LABEL, Names, REDEPLOY_LABEL};
use crate::archive::Selection;
use crate::docker::{Container, Image, MountKind};
use crate::guest_path::GuestPath;
use crate::observe::Observed;

/// A container that is never started and holds another one's root.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// Its name from when it is whole until it takes the parked one's.
    pub temporary_name: String,
    /// How it is created.
    pub body: Value,
    /// Which part of the root it holds: all but what the engine owns and what is mounted.
    pub selection: Selection,
    /// Is there anything of the user's in the root? Not in a read-only one.
    pub has_root: bool,
}

/// The stand-in that a new container gets its whole root from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootFrom {
    /// Full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Which part of the root.
    pub selection: Selection,
    /// Is there anything of the user's in it?
    pub has_root: bool,
}

/// On a container that holds another one's root.
pub const MADE_STAND_IN: &str = "stand-in";

/// What all labels of Compose begin with.
const COMPOSE: &str = "com.docker.compose.";

/// The stand-in of the observed container, if it needs one and its image is there to make it from.
#[must_use]
pub fn make_stand_in(id: RedeployId, observed: &Observed) -> Option<Box<StandIn>> {
    let image = observed.old_image.as_ref()?;
    compose_project(&observed.container, Some(image))?;
    let mut exclude = observed.inside.engine_owned.clone();
    exclude.extend(mount_targets(&observed.container));
    exclude.sort();
    exclude.dedup();
    Some(Box::new(StandIn {
        temporary_name: Names::new(observed.container.name(), id).stand_in(),
        body: body(id, &observed.container, image),
        selection: Selection { include: vec![GuestPath::root()], exclude },
        has_root: !observed.inside.read_only,
    }))
}

/// What Compose, and not the image, says about the container under `name`.
#[must_use]
pub fn compose_label<'a>(container: &'a Container, image: Option<&Image>, name: &str) -> Option<&'a str> {
    let label = format!("{COMPOSE}{name}");
    let of_image = image.and_then(|image| image.raw()["Config"]["Labels"][&label].as_str());
    container.label(&label).filter(|value| !value.is_empty() && Some(*value) != of_image)
}

/// The project of a container that Compose made. One whose labels of Compose are all its image's, it did not make.
#[must_use]
pub fn compose_project<'a>(container: &'a Container, image: Option<&Image>) -> Option<&'a str> {
    let labels = container.raw()["Config"]["Labels"].as_object()?;
    let mut names = labels.keys().filter_map(|label| label.strip_prefix(COMPOSE));
    names.find(|name| compose_label(container, image, name).is_some())?;
    container.label("com.docker.compose.project").filter(|project| !project.is_empty())
}

/// It is never started: no network, no ports, no program. It holds the volumes, so that nobody's prune takes them; what
/// the image has at their places is not copied into them.
fn body(id: RedeployId, container: &Container, image: &Image) -> Value {
    let mut labels = Map::new();
    // An image built by Compose hands its labels on unless they are overridden.
    for (label, _) in image.raw()["Config"]["Labels"].as_object().into_iter().flatten() {
        if label.starts_with(COMPOSE) {
            labels.insert(label.clone(), json!(""));
        }
    }
    labels.insert(REDEPLOY_LABEL.to_owned(), json!(id.to_string()));
    labels.insert(MADE_LABEL.to_owned(), json!(MADE_STAND_IN));
    let mounts = container.mounts().into_iter().filter_map(|mount| match mount.kind {
        MountKind::Volume { name, .. } => Some(json!({
            "Type": "volume", "Source": name, "Target": mount.target, "VolumeOptions": { "NoCopy": true },
        })),
        MountKind::Bind { .. } | MountKind::Tmpfs | MountKind::Other(_) => None,
    });
    let mut host = json!({
        "NetworkMode": "none", "RestartPolicy": { "Name": "no" }, "Mounts": mounts.collect::<Vec<_>>(),
    });
    let quota = &container.raw()["HostConfig"]["StorageOpt"];
    if quota.is_object() {
        host["StorageOpt"] = quota.clone();
    }
    json!({
        "Image": container.image_id(), "Entrypoint": ["/a-stand-in-is-never-started"], "Cmd": [],
        "Labels": labels, "HostConfig": host,
    })
}

/// Is this container a stand-in?
#[must_use]
pub fn is_stand_in(container: &Container) -> bool {
    container.label(MADE_LABEL) == Some(MADE_STAND_IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_label_of_compose_and_keeps_the_volumes() {
        let id = RedeployId::generate();
        let container = Container::new(json!({
            "Image": "sha256:1",
            "Config": { "Labels": { "com.docker.compose.project": "shop" } },
            "HostConfig": { "StorageOpt": { "size": "1G" }, "PortBindings": { "80/tcp": [{ "HostPort": "80" }] } },
            "Mounts": [
                { "Type": "volume", "Name": "data", "Driver": "local", "Destination": "/data", "RW": true },
                { "Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": true },
            ],
        }));
        let image =
            Image::new(json!({ "Config": { "Labels": { "com.docker.compose.service": "web", "x": "1" } } }));
        let body = body(id, &container, &image);
        let labels = json!({
            "com.docker.compose.service": "", "io.redeploy.id": id.to_string(), "io.redeploy.made": "stand-in",
        });
        assert_eq!(body["Labels"], labels);
        assert_eq!(body["HostConfig"]["Mounts"][0]["Source"], "data");
        assert_eq!(body["HostConfig"]["Mounts"].as_array().unwrap().len(), 1);
        assert_eq!(body["HostConfig"]["StorageOpt"]["size"], "1G");
        assert!(body["HostConfig"].get("PortBindings").is_none());
    }
}
