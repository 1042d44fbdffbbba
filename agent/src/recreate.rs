//! From an old container, the image it was made from and a new image to the request that makes its successor.
//!
//! Flows in: raw inspect answers. Flows out: a create body, the networks to connect before the start, where
//! every field came from, and what the operator should know. The rule behind every line: send what the *user*
//! set and nothing else, and let the engine merge the new image's settings in, as it did with the old one's.
//!
//! Must never do I/O, look at a clock, or put the value of an environment variable into words.

mod command;
mod compare;
mod config;
mod dependents;
mod endpoints;
mod env;
mod error;
#[cfg(test)]
mod fixture;
mod health;
mod host;
mod json;
mod merge;
mod peers;
mod report;
mod volumes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::docker::{Container, EngineInfo, Image};

pub use compare::{Difference, compare};
pub use dependents::{Dependent, DependentKind, dependents};
pub use endpoints::NetworkRecord;
pub use error::RecreateError;
pub use peers::{identify, lean_on};
pub use report::{FieldSource, RecreateFinding, Severity, Source};
pub use volumes::{OwnVolume, given_targets, own_volumes};

/// The container to replace.
#[derive(Debug, Clone, Copy)]
pub struct Old<'a> {
    /// As the engine describes it.
    pub container: &'a Container,
    /// The image it was created from, found by the container's image *id*; `None` when the engine no longer
    /// has it.
    pub image: Option<&'a Image>,
}

/// What it shall run.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The new image.
    pub image: &'a Image,
    /// Goes into `Config.Image`: the user's reference, pinned by digest when there is one.
    pub reference: &'a str,
}

/// What else is on the host.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The engine.
    pub engine: &'a EngineInfo,
    /// Every container, to find those that this one points at.
    pub containers: &'a [Container],
    /// The networks the container is on, inspected. One that is missing here makes a finding.
    pub networks: &'a [Value],
    /// What the engine's own record of the container says of its networks; empty when nobody looked there.
    pub network_record: &'a NetworkRecord,
}

/// What the operator decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// Mount the same volumes again, anonymous ones included. Otherwise every volume of the container is
    /// replaced by the one named in `fresh_volume_names`, which the engine fills with what the image ships.
    pub keep_volumes: bool,
    /// Name of the new volume by its target in the container, for each of [`own_volumes`]. Not read while
    /// `keep_volumes`.
    pub fresh_volume_names: BTreeMap<String, String>,
}

/// How to make the successor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recreation {
    /// The create body: the fields of `Config`, `HostConfig`, and `NetworkingConfig` with at most one endpoint
    /// (all that engines below API 1.44 take).
    pub body: Value,
    /// Networks to connect after the create and before the start, in this order.
    pub connects: Vec<Connect>,
    /// Where each field that says something came from.
    pub sources: Vec<FieldSource>,
    /// What the operator should know before this is carried out.
    pub findings: Vec<RecreateFinding>,
    /// Containers whose namespaces are shared: the body names them, the engine stores their ids.
    pub peers: Vec<Peer>,
}

/// One more network for the new container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// Its name.
    pub network: String,
    /// The raw endpoint configuration.
    pub endpoint: Value,
}

/// A container that another one leans on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Full id when the plan was made.
    pub id: String,
    /// Name.
    pub name: String,
}

/// Everything the parts look at.
#[derive(Debug, Clone, Copy)]
struct Inputs<'a> {
    old: Old<'a>,
    target: Target<'a>,
    around: Surroundings<'a>,
    choices: &'a Choices,
}

/// What the parts write to.
#[derive(Debug, Default)]
struct Draft {
    config: Map<String, Value>,
    host: Map<String, Value>,
    first_endpoint: Option<(String, Value)>,
    connects: Vec<Connect>,
    sources: Vec<FieldSource>,
    findings: Vec<RecreateFinding>,
    peers: Vec<Peer>,
}

/// Works out how to make the successor of `old` from `target`.
///
/// # Errors
/// [`RecreateError`]: this container must not or cannot be recreated as things stand.
pub fn recreate(
    old: Old<'_>,
    target: Target<'_>,
    surroundings: Surroundings<'_>,
    choices: &Choices,
) -> Result<Recreation, RecreateError> {
    let inputs = Inputs { old, target, around: surroundings, choices };
    refuse_what_is_not_ours(old.container)?;
    let mut draft = Draft::default();
    if old.image.is_none() {
        draft.findings.push(RecreateFinding::OldImageGone { image: old.container.image_id().to_owned() });
    }
    config::carry(&inputs, &mut draft);
    env::carry(&inputs, &mut draft);
    command::carry(&inputs, &mut draft);
    health::carry(&inputs, &mut draft);
    host::carry(&inputs, &mut draft)?;
    volumes::carry(&inputs, &mut draft)?;
    endpoints::carry(&inputs, &mut draft);
    Ok(draft.finish())
}

/// Swarm tasks belong to the swarm, and what is being removed has no successor.
fn refuse_what_is_not_ours(container: &Container) -> Result<(), RecreateError> {
    use crate::docker::RunState;
    let name = || container.name().to_owned();
    if let Some(task) = container.label("com.docker.swarm.task.id") {
        return Err(RecreateError::SwarmTask { container: name(), task: task.to_owned() });
    }
    match container.state() {
        RunState::Removing | RunState::Dead => Err(RecreateError::GoingAway { container: name() }),
        RunState::Created
        | RunState::Running
        | RunState::Paused
        | RunState::Restarting
        | RunState::Exited => Ok(()),
    }
}

// === impl Inputs ===

impl<'a> Inputs<'a> {
    /// The old container's merged configuration.
    fn config(&self) -> &'a Value {
        &self.old.container.raw()["Config"]
    }

    /// The old container's host configuration.
    fn host(&self) -> &'a Value {
        &self.old.container.raw()["HostConfig"]
    }

    /// The configuration of the image it came from; null when that is gone.
    fn old_image(&self) -> &'a Value {
        self.old.image.map_or(&Value::Null, |image| &image.raw()["Config"])
    }

    /// The configuration of the image it goes to.
    fn new_image(&self) -> &'a Value {
        &self.target.image.raw()["Config"]
    }

    /// Who else's network namespace it lives in, if so.
    fn borrows_network(&self) -> bool {
        json::text(&self.host()["NetworkMode"]).starts_with("container:")
    }
}

// === impl Draft ===

impl Draft {
    fn source(&mut self, field: impl Into<String>, source: Source, note: impl Into<String>) {
        self.sources.push(FieldSource { field: field.into(), source, note: note.into() });
    }

    fn user(&mut self, field: impl Into<String>) {
        self.source(field, Source::User, "");
    }

    fn old_image(&mut self, field: impl Into<String>) {
        self.source(field, Source::OldImage, "");
    }

    fn finish(self) -> Recreation {
        let mut body = self.config;
        body.insert("HostConfig".to_owned(), Value::Object(self.host));
        let endpoints: Map<String, Value> = self.first_endpoint.into_iter().collect();
        body.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": endpoints }));
        Recreation {
            body: Value::Object(body),
            connects: self.connects,
            sources: self.sources,
            findings: self.findings,
            peers: self.peers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::case;
    use super::*;

    #[test]
    fn swarm_tasks_and_what_is_going_away_are_refused() {
        let task = case(json!({"Labels": {"com.docker.swarm.task.id": "t1"}}), json!({}));
        let error = task.try_plan().unwrap_err();
        assert!(matches!(&error, RecreateError::SwarmTask { task, .. } if task == "t1"), "{error}");
        for state in ["dead", "removing"] {
            let mut going = case(json!({}), json!({}));
            going.container["State"]["Status"] = json!(state);
            assert!(matches!(going.try_plan(), Err(RecreateError::GoingAway { .. })), "{state}");
        }
    }

    #[test]
    fn without_the_old_image_everything_is_the_users_and_a_warning_says_so() {
        let config = json!({
            "Env": ["A=1", "PATH=/bin"], "Cmd": ["run"], "User": "7", "Labels": {"l": "1"},
            "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["NONE"]}, "StopSignal": "SIGINT",
        });
        let mut case = case(config.clone(), json!({}));
        case.image = None;
        let plan = case.plan();
        for field in ["Env", "Cmd", "User", "Labels", "ExposedPorts", "Healthcheck", "StopSignal"] {
            assert_eq!(plan.body[field], config[field], "{field}");
        }
        assert_eq!(plan.body["Entrypoint"], json!([""]), "the new image's must not come before the command");
        let gone =
            plan.findings.iter().find(|finding| matches!(finding, RecreateFinding::OldImageGone { .. }));
        assert_eq!(gone.map(RecreateFinding::severity), Some(Severity::Warning));
    }

    #[test]
    fn a_recreation_survives_json_and_tells_no_value() {
        let config = json!({"Env": ["TOKEN=hush"], "Labels": {"l": "hush"}, "Cmd": ["--password", "hush"]});
        let plan = case(config, json!({"Tmpfs": {"/t": ""}})).plan();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Recreation>(&text).unwrap(), plan);
        let told = serde_json::to_string(&(&plan.sources, &plan.findings)).unwrap();
        assert!(told.contains("TOKEN") && !told.contains("hush"), "{told}");
    }
}
