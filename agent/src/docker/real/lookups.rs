//! Questions about one object, answered raw, and only for the very object that was asked for.
//!
//! The engine also takes beginnings of ids as names. Nothing here may: a container called `ab12` must not be
//! mistaken for the one whose id begins so.

use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::Value;

use super::super::transport::{bad_answer, reference_path, segment};
use super::{CHANGE, Container, EngineError, EngineInfo, Image, QUICK, RealEngine, Volume};

/// How many containers are inspected at a time.
const INSPECTS: usize = 4;

impl RealEngine {
    pub(super) async fn read_info(&self) -> Result<EngineInfo, EngineError> {
        let action = "give its version";
        let answer = self.client.request(action, Method::GET, "/version", None, QUICK).await?;
        let version = answer.accepted(action)?;
        let info = self.raw_info().await?;
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        Ok(EngineInfo {
            version: text(&version["Version"]),
            api: self.api,
            os: text(&version["Os"]),
            architecture: text(&version["Arch"]),
            root_dir: text(&info["DockerRootDir"]),
            storage_driver: text(&info["Driver"]),
            default_runtime: text(&info["DefaultRuntime"]),
            default_log_driver: text(&info["LoggingDriver"]),
            cgroup_version: if info["CgroupVersion"] == "2" { 2 } else { 1 },
            engine_id: text(&info["ID"]),
        })
    }

    pub(in crate::docker) async fn raw_info(&self) -> Result<Value, EngineError> {
        let action = "describe itself";
        self.client.request(action, Method::GET, "/info", None, QUICK).await?.accepted(action)
    }

    pub(in crate::docker) async fn inspect(
        &self,
        id_or_name: &str,
    ) -> Result<Option<Container>, EngineError> {
        let name = id_or_name.trim_start_matches('/');
        if !can_be_a_name(name) {
            return Ok(None);
        }
        let path = format!("/containers/{}/json", segment(name));
        let found = self.client.look_up(&format!("inspect container {name}"), &path, QUICK).await?;
        let found = found.map(Container::new);
        Ok(found.filter(|container| container.id() == name || container.name() == name))
    }

    /// The engine adds it up only when it is asked to, which takes as long as walking through the layer.
    pub(super) async fn layer_size(&self, id: &str) -> Result<Option<u64>, EngineError> {
        let action = format!("tell the size of container {id}");
        let path = format!("/containers/{}/json?size=true", segment(id));
        let answer = self.client.request(&action, Method::GET, &path, None, CHANGE).await?;
        // Negative where it failed.
        Ok(answer.accepted(&action)?["SizeRw"].as_u64())
    }

    pub(super) async fn inspect_all(&self) -> Result<Vec<Container>, EngineError> {
        let action = "list containers";
        let answer = self.client.request(action, Method::GET, "/containers/json?all=1", None, QUICK).await?;
        let Value::Array(list) = answer.accepted(action)? else {
            return Err(bad_answer(action, "it gave no list"));
        };
        let ids: Vec<String> =
            list.iter().filter_map(|entry| entry["Id"].as_str()).map(str::to_owned).collect();
        let found: Vec<Option<Container>> = stream::iter(ids)
            .map(|id| async move { self.inspect(&id).await })
            .buffered(INSPECTS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) async fn inspect_network(&self, id_or_name: &str) -> Result<Option<Value>, EngineError> {
        if !can_be_a_name(id_or_name) {
            return Ok(None);
        }
        let path = format!("/networks/{}", segment(id_or_name));
        let found = self.client.look_up(&format!("inspect network {id_or_name}"), &path, QUICK).await?;
        Ok(found.filter(|network| network["Id"] == id_or_name || network["Name"] == id_or_name))
    }

    pub(super) async fn inspect_volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        if !can_be_a_name(name) {
            return Ok(None);
        }
        let path = format!("/volumes/{}", segment(name));
        let found = self.client.look_up(&format!("inspect volume {name}"), &path, QUICK).await?;
        Ok(found.filter(|volume| volume["Name"] == name).map(|volume| read_volume(&volume)))
    }

    pub(super) async fn inspect_image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        if reference.is_empty() {
            return Ok(None);
        }
        let path = format!("/images/{}/json", reference_path(reference));
        let found = self.client.look_up(&format!("inspect image {reference}"), &path, QUICK).await?;
        Ok(found.map(Image::new).filter(|image| is_meant(image, reference)))
    }
}

/// Could an object be called so? With a slash it would be another page of the API, encoded or not: the engine
/// decodes before it takes paths apart.
fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

fn read_volume(raw: &Value) -> Volume {
    let pairs = |map: &Value| {
        let pairs = map.as_object().into_iter().flatten();
        pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or("").to_owned())).collect()
    };
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    Volume {
        name: text(&raw["Name"]),
        driver: text(&raw["Driver"]),
        mountpoint: text(&raw["Mountpoint"]),
        labels: pairs(&raw["Labels"]),
        options: pairs(&raw["Options"]),
    }
}

/// Was `image` found by what was asked, and not because its id begins so?
fn is_meant(image: &Image, reference: &str) -> bool {
    let hex = reference.strip_prefix("sha256:").unwrap_or(reference);
    if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let tags = image.raw()["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut named = tags.chain(image.repo_digests()).map(|name| name.split([':', '@']).next().unwrap_or(""));
    image.id().strip_prefix("sha256:") == Some(hex) || named.any(|repository| repository == reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_beginning_of_an_image_id_is_not_that_image() {
        let image =
            Image::new(json!({ "Id": "sha256:abcd12", "RepoTags": ["cafe:latest"], "RepoDigests": [] }));
        for meant in ["sha256:abcd12", "abcd12", "cafe", "cafe:latest"] {
            assert!(is_meant(&image, meant), "{meant}");
        }
        for other in ["abcd", "sha256:abcd"] {
            assert!(!is_meant(&image, other), "{other}");
        }
    }

    #[test]
    fn a_volume_without_labels_or_options_has_none() {
        let raw = json!({ "Name": "v", "Driver": "local", "Mountpoint": "/m", "Labels": null, "Options": {"o": "bind"} });
        let volume = read_volume(&raw);
        assert!(volume.labels.is_empty());
        assert_eq!(volume.options.get("o").map(String::as_str), Some("bind"));
    }
}
