//! The proof after the create: does the new container have what was planned, the new image's defaults, and
//! nothing else?
//!
//! Flows in: the plan, the new image, the inspect answer of the created container with all its networks
//! connected. Flows out: every difference nobody can explain; any one fails the step. Must never show what may
//! be a secret: of variables, labels, commands and options a difference says only that they differ.

mod host;
mod same;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::docker::{Container, EngineInfo, Image};

use super::Recreation;
use super::endpoints::aliases;
use super::json::{clean_path, keys, pairs, says_nothing, short_id, text, texts};
use super::merge::expected_config;
use super::{env, peers};

use same::{presence, union_of_keys};

/// A field of the created container that is not as planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Such as `HostConfig.CapAdd` or `Config.Env[NAME]`.
    pub field: String,
    /// What was planned, in words.
    pub planned: String,
    /// What the engine shows.
    pub found: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}, planned was {}", self.field, self.found, self.planned)
    }
}

/// Every field of `created` that neither `plan` nor the defaults of `new_image` and `engine` explain.
#[must_use]
pub fn compare(
    plan: &Recreation,
    new_image: &Image,
    created: &Container,
    engine: &EngineInfo,
) -> Vec<Difference> {
    let mut proof = Proof { plan, created, engine, differences: Vec::new() };
    proof.same("Image", &json!(new_image.id()), &created.raw()["Image"]);
    let expected = expected_config(&plan.body, &new_image.raw()["Config"]);
    proof.config(&expected);
    proof.host();
    proof.networks();
    proof.mounts(&expected);
    proof.differences
}

struct Proof<'a> {
    plan: &'a Recreation,
    created: &'a Container,
    engine: &'a EngineInfo,
    differences: Vec<Difference>,
}

impl Proof<'_> {
    fn config(&mut self, expected: &Map<String, Value>) {
        let found = &self.created.raw()["Config"];
        for field in union_of_keys(expected.iter().map(|(key, _)| key.as_str()), keys(found)) {
            let planned = expected.get(field).unwrap_or(&Value::Null);
            let path = format!("Config.{field}");
            match field {
                // Of the image, or of whoever is attached.
                "OnBuild" | "Shell" | "ArgsEscaped" | "AttachStdin" | "AttachStdout" | "AttachStderr" => {}
                "Env" => self.env(planned, &found[field]),
                "Hostname" => self.hostname(planned, &found[field]),
                // Planned in one of two places, neither of which need have a key here.
                "MacAddress" => {}
                "WorkingDir" => self.same(&path, &cleaned(planned), &cleaned(&found[field])),
                "Volumes" => {
                    let found = pairs(&found[field]).map(|(key, value)| (clean_path(key), value.clone()));
                    self.same(&path, planned, &Value::Object(found.collect()));
                }
                _ => self.same(&path, planned, &found[field]),
            }
        }
        self.mac(expected.get("MacAddress").unwrap_or(&Value::Null), &found["MacAddress"]);
    }

    fn env(&mut self, planned: &Value, found: &Value) {
        let (planned, found) = (texts(planned), texts(found));
        if planned == found {
            return;
        }
        let names = union_of_keys(
            planned.iter().map(|entry| env::name(entry)),
            found.iter().map(|entry| env::name(entry)),
        );
        let before = self.differences.len();
        for name in names {
            let of = |entries: &[&str]| -> Vec<String> {
                let with_name = entries.iter().filter(|entry| env::name(entry) == name);
                with_name.map(|entry| (*entry).to_owned()).collect()
            };
            if of(&planned) != of(&found) {
                let field = format!("Config.Env[{name}]");
                self.differ(&field, presence(!of(&planned).is_empty()), presence(!of(&found).is_empty()));
            }
        }
        if self.differences.len() == before {
            self.differ("Config.Env", "one order".to_owned(), "another order".to_owned());
        }
    }

    /// Not planned: the engine takes the new id, or that of whose namespace it lives in.
    fn hostname(&mut self, planned: &Value, found: &Value) {
        let mode = |field: &str| text(&self.created.raw()["HostConfig"][field]);
        let lives_elsewhere = mode("UTSMode") == "host"
            || mode("NetworkMode") == "host"
            || peers::of_mode(mode("NetworkMode")).is_some();
        let is_generated = says_nothing(found) || text(found) == short_id(self.created.id());
        if !(says_nothing(planned) && (lives_elsewhere || is_generated)) {
            self.same("Config.Hostname", planned, found);
        }
    }

    /// From API 1.44 on it is planned with the first endpoint; engines up to 1.51 show it here all the same.
    fn mac(&mut self, planned: &Value, found: &Value) {
        let first = pairs(&self.plan.body["NetworkingConfig"]["EndpointsConfig"]).next();
        let of_endpoint = first.map_or(&Value::Null, |(_, endpoint)| &endpoint["MacAddress"]);
        let planned = if says_nothing(planned) { of_endpoint } else { planned };
        self.same("Config.MacAddress", &lower(planned), &lower(found));
    }

    fn networks(&mut self) {
        let found = &self.created.raw()["NetworkSettings"]["Networks"];
        let first = pairs(&self.plan.body["NetworkingConfig"]["EndpointsConfig"]);
        let rest = self.plan.connects.iter().map(|connect| (connect.network.as_str(), &connect.endpoint));
        let planned: Vec<(&str, &Value)> = first.chain(rest).collect();
        for (name, endpoint) in &planned {
            match found.get(*name) {
                Some(found) => self.endpoint(name, endpoint, found),
                None => self.differ(&network(name), "connected".to_owned(), "not connected".to_owned()),
            }
        }
        let mode = text(&self.created.raw()["HostConfig"]["NetworkMode"]);
        let implied = if matches!(mode, "" | "default") { "bridge" } else { mode };
        for name in keys(found) {
            let is_planned = planned.iter().any(|(planned, _)| *planned == name);
            let is_implied = planned.is_empty() && name == implied;
            if !is_planned && !is_implied {
                self.differ(&network(name), "not connected".to_owned(), "connected".to_owned());
            }
        }
    }

    fn endpoint(&mut self, name: &str, planned: &Value, found: &Value) {
        for field in ["IPAMConfig", "Links", "DriverOpts", "GwPriority"] {
            self.same(&format!("{}.{field}", network(name)), &planned[field], &found[field]);
        }
        let found_aliases = json!(aliases(found, self.created, self.engine.api));
        self.same(&format!("{}.Aliases", network(name)), &json!(texts(&planned["Aliases"])), &found_aliases);
        // An endpoint that was never up may not show its address; of the first, `Config.MacAddress` does.
        if !says_nothing(&planned["MacAddress"]) && !says_nothing(&found["MacAddress"]) {
            let (planned, found) = (lower(&planned["MacAddress"]), lower(&found["MacAddress"]));
            self.same(&format!("{}.MacAddress", network(name)), &planned, &found);
        }
    }

    /// The volumes that were named must be the ones that are mounted, and no other may be.
    fn mounts(&mut self, config: &Map<String, Value>) {
        let host = &self.plan.body["HostConfig"];
        let binds = texts(&host["Binds"]).into_iter().filter_map(|bind| {
            let mut parts = bind.split(':');
            Some((clean_path(parts.nth(1)?), bind.split(':').next()?))
        });
        let specs = host["Mounts"].as_array().into_iter().flatten();
        let specs = specs.map(|spec| (clean_path(text(&spec["Target"])), text(&spec["Source"])));
        let planned: Vec<(String, &str)> = binds.chain(specs).collect();
        let declared = config.get("Volumes").unwrap_or(&Value::Null);
        let mut seen = Vec::new();
        for mount in self.created.raw()["Mounts"].as_array().into_iter().flatten() {
            let target = clean_path(text(&mount["Destination"]));
            let is_volume = text(&mount["Type"]) == "volume";
            let by_plan = planned.iter().find(|(planned, _)| *planned == target);
            let is_explained = declared.get(&target).is_some() || !says_nothing(&host["VolumesFrom"]);
            match by_plan {
                Some((_, source)) if is_volume => {
                    self.same(&format!("Mounts[{target}]"), &json!(source), &mount["Name"]);
                }
                None if !is_explained => {
                    let found = text(&mount["Type"]).to_owned();
                    self.differ(&format!("Mounts[{target}]"), "nothing".to_owned(), found);
                }
                Some(_) | None => {}
            }
            seen.push(target);
        }
        for (target, _) in planned.iter().filter(|(target, _)| !seen.contains(target)) {
            self.differ(&format!("Mounts[{target}]"), "mounted".to_owned(), "nothing".to_owned());
        }
    }
}

fn network(name: &str) -> String {
    format!("Networks[{name}]")
}

fn cleaned(path: &Value) -> Value {
    if says_nothing(path) { Value::Null } else { json!(clean_path(text(path))) }
}

fn lower(mac: &Value) -> Value {
    if says_nothing(mac) { Value::Null } else { json!(text(mac).to_lowercase()) }
}
