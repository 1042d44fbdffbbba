//! Small containers, images and engines for the tests of every part.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::docker::{ApiVersion, Container, EngineInfo, Image};

use super::{Choices, NetworkRecord, Old, RecreateError, Recreation, Surroundings, Target, recreate};

/// Id of the old container; its short id is `aaaaaaaaaaaa`.
pub(super) const OLD_ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Name of an anonymous volume.
pub(super) const ANONYMOUS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// One case: everything a plan depends on, to be changed where a test wants it otherwise.
pub(super) struct Case {
    pub(super) container: Value,
    pub(super) image: Option<Value>,
    pub(super) new_image: Value,
    pub(super) others: Vec<Container>,
    pub(super) networks: Vec<Value>,
    pub(super) network_record: NetworkRecord,
    pub(super) choices: Choices,
    pub(super) engine: EngineInfo,
}

/// A running container with these settings, from an image that sets nothing, on an engine of API 1.41.
pub(super) fn case(config: Value, host: Value) -> Case {
    let networks = ["bridge", "one", "two"].map(|name| json!({"Name": name, "Id": format!("{name}-id")}));
    Case {
        container: json!({
            "Id": OLD_ID, "Name": "/web", "Image": "sha256:old", "State": {"Status": "running"},
            "Config": config, "HostConfig": host, "Mounts": [], "NetworkSettings": {"Networks": {"bridge": {}}},
        }),
        image: Some(json!({"Id": "sha256:old", "Config": {}})),
        new_image: json!({"Id": "sha256:new", "Config": {}}),
        others: Vec::new(),
        networks: networks.to_vec(),
        network_record: NetworkRecord::default(),
        choices: Choices { keep_volumes: true, fresh_volume_names: BTreeMap::new() },
        engine: EngineInfo {
            version: "20.10.24".to_owned(),
            api: ApiVersion { major: 1, minor: 41 },
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            root_dir: "/var/lib/docker".to_owned(),
            storage_driver: "overlay2".to_owned(),
            default_runtime: "runc".to_owned(),
            default_log_driver: "json-file".to_owned(),
            cgroup_version: 1,
            engine_id: "test".to_owned(),
        },
    }
}

impl Case {
    pub(super) fn images(mut self, old: Value, new: Value) -> Self {
        self.image = Some(json!({"Id": "sha256:old", "Config": old}));
        self.new_image = json!({"Id": "sha256:new", "Config": new});
        self
    }

    pub(super) fn mounts(mut self, mounts: Value) -> Self {
        self.container["Mounts"] = mounts;
        self
    }

    pub(super) fn endpoints(mut self, networks: Value) -> Self {
        self.container["NetworkSettings"]["Networks"] = networks;
        self
    }

    pub(super) fn other(mut self, id: &str, name: &str, mounts: Value) -> Self {
        let other = json!({"Id": id, "Name": format!("/{name}"), "Mounts": mounts});
        self.others.push(Container::new(other));
        self
    }

    pub(super) fn api(mut self, minor: u16) -> Self {
        self.engine.api.minor = minor;
        self
    }

    pub(super) fn try_plan(&self) -> Result<Recreation, RecreateError> {
        let container = Container::new(self.container.clone());
        let (image, new_image) = (self.image.clone().map(Image::new), Image::new(self.new_image.clone()));
        let around = Surroundings {
            engine: &self.engine,
            containers: &self.others,
            networks: &self.networks,
            network_record: &self.network_record,
        };
        let old = Old { container: &container, image: image.as_ref() };
        recreate(old, Target { image: &new_image, reference: "app@sha256:1" }, around, &self.choices)
    }

    pub(super) fn plan(&self) -> Recreation {
        self.try_plan().unwrap()
    }
}
