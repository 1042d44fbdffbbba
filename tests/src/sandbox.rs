//! A room of its own for each test: a name no one else has, a directory, and everything that carries that name.
//!
//! Flows in: a test's name. Flows out: containers, volumes, networks and an agent that belong to this test alone.
//! When the room is dropped, by success, error or panic, all of it is removed: also what the agent made, such as
//! parked containers, and the volumes without a name. Must never remove anything else.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::agent::Agent;
use crate::engine::Docker;
use crate::http::Http;
use crate::wait;

/// On every object a sandbox makes, with the sandbox's prefix as value; `scripts/clean-docker` looks for it.
pub const LABEL: &str = "redeploy-test.sandbox";

/// The port the subject serves on unless told otherwise.
const SUBJECT_PORT: u16 = 8080;

/// Set this variable to look at what a test left; `make clean-containers` removes it afterwards.
const KEEP: &str = "REDEPLOY_TEST_KEEP";

/// The room of one test.
#[derive(Debug)]
pub struct Sandbox {
    docker: Docker,
    prefix: String,
    label: String,
    directory: tempfile::TempDir,
}

impl Sandbox {
    /// A new, empty room.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(test: &str) -> Result<Self> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let test: String = test.chars().map(plain).take(40).collect();
        // The directory's random ending makes the name unique on this host, for as long as it matters.
        let directory = tempfile::Builder::new().prefix(&format!("rd-{test}-")).tempdir()?;
        std::fs::create_dir(directory.path().join("data"))?;
        let name = directory.path().file_name().and_then(|name| name.to_str());
        let prefix = name.context("the temporary directory has no plain name")?.to_owned();
        let label = format!("{LABEL}={prefix}");
        Ok(Self { docker: Docker, prefix, label, directory })
    }

    /// The name `short` has in this room. All names of this room contain [`Sandbox::prefix`].
    #[must_use]
    pub fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    /// What is in every name of this room.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A directory of this room for the test's own files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory of this room in which every user of the host may read and write.
    ///
    /// # Errors
    /// The file system refused.
    pub fn open_to_all(&self) -> Result<PathBuf> {
        let dir = self.directory.path().join("everyones");
        std::fs::create_dir_all(&dir)?;
        for (path, mode) in [(self.directory.path(), 0o755), (&dir, 0o777)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(dir)
    }

    /// The agent's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The engine, as a user meets it.
    #[must_use]
    pub fn docker(&self) -> Docker {
        self.docker
    }

    /// The agent with its data in this room.
    ///
    /// # Errors
    /// As [`Agent::new`].
    pub fn agent(&self) -> Result<Agent> {
        Agent::new(&self.data_dir())
    }

    /// Writes `agent.toml` and gives the agent that reads it.
    ///
    /// # Errors
    /// As [`Agent::new`], or the file cannot be written.
    pub fn agent_configured(&self, toml: &str) -> Result<Agent> {
        let path = self.directory.path().join("agent.toml");
        std::fs::write(&path, toml)?;
        let path = path.to_str().context("the temporary directory's path is not UTF-8")?;
        Ok(self.agent()?.option("--config", path))
    }

    /// Starts a container in the background and gives its full name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn run(&self, short: &str, options: &[&str], image: &str, command: &[&str]) -> Result<String> {
        self.start(&["run", "--detach"], short, options, image, command)
    }

    /// Creates a container without starting it and gives its full name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn create(&self, short: &str, options: &[&str], image: &str, command: &[&str]) -> Result<String> {
        self.start(&["create"], short, options, image, command)
    }

    /// Starts a container of the subject, waits until it answers, and gives its full name.
    ///
    /// # Errors
    /// The engine refused, or the subject did not come up; its logs are in the error.
    pub fn run_subject(&self, short: &str, options: &[&str], image: &str) -> Result<String> {
        let name = self.run(short, options, image, &[])?;
        self.wait_until_it_serves(&name)?;
        Ok(name)
    }

    /// A client for the subject in this container, at the address it has now.
    ///
    /// # Errors
    /// The container has no address.
    pub fn http(&self, container: &str) -> Result<Http> {
        Ok(Http::new(self.docker.address(container, SUBJECT_PORT)?))
    }

    /// Waits until the subject in this container answers with success.
    ///
    /// # Errors
    /// It did not; its logs are in the error.
    pub fn wait_until_it_serves(&self, container: &str) -> Result<()> {
        wait::until(wait::PATIENCE, "the subject to answer", || {
            Ok(self.http(container)?.get("/healthz")?.status == 200)
        })
        .with_context(|| format!("{container} says: {}", self.docker.logs(container).unwrap_or_default()))
    }

    /// Waits until a container is in this state (`running`, `exited`, …).
    ///
    /// # Errors
    /// It did not get there in time.
    pub fn wait_for_state(&self, container: &str, state: &str, deadline: Duration) -> Result<()> {
        let what = format!("{container} to be {state}");
        wait::until(deadline, &what, || Ok(self.docker.state(container)? == state))
    }

    /// Creates a volume and gives its full name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn volume(&self, short: &str) -> Result<String> {
        self.docker.call(&["volume", "create", "--label", &self.label, &self.name(short)])
    }

    /// Creates a bridge network and gives its full name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn network(&self, short: &str) -> Result<String> {
        self.network_with(short, &[])
    }

    /// Creates a network with more options and gives its full name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn network_with(&self, short: &str, options: &[&str]) -> Result<String> {
        let name = self.name(short);
        let words = ["network", "create", "--label", &self.label];
        self.docker.call(&[&words, options, &[name.as_str()]].concat())?;
        Ok(name)
    }

    /// The names of all containers of this room, made by the test or by the agent; sorted.
    ///
    /// # Errors
    /// The engine could not be asked.
    pub fn containers(&self) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for filter in [format!("label={}", self.label), format!("name={}", self.prefix)] {
            let list = self.docker.call(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
            names.extend(list.lines().map(str::to_owned));
        }
        Ok(names.into_iter().collect())
    }

    /// Is everything to stay for somebody who wants to look at it?
    #[must_use]
    pub fn is_kept(&self) -> bool {
        std::env::var_os(KEEP).is_some()
    }

    fn start(
        &self,
        verb: &[&str],
        short: &str,
        options: &[&str],
        image: &str,
        command: &[&str],
    ) -> Result<String> {
        let name = self.name(short);
        let own = ["--name", name.as_str(), "--label", self.label.as_str()];
        self.docker.call(&[verb, &own, options, &[image], command].concat())?;
        Ok(name)
    }

    /// Containers first, because they hold volumes and networks; then those.
    fn clean(&self) -> Result<()> {
        let containers = self.containers()?;
        let mut volumes = self.listed("volume")?;
        for container in &containers {
            volumes.extend(self.own_volumes(container).unwrap_or_default());
        }
        remove(&["rm", "--force", "--volumes"], &containers)?;
        remove(&["volume", "rm", "--force"], volumes.iter())?;
        remove(&["network", "rm"], &self.listed("network")?)
    }

    fn listed(&self, kind: &str) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for filter in [format!("label={}", self.label), format!("name={}", self.prefix)] {
            let list = self.docker.call(&[kind, "ls", "--filter", &filter, "--format", "{{.Name}}"])?;
            names.extend(list.lines().map(str::to_owned));
        }
        Ok(names)
    }

    /// The volumes without a given name that a container of this room mounts: the engine made them for it.
    fn own_volumes(&self, container: &str) -> Result<Vec<String>> {
        let inspected = self.docker.inspect(container)?;
        let mounts = inspected.get("Mounts").and_then(Value::as_array);
        let names = mounts.into_iter().flatten().filter_map(|mount| mount.get("Name")?.as_str());
        Ok(names.filter(|name| is_made_by_engine(name)).map(str::to_owned).collect())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.is_kept() {
            eprintln!("kept, because {KEEP} is set: everything named {}", self.prefix);
            self.directory.disable_cleanup(true);
            return;
        }
        // A failed removal must not hide why the test failed, so it is told and not raised.
        if let Err(error) = self.clean() {
            eprintln!("{} is not wholly removed: {error:#}", self.prefix);
        }
    }
}

fn is_made_by_engine(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remove<'a>(verb: &[&str], names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if !names.is_empty() {
        Docker.call(&[verb, &names].concat())?;
    }
    Ok(())
}
