//! What the engine makes of a create body and an image: the merge it does, done here once more, so that the
//! result can be proved.

use serde_json::{Map, Value, json};

use super::env;
use super::json::{clean_path, pairs, says_nothing, texts};

/// The `Config` a container must show that was created with `body` from an image with the configuration
/// `image`.
pub(super) fn expected_config(body: &Value, image: &Value) -> Map<String, Value> {
    let mut merged = Map::new();
    for (field, value) in
        pairs(body).filter(|(field, _)| !matches!(*field, "HostConfig" | "NetworkingConfig"))
    {
        merged.insert(field.to_owned(), value.clone());
    }
    for field in ["User", "WorkingDir", "StopSignal"] {
        merged.insert(field.to_owned(), first_said(&body[field], &image[field]).clone());
    }
    merged.insert("Env".to_owned(), env(&body["Env"], &image["Env"]));
    for field in ["Labels", "ExposedPorts"] {
        merged.insert(field.to_owned(), union(&image[field], &body[field], str::to_owned));
    }
    merged.insert("Volumes".to_owned(), union(&image["Volumes"], &body["Volumes"], clean_path));
    merged.insert("Healthcheck".to_owned(), health(&body["Healthcheck"], &image["Healthcheck"]));
    let (entrypoint, cmd) = command(body, image);
    merged.insert("Entrypoint".to_owned(), entrypoint);
    merged.insert("Cmd".to_owned(), cmd);
    merged
}

fn first_said<'a>(ours: &'a Value, image: &'a Value) -> &'a Value {
    if says_nothing(ours) { image } else { ours }
}

fn env(ours: &Value, image: &Value) -> Value {
    let mut entries = texts(ours);
    let missing: Vec<&str> = texts(image)
        .into_iter()
        .filter(|theirs| !entries.iter().any(|entry| env::name(entry) == env::name(theirs)))
        .collect();
    entries.extend(missing);
    json!(entries)
}

/// Ours win.
fn union(image: &Value, ours: &Value, key: impl Fn(&str) -> String) -> Value {
    let all = pairs(image).chain(pairs(ours));
    Value::Object(all.map(|(name, value)| (key(name), value.clone())).collect())
}

fn health(ours: &Value, image: &Value) -> Value {
    let set = pairs(ours).filter(|(_, value)| !says_nothing(value));
    let all = pairs(image).chain(set);
    Value::Object(all.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

fn command(body: &Value, image: &Value) -> (Value, Value) {
    let (entrypoint, cmd) = (&body["Entrypoint"], &body["Cmd"]);
    if *entrypoint == json!([""]) {
        return (Value::Null, cmd.clone());
    }
    if !says_nothing(entrypoint) {
        return (entrypoint.clone(), cmd.clone());
    }
    let entrypoint = if entrypoint.is_null() { image["Entrypoint"].clone() } else { entrypoint.clone() };
    (entrypoint, first_said(cmd, &image["Cmd"]).clone())
}
