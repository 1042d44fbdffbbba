//! What the engine makes of a create body: the image's settings merged in, defaults filled. Pure.
//!
//! The rules are those of Docker Engine 20.10, each seen there (`docker inspect` after create).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const FALSE_UNLESS_SET: &[&str] =
    &["AutoRemove", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "OomKillDisable"];

const ZERO_UNLESS_SET: &[&str] = &[
    "OomScoreAdj",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "MemorySwap",
    "BlkioWeight",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "KernelMemory",
    "KernelMemoryTCP",
    "MemoryReservation",
];

const EMPTY_UNLESS_SET: &[&str] = &[
    "ContainerIDFile",
    "VolumeDriver",
    "Cgroup",
    "CgroupParent",
    "CpusetCpus",
    "CpusetMems",
    "PidMode",
    "UTSMode",
    "UsernsMode",
    "Isolation",
];

const NULL_UNLESS_SET: &[&str] = &[
    "Binds",
    "VolumesFrom",
    "CapAdd",
    "CapDrop",
    "ExtraHosts",
    "GroupAdd",
    "Links",
    "SecurityOpt",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "PortBindings",
    "MemorySwappiness",
    "PidsLimit",
    "Ulimits",
];

const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// The `Config` of a new container.
pub(super) fn merged_config(body: &Value, image: &Value, reference: &str, id: &str) -> Value {
    let mut config = Map::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "HostConfig" | "NetworkingConfig") {
            config.insert(key.clone(), value.clone());
        }
    }
    config.insert("Image".into(), json!(reference));
    merge_command(&mut config, image);
    config.insert("Env".into(), merge_env(&body["Env"], &image["Env"]));
    for key in ["Labels", "ExposedPorts", "Volumes"] {
        config.insert(key.into(), union(&body[key], &image[key]));
    }
    for key in ["User", "WorkingDir"] {
        if text(&body[key]).is_empty() {
            config.insert(key.into(), json!(text(&image[key])));
        }
    }
    // The engine leaves this one out when nobody set it.
    config.shift_remove("StopSignal");
    if let Some(signal) =
        [&body["StopSignal"], &image["StopSignal"]].into_iter().find(|s| !text(s).is_empty())
    {
        config.insert("StopSignal".into(), signal.clone());
    }
    merge_healthcheck(&mut config, &image["Healthcheck"]);
    if text(&body["Hostname"]).is_empty() {
        config.insert("Hostname".into(), json!(id.get(..12).unwrap_or(id)));
    }
    for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
        config.entry(key).or_insert(json!(false));
    }
    config.entry("Domainname").or_insert(json!(""));
    Value::Object(config)
}

/// The `HostConfig` of a new container: what was sent, over the engine's defaults.
pub(super) fn filled_host_config(sent: &Value) -> Value {
    let mut filled = default_host_config();
    for (key, value) in sent.as_object().into_iter().flatten() {
        let is_default = value.is_null() || value == "";
        if !is_default || filled[key].is_null() {
            filled[key] = value.clone();
        }
    }
    let policy = &filled["RestartPolicy"];
    let (name, retries) = (text(&policy["Name"]), policy["MaximumRetryCount"].as_i64().unwrap_or(0));
    filled["RestartPolicy"] = json!({ "Name": name, "MaximumRetryCount": retries });
    let memory = filled["Memory"].as_i64().unwrap_or(0);
    if filled["MemorySwap"] == 0 && memory > 0 {
        filled["MemorySwap"] = json!(memory.saturating_mul(2));
    }
    filled
}

/// The defaults Engine 20.10 bakes into every container.
fn default_host_config() -> Value {
    let mut defaults = json!({
        "NetworkMode": "default", "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 },
        "LogConfig": { "Type": "json-file", "Config": {} }, "CgroupnsMode": "host", "IpcMode": "private",
        "ShmSize": 67_108_864, "Runtime": "runc", "ConsoleSize": [0, 0], "MaskedPaths": MASKED_PATHS,
        "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    });
    for key in FALSE_UNLESS_SET {
        defaults[key] = json!(false);
    }
    for key in ZERO_UNLESS_SET {
        defaults[key] = json!(0);
    }
    for key in EMPTY_UNLESS_SET {
        defaults[key] = json!("");
    }
    for key in NULL_UNLESS_SET {
        defaults[key] = Value::Null;
    }
    defaults
}

/// `[""]` resets the image's entrypoint; a command of the image is taken only when neither was given.
fn merge_command(config: &mut Map<String, Value>, image: &Value) {
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_empty(config.get("Entrypoint")) {
        if is_empty(config.get("Cmd")) {
            config.insert("Cmd".into(), image["Cmd"].clone());
        }
        if config.get("Entrypoint").is_none_or(Value::is_null) {
            config.insert("Entrypoint".into(), image["Entrypoint"].clone());
        }
    }
    if config.get("Entrypoint") == Some(&json!([""])) {
        config.insert("Entrypoint".into(), Value::Null);
    }
    config.entry("Cmd").or_insert(Value::Null);
}

/// The user's entries in their order, then the image's whose name is missing. An entry without `=` names a
/// variable too, and so keeps the image's away.
fn merge_env(user: &Value, image: &Value) -> Value {
    let entries = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let name = |entry: &str| entry.split('=').next().unwrap_or("").to_owned();
    let mut merged = entries(user);
    let named: BTreeSet<String> = merged.iter().map(|entry| name(entry)).collect();
    merged.extend(entries(image).into_iter().filter(|entry| !named.contains(&name(entry))));
    json!(merged)
}

fn union(user: &Value, image: &Value) -> Value {
    let mut both = user.as_object().cloned().unwrap_or_default();
    for (key, value) in image.as_object().into_iter().flatten() {
        both.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if both.is_empty() { Value::Null } else { Value::Object(both) }
}

fn merge_healthcheck(config: &mut Map<String, Value>, image: &Value) {
    if image.is_null() {
        return;
    }
    let check = config.entry("Healthcheck").or_insert(Value::Null);
    if check.is_null() {
        *check = image.clone();
        return;
    }
    for (key, value) in image.as_object().into_iter().flatten() {
        let unset = match &check[key] {
            Value::Null => true,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::Array(list) => list.is_empty(),
            Value::Bool(_) | Value::String(_) | Value::Object(_) => false,
        };
        if unset {
            check[key] = value.clone();
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_the_users_prefix_then_the_images_rest() {
        let merged = merge_env(&json!(["B=mine", "GONE"]), &json!(["A=1", "B=2", "GONE=3"]));
        assert_eq!(merged, json!(["B=mine", "GONE", "A=1"]));
    }

    #[test]
    fn an_entrypoint_of_the_user_drops_the_images_command() {
        let image = json!({ "Entrypoint": ["/entry"], "Cmd": ["serve"] });
        let merged = |body: Value| merged_config(&body, &image, "i", "0123456789abcdef");
        let inherited = merged(json!({}));
        assert_eq!((&inherited["Entrypoint"], &inherited["Cmd"]), (&json!(["/entry"]), &json!(["serve"])));
        let own = merged(json!({ "Entrypoint": ["/mine"] }));
        assert_eq!((&own["Entrypoint"], &own["Cmd"]), (&json!(["/mine"]), &Value::Null));
        let reset = merged(json!({ "Entrypoint": [""], "Cmd": ["/bin/x"] }));
        assert_eq!((&reset["Entrypoint"], &reset["Cmd"]), (&Value::Null, &json!(["/bin/x"])));
        assert_eq!(inherited["Hostname"], "0123456789ab");
    }

    #[test]
    fn a_healthcheck_is_merged_field_by_field() {
        let image = json!({ "Healthcheck": { "Test": ["CMD", "a"], "Interval": 5, "Retries": 3 } });
        let body = json!({ "Healthcheck": { "Test": ["NONE"], "Interval": 0 } });
        let merged = merged_config(&body, &image, "i", "x");
        assert_eq!(merged["Healthcheck"], json!({ "Test": ["NONE"], "Interval": 5, "Retries": 3 }));
    }

    #[test]
    fn host_config_defaults_are_baked_in_and_unknown_fields_kept() {
        let filled = filled_host_config(&json!({ "Memory": 100, "NetworkMode": "", "FromTheFuture": 1 }));
        assert_eq!(filled["MemorySwap"], 200);
        assert_eq!(filled["NetworkMode"], "default");
        assert_eq!(filled["FromTheFuture"], 1);
        assert_eq!(filled["RestartPolicy"], json!({ "Name": "", "MaximumRetryCount": 0 }));
    }
}
