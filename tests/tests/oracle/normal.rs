//! What two containers with the same settings may still differ in: ids, names the engine made up, runtime
//! values, and orders that mean nothing. Everything else is compared as it stands.

use serde_json::{Map, Value, json};

/// The settings of a container, fit to be compared.
pub(crate) fn settings(inspect: &Value) -> Value {
    json!({
        "Config": config(inspect),
        "HostConfig": host(inspect),
        "Networks": networks(inspect),
        "Mounts": mounts(inspect),
        "Image": inspect["Image"],
    })
}

/// Every leaf that differs, as `path: ours != fresh`.
pub(crate) fn differences(path: &str, ours: &Value, fresh: &Value) -> Vec<String> {
    match (ours, fresh) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter()
                .flat_map(|key| differences(&format!("{path}.{key}"), &ours[key], &fresh[key]))
                .collect()
        }
        _ if ours == fresh => Vec::new(),
        _ => vec![format!("{path}: ours {ours}, fresh {fresh}")],
    }
}

fn config(inspect: &Value) -> Value {
    let mut config = inspect["Config"].as_object().cloned().unwrap_or_default();
    // Whoever creates a container in the foreground asks to be attached.
    config.retain(|field, _| !field.starts_with("Attach"));
    if config.get("Hostname").and_then(Value::as_str) == Some(short_id(inspect)) {
        config.insert("Hostname".to_owned(), json!("<own id>"));
    }
    // The command line sends variables in an order of its own, another one every time; that ours keep the
    // order of the old container is for `compare` to see.
    config.insert("Env".to_owned(), sorted(texts(&inspect["Config"]["Env"])));
    Value::Object(config)
}

fn host(inspect: &Value) -> Value {
    let mut host = inspect["HostConfig"].as_object().cloned().unwrap_or_default();
    let binds = texts(&inspect["HostConfig"]["Binds"]).into_iter().map(|bind| match bind.split_once(':') {
        Some((name, target)) if is_anonymous(name) => target.to_owned(),
        _ => bind,
    });
    host.insert("Binds".to_owned(), sorted(binds.collect()));
    let own = format!(":{}/", text(&inspect["Name"]));
    let links = texts(&inspect["HostConfig"]["Links"]).into_iter().map(|link| link.replace(&own, ":/self/"));
    host.insert("Links".to_owned(), sorted(links.collect()));
    let specs = inspect["HostConfig"]["Mounts"].as_array().into_iter().flatten().map(|spec| {
        let mut spec = spec.as_object().cloned().unwrap_or_default();
        if spec.get("Source").and_then(Value::as_str).is_some_and(is_anonymous) {
            spec.remove("Source");
        }
        spec
    });
    // What remains of an anonymous volume says no more than the list of mounts does.
    let is_plain = |spec: &Map<String, Value>| {
        text(&json!(spec)["Type"]) == "volume"
            && spec.keys().all(|key| matches!(key.as_str(), "Type" | "Target"))
    };
    let specs: Vec<Value> = specs.filter(|spec| !is_plain(spec)).map(Value::Object).collect();
    host.insert("Mounts".to_owned(), json!(specs));
    Value::Object(host)
}

fn networks(inspect: &Value) -> Value {
    let short = short_id(inspect);
    let networks = inspect["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let endpoint = |endpoint: &Value| {
        let aliases = texts(&endpoint["Aliases"]).into_iter().filter(|alias| alias != short);
        json!({
            "IPAMConfig": spoken(&endpoint["IPAMConfig"]),
            "Links": spoken(&endpoint["Links"]),
            "DriverOpts": spoken(&endpoint["DriverOpts"]),
            "GwPriority": endpoint["GwPriority"],
            "MacAddress": endpoint["MacAddress"],
            "Aliases": sorted(aliases.collect()),
        })
    };
    Value::Object(networks.iter().map(|(name, found)| (name.clone(), endpoint(found))).collect())
}

fn mounts(inspect: &Value) -> Value {
    let mount = |mount: &Value| {
        let target = text(&mount["Destination"]).to_owned();
        let mut mount = mount.as_object().cloned().unwrap_or_default();
        if mount.get("Type").and_then(Value::as_str) == Some("volume") {
            let name = mount.get("Name").and_then(Value::as_str).unwrap_or("");
            let name = if is_anonymous(name) { "<anonymous>".to_owned() } else { name.to_owned() };
            mount.insert("Name".to_owned(), json!(name));
            // Where it lies, and a relabelling mode that named volumes get by themselves.
            mount.remove("Source");
            mount.remove("Mode");
        }
        (target, Value::Object(mount))
    };
    Value::Object(inspect["Mounts"].as_array().into_iter().flatten().map(mount).collect())
}

/// Does it say anything? An endpoint connected later has `{}` where one of the create has null.
fn spoken(value: &Value) -> Value {
    if *value == json!({}) { Value::Null } else { value.clone() }
}

pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
}

fn sorted(mut list: Vec<String>) -> Value {
    list.sort();
    json!(list)
}

fn short_id(inspect: &Value) -> &str {
    text(&inspect["Id"]).get(..12).unwrap_or("")
}
