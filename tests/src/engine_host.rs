//! A host of its own with another engine than this machine's: a container with its own `dockerd`, in which the
//! suites run as they do here.
//!
//! Flows in: a Debian release, which decides the engine's version, and where the engine keeps images. Flows out: a
//! running host, what its engine says it is, and the counts of the suites run in it. The workspace is mounted for
//! reading only. Must never leave the host, its volumes or its control groups behind.

mod image;
mod prove;
mod suite;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::debian::workspace;
use crate::engine::{Docker, text_at};
use crate::process::{Outcome, Running};
use crate::sandbox::Sandbox;
use crate::wait;

pub use image::Release;
pub use prove::{Choice, prove};
pub use suite::{Suite, Suites};

/// What an engine in a container needs. All capabilities (`--privileged`) would be refused on machines that lack one.
const CAPABILITIES: &[&str] = &[
    "SYS_ADMIN",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_CHROOT",
    "MKNOD",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "IPC_LOCK",
    "SYS_NICE",
    "SYS_TIME",
    "SYSLOG",
    "AUDIT_CONTROL",
];

const FREEDOMS: &[&str] = &[
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
];

/// Volumes, because the engine cannot stack a file system on the one its container has.
const ON_DISK: &[&str] = &["--volume=/var/lib/docker", "--volume=/var/lib/containerd", "--volume=/tmp"];

/// The kernel's older tables: the newer ones are missing on some machines.
const SERVE: &str = "update-alternatives --set iptables /usr/sbin/iptables-legacy >/dev/null
    exec dockerd --cgroup-parent \"/$HOSTNAME\" \"$@\"";

const CGROUPS: &str = "/sys/fs/cgroup";

/// Where an engine keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In its own storage, as all engines up to 28 do unless told otherwise.
    Overlay2,
    /// In containerd, as Engine 29 does from the start.
    Containerd,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Such as `28.5.2`.
    pub version: String,
    /// The newest API version, as the number behind `1.`.
    pub api_minor: u32,
    /// `overlay2`, or `overlayfs` with the containerd store.
    pub driver: String,
    /// Are images kept in containerd?
    pub containerd_store: bool,
}

/// A running host.
#[derive(Debug)]
pub struct EngineHost {
    sandbox: Sandbox,
    container: String,
}

impl EngineHost {
    /// Starts a host and waits until its engine answers.
    ///
    /// # Errors
    /// The image cannot be made, or the engine did not come up; its log is in the error.
    pub fn start(release: Release, store: Store) -> Result<Self> {
        let image = release.image()?;
        let sandbox = Sandbox::new("engine host")?;
        let name = sandbox.name("host");
        let workspace = workspace()?.display();
        let mut options = options(&name);
        options.push(format!("--volume={workspace}:{workspace}:ro"));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut command = vec!["sh", "-ec", SERVE, "sh"];
        if store == Store::Containerd {
            command.extend(["--feature", "containerd-snapshotter=true"]);
        }
        let container = sandbox.run("host", &options, &image, &command)?;
        let host = Self { sandbox, container };
        wait::until(wait::PATIENCE, "the host's engine to answer", || {
            Docker.exec(&host.container, &["docker", "version"]).map(|_| true)
        })
        .with_context(|| Docker.logs(&host.container).unwrap_or_default())?;
        Ok(host)
    }

    /// What its engine says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn about(&self) -> Result<About> {
        let ask = |what: &str| -> Result<Value> {
            let words = ["docker", what, "--format", "{{json .}}"];
            Ok(serde_json::from_str(&Docker.exec(&self.container, &words)?)?)
        };
        let (version, info) = (ask("version")?, ask("info")?);
        let api = text_at(&version, "/Server/ApiVersion")?;
        let api_minor = api.strip_prefix("1.").with_context(|| format!("an API of another kind: {api}"))?;
        Ok(About {
            version: text_at(&version, "/Server/Version")?,
            api_minor: api_minor.parse()?,
            driver: text_at(&info, "/Driver")?,
            containerd_store: info["DriverStatus"].to_string().contains("io.containerd.snapshotter"),
        })
    }

    /// Runs a suite there, or the tests of it whose names contain one of `filters`, and gives how many passed.
    ///
    /// # Errors
    /// One failed, none ran, or it took longer than `deadline`; the suite's output is in the error.
    pub fn run(&self, suite: &Suite, filters: &[&str], deadline: Duration) -> Result<u32> {
        let words = ["exec", "--workdir", &suite.directory, &self.container, &suite.program];
        let outcome = self.docker(&[&words, ["--test-threads=2"].as_slice(), filters].concat(), deadline)?;
        let told = || format!("{} {filters:?}: {}", suite.name, suite::tail(&outcome.stdout));
        let passed = suite::passed(&outcome.stdout).with_context(told)?;
        ensure!(outcome.code == Some(0) && passed > 0, "{}{}", told(), suite::tail(&outcome.stderr));
        Ok(passed)
    }

    fn docker(&self, words: &[&str], deadline: Duration) -> Result<Outcome> {
        let mut command = Command::new("docker");
        command.args(words);
        Running::spawn(command)?.wait(deadline)
    }
}

impl Drop for EngineHost {
    fn drop(&mut self) {
        if self.sandbox.is_kept() {
            return;
        }
        // The sandbox says so if this fails.
        let _ = remove(&self.container);
    }
}

/// What every host is started with, so that an engine can run in it.
pub(crate) fn options(name: &str) -> Vec<String> {
    let fixed = FREEDOMS.iter().chain(ON_DISK).map(|&option| option.to_owned());
    let capabilities = CAPABILITIES.iter().map(|capability| format!("--cap-add={capability}"));
    std::iter::once(format!("--hostname={name}")).chain(capabilities).chain(fixed).collect()
}

/// Removes a host with its volumes; the control groups of its containers outlive it otherwise.
pub(crate) fn remove(container: &str) -> Result<()> {
    let removed = Docker.call(&["rm", "--force", "--volumes", container]);
    remove_groups(Path::new(CGROUPS), container);
    removed.map(drop)
}

/// Removes the control groups named `name`: at the top, or one below with the older kind, one per controller.
fn remove_groups(top: &Path, name: &str) {
    let below = std::fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path().join(name));
    for group in below.chain([top.join(name)]).filter(|group| group.is_dir()) {
        for inner in walkdir::WalkDir::new(&group).contents_first(true).into_iter().flatten() {
            if inner.file_type().is_dir() {
                // One that is still busy stays; nothing else can be done about it.
                let _ = std::fs::remove_dir(inner.path());
            }
        }
    }
}
