//! Views on the engine's inspect answers: the raw JSON, and typed looks at the few parts steps ask for.
//!
//! The JSON stays whole, because what we do not know must survive a recreate.

mod unnamed;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A container as the engine describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Container {
    raw: Value,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Between two attempts of its restart policy.
    Restarting,
    /// On its way out.
    Removing,
    /// Its process ended.
    Exited,
    /// Could not be removed wholly.
    Dead,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Where it is in the container.
    pub target: String,
    /// May the container write to it?
    pub writable: bool,
}

/// Kinds of mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A volume by name.
    Volume {
        /// Its name; 64 hex digits for an anonymous one.
        name: String,
        /// Its driver.
        driver: String,
    },
    /// A path of the host.
    Bind {
        /// The path.
        source: String,
    },
    /// Memory; lost at every stop.
    Tmpfs,
    /// A kind this agent does not know.
    Other(String),
}

/// An image as the engine describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Image {
    raw: Value,
}

/// A volume as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver, `local` as a rule.
    pub driver: String,
    /// Where its data is on the engine's host.
    pub mountpoint: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

impl Container {
    /// Wraps an inspect answer.
    #[must_use]
    pub fn new(mut raw: Value) -> Self {
        unnamed::name_volumes(&mut raw);
        Self { raw }
    }

    /// The whole answer.
    #[must_use]
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// Full id.
    #[must_use]
    pub fn id(&self) -> &str {
        text(&self.raw["Id"])
    }

    /// Name, without the engine's leading slash.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.raw["Name"]).trim_start_matches('/')
    }

    /// Id of the image it was created from.
    #[must_use]
    pub fn image_id(&self) -> &str {
        text(&self.raw["Image"])
    }

    /// The image reference it was created with.
    #[must_use]
    pub fn image_reference(&self) -> &str {
        text(&self.raw["Config"]["Image"])
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> RunState {
        match text(&self.raw["State"]["Status"]) {
            "created" => RunState::Created,
            "running" => RunState::Running,
            "paused" => RunState::Paused,
            "restarting" => RunState::Restarting,
            "removing" => RunState::Removing,
            "exited" => RunState::Exited,
            _ => RunState::Dead,
        }
    }

    /// Is its process alive (running, paused or about to restart)?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self.state() {
            RunState::Running | RunState::Paused | RunState::Restarting => true,
            RunState::Created | RunState::Removing | RunState::Exited | RunState::Dead => false,
        }
    }

    /// Is it being removed, or what a removal that failed has left? Such a one never runs again.
    #[must_use]
    pub fn is_going(&self) -> bool {
        match self.state() {
            RunState::Removing | RunState::Dead => true,
            RunState::Created
            | RunState::Running
            | RunState::Paused
            | RunState::Restarting
            | RunState::Exited => false,
        }
    }

    /// The host's pid of its first process; 0 when it does not run.
    #[must_use]
    pub fn pid(&self) -> i64 {
        self.raw["State"]["Pid"].as_i64().unwrap_or(0)
    }

    /// When it was last started, as the engine writes it; tells one run from the next.
    #[must_use]
    pub fn started_at(&self) -> &str {
        text(&self.raw["State"]["StartedAt"])
    }

    /// How often its restart policy has restarted it.
    #[must_use]
    pub fn restart_count(&self) -> i64 {
        self.raw["RestartCount"].as_i64().unwrap_or(0)
    }

    /// Exit code of its last run.
    #[must_use]
    pub fn exit_code(&self) -> i64 {
        self.raw["State"]["ExitCode"].as_i64().unwrap_or(0)
    }

    /// Did the kernel kill it for want of memory?
    #[must_use]
    pub fn oom_killed(&self) -> bool {
        self.raw["State"]["OOMKilled"].as_bool().unwrap_or(false)
    }

    /// `starting`, `healthy`, `unhealthy`; `None` without a health check.
    #[must_use]
    pub fn health(&self) -> Option<&str> {
        match self.raw["State"]["Health"]["Status"].as_str() {
            None | Some("" | "none") => None,
            Some(status) => Some(status),
        }
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.raw["Config"]["Labels"][name].as_str()
    }

    /// `HostConfig.RestartPolicy`, raw.
    #[must_use]
    pub fn restart_policy(&self) -> &Value {
        &self.raw["HostConfig"]["RestartPolicy"]
    }

    /// Does the engine remove it when it stops (`--rm`)?
    #[must_use]
    pub fn auto_remove(&self) -> bool {
        self.raw["HostConfig"]["AutoRemove"].as_bool().unwrap_or(false)
    }

    /// Can the signal that it is asked to end with be sent past the engine?
    #[must_use]
    pub fn has_plain_stop_signal(&self) -> bool {
        super::hold::stop_signal(self).is_some()
    }

    /// Is its root file system mounted read-only?
    #[must_use]
    pub fn read_only_root(&self) -> bool {
        self.raw["HostConfig"]["ReadonlyRootfs"].as_bool().unwrap_or(false)
    }

    /// Everything mounted into it, tmpfs mounts of `HostConfig.Tmpfs` included.
    #[must_use]
    pub fn mounts(&self) -> Vec<Mount> {
        let listed = self.raw["Mounts"].as_array().into_iter().flatten().map(|mount| Mount {
            kind: match text(&mount["Type"]) {
                "volume" => MountKind::Volume {
                    name: text(&mount["Name"]).to_owned(),
                    driver: text(&mount["Driver"]).to_owned(),
                },
                "bind" => MountKind::Bind { source: text(&mount["Source"]).to_owned() },
                "tmpfs" => MountKind::Tmpfs,
                other => MountKind::Other(other.to_owned()),
            },
            target: text(&mount["Destination"]).to_owned(),
            writable: mount["RW"].as_bool().unwrap_or(true),
        });
        let tmpfs = self.raw["HostConfig"]["Tmpfs"].as_object().into_iter().flatten();
        let tmpfs =
            tmpfs.map(|(target, _)| Mount { kind: MountKind::Tmpfs, target: target.clone(), writable: true });
        listed.chain(tmpfs).collect()
    }
}

impl Image {
    /// Wraps an image inspect answer.
    #[must_use]
    pub fn new(raw: Value) -> Self {
        Self { raw }
    }

    /// The whole answer.
    #[must_use]
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// Id: config digest, or manifest digest with the containerd image store.
    #[must_use]
    pub fn id(&self) -> &str {
        text(&self.raw["Id"])
    }

    /// `repository@sha256:…` for every registry it came from.
    pub fn repo_digests(&self) -> impl Iterator<Item = &str> {
        self.raw["RepoDigests"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// Operating system it is made for.
    #[must_use]
    pub fn os(&self) -> &str {
        text(&self.raw["Os"])
    }

    /// Processor it is made for.
    #[must_use]
    pub fn architecture(&self) -> &str {
        text(&self.raw["Architecture"])
    }

    /// Its user, group cut off: a name, a number, or empty for root.
    #[must_use]
    pub fn user(&self) -> &str {
        text(&self.raw["Config"]["User"]).split(':').next().unwrap_or("")
    }

    /// Unpacked size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.raw["Size"].as_u64().unwrap_or(0)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
