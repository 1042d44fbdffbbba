//! `HostConfig`, field by field: the plan's own words, or what this engine makes of them.

use serde_json::{Map, Value, json};

use super::super::json::{keys, pairs, says_nothing, text, texts};
use super::super::peers;
use super::Proof;
use super::same::union_of_keys;

impl Proof<'_> {
    pub(super) fn host(&mut self) {
        let (planned, found) = (&self.plan.body["HostConfig"], &self.created.raw()["HostConfig"]);
        for field in union_of_keys(keys(planned), keys(found)) {
            let (planned, found) = (&planned[field], &found[field]);
            let path = format!("HostConfig.{field}");
            match field {
                "ConsoleSize" => {}
                "Runtime" | "MemorySwappiness" if planned.is_null() && self.is_default(field, found) => {}
                "NetworkMode" | "IpcMode" | "PidMode" => {
                    let (planned, found) = (self.mode(field, planned), self.mode(field, found));
                    self.same(&path, &planned, &found);
                }
                "Links" => self.same(&path, &link_set(planned), &link_set(found)),
                "CapAdd" | "CapDrop" => self.same(&path, &capabilities(planned), &capabilities(found)),
                "RestartPolicy" => self.same(&path, &policy(planned), &policy(found)),
                "LogConfig" => self.same(&path, planned, &self.without_log_defaults(planned, found)),
                "Ulimits" => self.same(&path, planned, &without_other_limits(planned, found)),
                _ => self.same(&path, planned, found),
            }
        }
    }

    /// What the engine puts where the plan says nothing.
    fn is_default(&self, field: &str, found: &Value) -> bool {
        match field {
            "Runtime" => says_nothing(found) || text(found) == self.engine.default_runtime,
            _ => found.is_null() || found.as_i64() == Some(-1),
        }
    }

    /// A mode that names a container, with the name in place of the id; newer engines call the default
    /// network by its name.
    fn mode(&self, field: &str, mode: &Value) -> Value {
        if field == "NetworkMode" && matches!(text(mode), "" | "default") {
            return json!("bridge");
        }
        let peer = peers::of_mode(text(mode));
        let known = peer.and_then(|peer| self.plan.peers.iter().find(|known| known.id == peer));
        known.map_or_else(|| mode.clone(), |known| json!(format!("container:{}", known.name)))
    }

    /// Containers with the engine's default driver also get the engine's default options, those it has now.
    fn without_log_defaults(&self, planned: &Value, found: &Value) -> Value {
        let mut found = found.clone();
        let is_default = text(&found["Type"]) == self.engine.default_log_driver;
        if let Some(options) = found.get_mut("Config").and_then(Value::as_object_mut).filter(|_| is_default) {
            options.retain(|option, _| planned["Config"].get(option).is_some());
        }
        found
    }
}

/// The engine adds its own default limits to those a container asks for.
fn without_other_limits(planned: &Value, found: &Value) -> Value {
    let asked: Vec<&str> =
        planned.as_array().into_iter().flatten().map(|limit| text(&limit["Name"])).collect();
    let found = found.as_array().into_iter().flatten();
    found.filter(|limit| asked.contains(&text(&limit["Name"]))).cloned().collect()
}

/// As current engines write them; earlier ones kept what they were given.
fn capabilities(list: &Value) -> Value {
    let full = |name: &str| match name.to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    let mut list: Vec<String> = texts(list).into_iter().map(full).collect();
    list.sort();
    json!(list)
}

/// No policy is the policy `no`.
fn policy(policy: &Value) -> Value {
    let said = pairs(policy)
        .filter(|(field, value)| !says_nothing(value) && (*field, text(value)) != ("Name", "no"));
    Value::Object(said.map(|(field, value)| (field.to_owned(), value.clone())).collect::<Map<_, _>>())
}

fn link_set(links: &Value) -> Value {
    let mut links: Vec<String> = texts(links)
        .into_iter()
        .map(peers::of_link)
        .map(|(source, alias)| format!("{source}:{alias}"))
        .collect();
    links.sort();
    json!(links)
}
