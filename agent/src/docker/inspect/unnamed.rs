//! Volumes that the engine lists without their name.
//!
//! Flows in: a container's inspect answer. Flows out: the same with the name and driver of each volume. On
//! newer engines (seen on 28.5) a volume that came from a bare target among the binds has neither in the list of
//! mounts, only the place where its files are. Must never name a volume whose place is not one that the `local` driver gives.

use serde_json::{Value, json};

/// Where the `local` driver keeps the files of a volume: `…/volumes/NAME/_data`.
const FILES: &str = "/_data";

/// Names what has no name.
pub(super) fn name_volumes(raw: &mut Value) {
    for mount in raw["Mounts"].as_array_mut().into_iter().flatten() {
        let is_unnamed = mount["Type"] == "volume" && mount["Name"].as_str().unwrap_or("").is_empty();
        if is_unnamed && let Some(name) = local_name(&mount["Source"]) {
            mount["Name"] = json!(name);
            mount["Driver"] = json!("local");
        }
    }
}

fn local_name(source: &Value) -> Option<String> {
    let (directory, name) = source.as_str()?.strip_suffix(FILES)?.rsplit_once('/')?;
    let is_generated = name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_generated && directory.ends_with("/volumes")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_without_a_name_gets_the_one_its_files_tell() {
        let id = "ab".repeat(32);
        let source = format!("/var/lib/docker/volumes/{id}/_data");
        let mut raw = json!({ "Mounts": [
            { "Type": "volume", "Source": source, "Destination": "/a" },
            { "Type": "volume", "Name": "mine", "Driver": "nfs", "Source": source },
            { "Type": "volume", "Source": "/mnt/elsewhere/_data" },
            { "Type": "bind", "Source": source },
        ] });
        name_volumes(&mut raw);
        assert_eq!((&raw["Mounts"][0]["Name"], &raw["Mounts"][0]["Driver"]), (&json!(id), &json!("local")));
        assert_eq!((&raw["Mounts"][1]["Name"], &raw["Mounts"][1]["Driver"]), (&json!("mine"), &json!("nfs")));
        assert!(raw["Mounts"][2].get("Name").is_none() && raw["Mounts"][3].get("Name").is_none());
        let mut nothing = json!({ "Mounts": null });
        name_volumes(&mut nothing);
        assert_eq!(nothing, json!({ "Mounts": null }));
    }
}
