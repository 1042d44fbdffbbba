//! One host: a container with an init, an engine, an agent, and one node that serves at the host's address.
//!
//! Flows in: what happens to it. Flows out: what its engine says, and the agent's data directory, which lies in the sandbox.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use redeploy_agent::paths::DataDir;
use redeploy_agent::saga::WAIT;
use serde_json::Value;

use crate::engine::Docker;
use crate::engine_host::{self, Release, Store};
use crate::fleet::Fleet;
use crate::http::Http;
use crate::sandbox::Sandbox;
use crate::wait;

/// Short waits, as in other suites.
const AGENT_TOML: &str = "settle_time = \"100ms\"\nverify_timeout = \"20s\"\ndisk_headroom = 0\n";

/// Starts engine and agent, and starts them again when they end. What tests order to go wrong is for one start.
const INIT: &str = r#"
update-alternatives --set iptables /usr/sbin/iptables-legacy >/dev/null
engine() {
    while :; do
        rm -f /run/docker.pid
        dockerd --cgroup-parent "/$HOSTNAME" "$@" >>/host/engine.log 2>&1
        sleep 0.1
    done
}
agent() {
    while :; do
        if [ -f /host/data/coordinator.json ]; then
            REDEPLOY_TEST_FAULTS=$(cat /host/faults 2>/dev/null)
            export REDEPLOY_TEST_FAULTS
            rm -f /host/faults
            sh -c 'echo $$ >/run/agent.pid
                exec /programs/redeploy-agent --data-dir /host/data --config /host/agent.toml run' >>/host/agent.log 2>&1
        fi
        sleep 0.1
    done
}
engine "$@" &
agent &
wait
"#;

/// The node's container.
pub(super) const NODE: &str = "web";
const PORT: u16 = 8080;

/// A file of the user's in the node, which every redeploy keeps; its text is the host's name.
pub(super) const KEPT: &str = "/etc/subject/conf.d/mine.conf";

/// A running host. Dropping it removes it.
#[derive(Debug)]
pub struct Host {
    /// Such as `host-a`.
    pub name: String,
    /// As the coordinator calls it.
    pub id: String,
    /// The id of its node.
    pub node: u64,
    pub(super) container: String,
    pub(super) coordinator: String,
    address: IpAddr,
    room: PathBuf,
    is_kept: bool,
}

impl Host {
    pub(super) fn start(
        sandbox: &Sandbox,
        name: &str,
        release: Release,
        store: Store,
        network: &str,
        address: &str,
    ) -> Result<Self> {
        let image = release.image()?;
        let room = sandbox.path().join(name);
        std::fs::create_dir_all(room.join("data"))?;
        std::fs::write(room.join("agent.toml"), AGENT_TOML)?;
        // The control groups of its engine are named like it: no two at once, and found when it is removed.
        let mut options = engine_host::options(&sandbox.name(name));
        options.push(format!("--volume={}:/host", room.display()));
        options.push(format!("--volume={}:/programs:ro", super::programs()?.display()));
        // As after a boot: nothing of an earlier life.
        options.push("--tmpfs=/run".to_owned());
        options.extend([format!("--network={network}"), format!("--ip={address}")]);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut command = vec!["sh", "-c", INIT, "init"];
        if store == Store::Containerd {
            command.extend(["--feature", "containerd-snapshotter=true"]);
        }
        let container = sandbox.run(name, &options, &image, &command)?;
        let host = Self {
            name: name.to_owned(),
            id: String::new(),
            node: 0,
            container,
            coordinator: String::new(),
            address: address.parse()?,
            room,
            is_kept: sandbox.is_kept(),
        };
        host.wait_for_engine()?;
        Ok(host)
    }

    /// Where its node serves.
    #[must_use]
    pub fn service(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    /// A client of its node.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.service())
    }

    /// The agent's data directory.
    #[must_use]
    pub fn data(&self) -> DataDir {
        DataDir::new(self.room.join("data"))
    }

    /// What its agent has logged.
    #[must_use]
    pub fn agent_log(&self) -> String {
        std::fs::read_to_string(self.room.join("agent.log")).unwrap_or_default()
    }

    /// Runs a command in it.
    ///
    /// # Errors
    /// It failed, or the host is off.
    pub fn exec(&self, words: &[&str]) -> Result<String> {
        Docker.exec(&self.container, words)
    }

    /// Everything its engine knows of a container.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn inspect(&self, container: &str) -> Result<Value> {
        let text = self.exec(&["docker", "inspect", "--type=container", container])?;
        let mut found: Vec<Value> = serde_json::from_str(&text)?;
        found.pop().with_context(|| format!("inspecting {container} gave nothing"))
    }

    /// Waits until its node serves this version.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_until_it_serves(&self, version: &str) -> Result<()> {
        wait::until(wait::PATIENCE, &format!("{} to serve {version}", self.name), || {
            let answer = self.http().get("/version")?;
            ensure!(answer.text().trim() == version, "it serves {}", answer.text());
            Ok(true)
        })
    }

    // === what happens to it ===

    /// Orders faults for the next start of its agent, and kills the one that runs.
    ///
    /// # Errors
    /// The host is off.
    pub fn restart_agent_with(&self, faults: &str) -> Result<()> {
        std::fs::write(self.room.join("faults"), faults)?;
        self.kill_agent()?;
        let taken = || Ok(!self.room.join("faults").exists());
        wait::until(wait::PATIENCE, "the agent to be started again", taken)
    }

    /// Kills its agent, as the kernel does when memory runs out.
    ///
    /// # Errors
    /// The host is off.
    pub fn kill_agent(&self) -> Result<()> {
        self.signal("KILL", "agent")
    }

    /// Kills its engine.
    ///
    /// # Errors
    /// The host is off.
    pub fn kill_engine(&self) -> Result<()> {
        self.signal("KILL", "docker")
    }

    /// Restarts its engine in order, as an upgrade of its package does.
    ///
    /// # Errors
    /// The host is off.
    pub fn restart_engine(&self) -> Result<()> {
        self.signal("TERM", "docker")
    }

    fn signal(&self, signal: &str, whom: &str) -> Result<()> {
        let script = format!("kill -{signal} $(cat /run/{whom}.pid) 2>/dev/null || :");
        self.exec(&["sh", "-c", &script]).map(drop)
    }

    /// Cuts its power: every process ends, the engine's containers too.
    ///
    /// # Errors
    /// It is off already.
    pub fn power_off(&self) -> Result<()> {
        Docker.call(&["kill", &self.container]).map(drop)
    }

    /// Boots it. What a service manager starts is started; nothing is waited for.
    ///
    /// # Errors
    /// The machine's engine refused.
    pub fn power_on(&self) -> Result<()> {
        Docker.call(&["start", &self.container]).map(drop)
    }

    /// Waits until its engine answers.
    ///
    /// # Errors
    /// It does not; its log is in the error.
    pub fn wait_for_engine(&self) -> Result<()> {
        let answers = || self.exec(&["docker", "version"]).map(|_| true);
        wait::until(wait::PATIENCE, "the host's engine to answer", answers)
            .with_context(|| std::fs::read_to_string(self.room.join("engine.log")).unwrap_or_default())
    }

    /// Waits until its agent waits at the record that was ordered (`wait-at=N`).
    ///
    /// # Errors
    /// It does not.
    pub fn wait_until_it_waits(&self) -> Result<()> {
        wait::until(wait::PATIENCE, &format!("the agent of {} to wait", self.name), || {
            Ok(self.mark().is_some())
        })
        .with_context(|| self.agent_log())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not wait.
    pub fn let_go(&self) -> Result<()> {
        let mark = self.mark().with_context(|| format!("{} does not wait", self.name))?;
        Ok(std::fs::remove_file(mark)?)
    }

    fn mark(&self) -> Option<PathBuf> {
        let dirs = std::fs::read_dir(self.data().redeploys()).into_iter().flatten().flatten();
        dirs.map(|dir| dir.path().join(WAIT)).find(|mark| mark.exists())
    }

    // === its beginning ===

    /// Takes images, as `docker save` gives them.
    pub(super) fn load(&self, archive: &[u8]) -> Result<()> {
        Docker.call_with(&["exec", "--interactive", &self.container, "docker", "load"], archive).map(drop)
    }

    pub(super) fn join(&mut self, fleet: &Fleet) -> Result<()> {
        self.coordinator = fleet.where_agents_dial()?.to_owned();
        let token = fleet.join_token()?;
        let words = ["/programs/redeploy-agent", "--data-dir", "/host/data", "join"];
        let to = ["--coordinator", &self.coordinator, "--token", &token];
        self.exec(&[&words[..], &to].concat())?;
        let identity = redeploy_agent::session::Identity::load(&self.data())?;
        self.id = identity.host_id;
        Ok(())
    }

    pub(super) fn run_node(&self, image: &str, env: &str) -> Result<()> {
        let (env, publish) = (format!("io.redeploy.env={env}"), format!("{PORT}:{PORT}"));
        let words =
            ["docker", "run", "--detach", "--name", NODE, "--restart", "always", "--publish", &publish];
        self.exec(&[&words[..], &["--label", &env, "--label", "io.redeploy.group=cp", image]].concat())?;
        let served = || Ok(self.http().get("/healthz")?.status == 200);
        wait::until(wait::PATIENCE, "the node to serve", served)?;
        self.http().put_file(KEPT, self.name.as_bytes())
    }

    /// Its directory in the sandbox.
    #[must_use]
    pub fn room(&self) -> &Path {
        &self.room
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.is_kept {
            // The sandbox says so if this fails.
            let _ = engine_host::remove(&self.container);
        }
    }
}
