//! A coordinator and agents as the programs they are, and `redeployctl` to ask them.
//!
//! Flows in: a sandbox. Flows out: what `redeployctl` said, programs to kill. Agents made here share one engine; each has
//! a data directory of its own, so to the coordinator each is a host. Those with engines of their own are in
//! [`crate::hosts`].

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::{Agent, built_beside_tests};
use crate::process::{Outcome, Running};
use crate::sandbox::Sandbox;
use crate::wait;

/// No deployment of a test takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Short waits, as in other suites.
const AGENT_TOML: &str = "settle_time = \"100ms\"\nverify_timeout = \"20s\"\ndisk_headroom = 0\n";

/// A coordinator and its agents.
pub struct Fleet<'a> {
    sandbox: &'a Sandbox,
    coordinator: Option<Running>,
    /// More options of the coordinator.
    more: Vec<String>,
    /// The coordinator's own address.
    address: String,
    /// Where agents dial, and operators call; chosen at the first start.
    ports: Option<(String, String)>,
}

impl<'a> Fleet<'a> {
    /// Starts a coordinator on free ports.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(sandbox: &'a Sandbox) -> Result<Self> {
        Self::at(sandbox, "127.0.0.1")
    }

    /// Starts a coordinator on free ports of this address.
    ///
    /// # Errors
    /// It does not start.
    pub fn at(sandbox: &'a Sandbox, address: &str) -> Result<Self> {
        Self::at_with(sandbox, address, &[])
    }

    /// Starts a coordinator on free ports, now and whenever it is started again with more options.
    ///
    /// # Errors
    /// It does not start.
    pub fn started_with(sandbox: &'a Sandbox, more: &[&str]) -> Result<Self> {
        Self::at_with(sandbox, "127.0.0.1", more)
    }

    fn at_with(sandbox: &'a Sandbox, address: &str, more: &[&str]) -> Result<Self> {
        let more = more.iter().map(ToString::to_string).collect();
        let mut fleet = Self { sandbox, coordinator: None, more, address: address.to_owned(), ports: None };
        fleet.start_coordinator()?;
        Ok(fleet)
    }

    /// Where the coordinator keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.sandbox.path().join("coordinator")
    }

    /// Starts the coordinator, at the ports it had before.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_coordinator(&mut self) -> Result<()> {
        self.start_coordinator_with("", &[])
    }

    /// As [`Fleet::start_coordinator`], with these faults (`kill-after-commit=1`) and more options.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_coordinator_with(&mut self, faults: &str, options: &[&str]) -> Result<()> {
        let free = || format!("{}:0", self.address);
        let (agents, operators) = self.ports.clone().unwrap_or_else(|| (free(), free()));
        let mut command = Command::new(built_beside_tests("redeploy-coordinator")?);
        command.arg("--data-dir").arg(self.data_dir()).env("REDEPLOY_TEST_FAULTS", faults);
        command.args(["--listen", &agents, "--api-listen", &operators]).args(&self.more).args(options);
        let mut running = Running::spawn(command)?;
        let said = wait::eventually(wait::PATIENCE, "the coordinator to serve", || {
            // One that is to die may do so before it has said anything.
            let died = !faults.is_empty() && running.has_ended()?;
            let said = running.stdout_so_far();
            ensure!(died || said.contains("token "), "it says: {said}{}", running.stderr_so_far());
            Ok(Some(said))
        })?;
        let after = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned);
        self.ports = after("agents ").zip(after("operators ")).or(self.ports.take());
        ensure!(self.ports.is_some(), "no ports: {said}");
        self.coordinator = Some(running);
        Ok(())
    }

    /// Kills the coordinator, as a power cut would.
    ///
    /// # Errors
    /// None runs.
    pub fn kill_coordinator(&mut self) -> Result<()> {
        self.coordinator.take().context("no coordinator runs")?.kill().map(drop)
    }

    /// Has the coordinator ended by itself? Then it can be started again.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn coordinator_has_died(&mut self) -> Result<bool> {
        let died = self.coordinator.as_mut().map_or(Ok(true), Running::has_ended)?;
        if died {
            self.coordinator = None;
        }
        Ok(died)
    }

    /// What the coordinator has logged since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        self.coordinator.as_ref().map_or_else(String::new, Running::stderr_so_far)
    }

    /// Asks the coordinator to stop, and waits.
    ///
    /// # Errors
    /// None runs, or it does not stop well.
    pub fn stop_coordinator(&mut self) -> Result<()> {
        let running = self.coordinator.take().context("no coordinator runs")?;
        running.terminate()?;
        running.wait(wait::PATIENCE)?.expect_code(0).map(drop)
    }

    /// An agent of this fleet. It has its data in a directory of its own.
    ///
    /// # Errors
    /// It is not built.
    pub fn agent(&self, name: &str) -> Result<Agent> {
        let config = self.sandbox.path().join("agent.toml");
        std::fs::write(&config, AGENT_TOML)?;
        let config = config.to_str().context("the path is not UTF-8")?;
        Ok(Agent::new(&self.sandbox.path().join(name))?.option("--config", config))
    }

    /// The coordinator's address and port for agents.
    ///
    /// # Errors
    /// It was never started.
    pub fn where_agents_dial(&self) -> Result<&str> {
        let (agents, _) = self.ports.as_ref().context("no ports")?;
        Ok(agents)
    }

    /// A new join token.
    ///
    /// # Errors
    /// It was refused.
    pub fn join_token(&self) -> Result<String> {
        Ok(self.ctl(&["host", "token"])?.expect_code(0)?.stdout.trim().to_owned())
    }

    /// Lets an agent join, and gives the id of its host.
    ///
    /// # Errors
    /// It was refused.
    pub fn join(&self, agent: &Agent) -> Result<String> {
        let (agents, token) = (self.where_agents_dial()?, self.join_token()?);
        let joined = agent.run(&["join", "--coordinator", agents, "--token", &token])?.expect_code(0)?;
        let id = joined.stderr.split("as host ").nth(1).and_then(|rest| rest.split('.').next());
        Ok(id.with_context(|| joined.describe())?.to_owned())
    }

    /// Waits until so many hosts are connected.
    ///
    /// # Errors
    /// They are not.
    pub fn wait_for_hosts(&self, count: usize) -> Result<()> {
        wait::until(wait::PATIENCE, "the hosts to be connected", || {
            let hosts = lines(&self.ctl(&["host", "list", "--json"])?.expect_code(0)?)?;
            Ok(hosts.iter().filter(|host| host["state"] == "connected").count() == count)
        })
    }

    /// Waits until a group has so many nodes.
    ///
    /// # Errors
    /// It has not.
    pub fn wait_for_nodes(&self, env: &str, count: usize) -> Result<()> {
        wait::until(wait::PATIENCE, "the nodes to be there", || {
            let nodes = lines(&self.ctl(&["node", "list", "--env", env, "--json"])?.expect_code(0)?)?;
            Ok(nodes.iter().filter(|node| node["is_present"] == true).count() == count)
        })
    }

    /// Runs `redeployctl` to its end.
    ///
    /// # Errors
    /// It does not end. An exit code is no error.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Outcome> {
        self.spawn_ctl(arguments)?.wait(PATIENCE)
    }

    /// The rest of a line the coordinator said at its start.
    #[must_use]
    pub fn said(&self, word: &str) -> Option<String> {
        let said = self.coordinator.as_ref()?.stdout_so_far();
        said.lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned)
    }

    /// Where operators call.
    ///
    /// # Errors
    /// No coordinator was started.
    pub fn operators(&self) -> Result<&str> {
        let (_, operators) = self.ports.as_ref().context("no ports")?;
        Ok(operators)
    }

    /// `redeployctl` on a terminal of its own, to its end. What it draws is its standard output.
    ///
    /// # Errors
    /// As [`Fleet::ctl`].
    pub fn ctl_on_a_terminal(&self, arguments: &[&str]) -> Result<Outcome> {
        let program = built_beside_tests("redeployctl")?;
        let words: Vec<_> = std::iter::once(program.display().to_string())
            .chain(arguments.iter().map(|word| (*word).to_owned()))
            .map(|word| format!("'{word}'"))
            .collect();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
        self.environment(&mut command)?;
        Running::spawn(command)?.wait(PATIENCE)
    }

    /// As an operator of this coordinator, who has nothing else set.
    fn environment(&self, command: &mut Command) -> Result<()> {
        command.env_remove("REDEPLOY_TOKEN").env_remove("REDEPLOY_CONTEXT").env("TERM", "xterm");
        command.env("REDEPLOY_COORDINATOR", self.operators()?);
        command.env("REDEPLOY_CA", self.data_dir().join("pki/ca.crt"));
        command.env("REDEPLOY_TOKEN_FILE", self.data_dir().join("admin.token"));
        Ok(())
    }

    /// Runs a link to `redeployctl` of this name to its end.
    ///
    /// # Errors
    /// As [`Fleet::ctl`].
    pub fn ctl_linked_as(&self, name: &str, arguments: &[&str]) -> Result<Outcome> {
        let link = self.sandbox.path().join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(built_beside_tests("redeployctl")?, &link)?;
        }
        let mut command = Command::new(link);
        self.environment(&mut command)?;
        command.args(arguments);
        Running::spawn(command)?.wait(PATIENCE)
    }

    /// Starts `redeployctl` and leaves it running.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_ctl(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = Command::new(built_beside_tests("redeployctl")?);
        self.environment(&mut command)?;
        command.args(arguments);
        Running::spawn(command)
    }

    /// Runs a script of bash with what an operator has in the environment. It stops at the first command that fails.
    ///
    /// # Errors
    /// It does not end. An exit code is no error.
    pub fn script(&self, script: &str) -> Result<Outcome> {
        let (_, operators) = self.ports.as_ref().context("no ports")?;
        let mut command = Command::new("bash");
        command.env("REDEPLOY_COORDINATOR", operators);
        command.env("REDEPLOY_CA", self.data_dir().join("pki/ca.crt"));
        command.env("REDEPLOY_TOKEN_FILE", self.data_dir().join("admin.token"));
        command.args(["-euo", "pipefail", "-c", script]);
        Running::spawn(command)?.wait(PATIENCE)
    }

    /// Starts a deployment that is followed, and gives it with its id.
    ///
    /// # Errors
    /// It was refused.
    pub fn deploy(&self, env: &str, image: &str, more: &[&str]) -> Result<Deploy> {
        let words = ["deploy", "--env", env, "--group", "cp", "--image", image, "--pull", "never", "--json"];
        Ok(Deploy { ctl: self.spawn_ctl(&[&words, more].concat())? })
    }
}

/// The node's phases of a state that was told, in the order of the nodes.
#[must_use]
pub fn phases(state: &Value) -> Vec<&str> {
    let nodes = state["nodes"].as_array();
    nodes.into_iter().flatten().filter_map(|node| node["phase"].as_str()).collect()
}

/// A `redeployctl` that follows a deployment.
pub struct Deploy {
    ctl: Running,
}

impl Deploy {
    /// Waits until a line tells of a node in this phase.
    ///
    /// # Errors
    /// None does.
    pub fn wait_for_node(&self, phase: &str) -> Result<()> {
        wait::until(wait::PATIENCE, &format!("a node to be {phase}"), || {
            let said = self.ctl.stdout_so_far();
            // The last line may not be whole yet.
            let states = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let nodes = states.filter_map(|state| state["nodes"].as_array().cloned()).flatten();
            Ok(nodes.into_iter().any(|node| node["phase"] == phase))
        })
    }

    /// Is it over?
    ///
    /// # Errors
    /// The kernel refused.
    pub fn has_ended(&mut self) -> Result<bool> {
        self.ctl.has_ended()
    }

    /// The states it told by now.
    ///
    /// # Errors
    /// A line is no JSON.
    pub fn so_far(&self) -> Result<Vec<Value>> {
        let text = self.ctl.stdout_so_far();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Waits for its end, whatever its exit code, and gives the code and the last state it told.
    ///
    /// # Errors
    /// It does not end, or told nothing.
    pub fn rests(self) -> Result<(Option<i32>, Value)> {
        let outcome = self.ctl.wait(PATIENCE)?;
        let last = lines(&outcome)?.pop().with_context(|| outcome.describe())?;
        Ok((outcome.code, last))
    }

    /// Waits for its end, and gives every state it told.
    ///
    /// # Errors
    /// It ended with another exit code.
    pub fn ended(self, code: i32) -> Result<Vec<Value>> {
        lines(&self.ctl.wait(PATIENCE)?.expect_code(code)?)
    }
}

/// One JSON object per line.
///
/// # Errors
/// A line is none.
pub fn lines(outcome: &Outcome) -> Result<Vec<Value>> {
    let parse = |line| serde_json::from_str(line).with_context(|| outcome.describe());
    outcome.stdout.lines().map(parse).collect()
}
