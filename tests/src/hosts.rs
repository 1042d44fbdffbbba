//! Hosts as they are in a data centre: each with an engine, an agent and an address of its own, on one network with the
//! coordinator. Each can be cut off, powered off, or lose its agent or its engine, alone.
//!
//! ```text
//!   this machine: coordinator, redeployctl, clients        10.x.y.1
//!        │ bridge network of the sandbox
//!        ├── host-a   init ─ dockerd ─ web                  10.x.y.11:8080
//!        │                 └ redeploy-agent run
//!        ├── host-b   the same                              10.x.y.12:8080
//!        └── host-c   the same                              10.x.y.13:8080
//! ```
//!
//! Flows in: a sandbox, releases of Debian. Flows out: hosts whose agents have joined, each with one serving node. Each host
//! is a container; its init starts engine and agent again whenever they end, as a service manager does. Must never
//! leave a host, its volumes or control groups behind, nor touch the engine of this machine but to make hosts.

mod cut;
mod host;
mod record;
mod truth;
mod witness;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::engine::Docker;
use crate::engine_host::{Release, Store};
use crate::fleet::{Deploy, Fleet, lines, phases};
use crate::images;
use crate::sandbox::Sandbox;

pub use cut::Cut;
pub use host::Host;
pub use record::Course;
pub use witness::{Seen, Witness};

/// The environment of the one group, `cp`.
pub const ENV: &str = "shop";

/// What the hosts are: the oldest engine that can be had, and the newest one Debian has as new installations have it.
fn kinds() -> Result<[(&'static str, Release, Store); 3]> {
    let oldest = Release::oldest()?;
    Ok([
        ("host-a", oldest, Store::Overlay2),
        ("host-b", oldest, Store::Overlay2),
        ("host-c", Release::Sid, Store::Containerd),
    ])
}

/// A coordinator and three hosts, each with one node of the group.
pub struct Hosts<'a> {
    /// The coordinator, and `redeployctl` to ask it.
    pub fleet: Fleet<'a>,
    /// In the order of their nodes.
    pub hosts: Vec<Host>,
}

/// The images a group is brought to.
pub struct Images {
    /// Serves.
    pub v1: String,
    /// Serves.
    pub v2: String,
    /// Exits as soon as it starts.
    pub broken: String,
}

impl Images {
    /// Built, or found.
    ///
    /// # Errors
    /// They cannot be built.
    pub fn all() -> Result<Self> {
        Ok(Self { v1: images::subject_v1()?, v2: images::subject_v2()?, broken: images::subject_broken()? })
    }
}

impl<'a> Hosts<'a> {
    /// Three hosts that have joined, each with a node on v1.
    ///
    /// # Errors
    /// They do not come up; what their engine or agent logged is in the error.
    pub fn start(sandbox: &'a Sandbox, images: &Images) -> Result<Self> {
        let (network, subnet) = network(sandbox)?;
        let fleet = Fleet::at(sandbox, &format!("{subnet}.1"))?;
        let archive = Docker.call_bytes(&["save", &images.v1, &images.v2, &images.broken])?;
        let begin = |(name, release, store): (&str, Release, Store), number: usize| -> Result<Host> {
            let address = format!("{subnet}.{}", 11 + number);
            let host = Host::start(sandbox, name, release, store, &network, &address)?;
            host.load(&archive)?;
            host.run_node(&images.v1, ENV)?;
            Ok(host)
        };
        let (begin, kinds) = (&begin, kinds()?);
        // At the same time: most of it is waiting for engines.
        let hosts: Result<Vec<Host>> = std::thread::scope(|scope| {
            let starts: Vec<_> = kinds
                .into_iter()
                .enumerate()
                .map(|(number, kind)| scope.spawn(move || begin(kind, number)))
                .collect();
            let joined = starts.into_iter().map(|start| start.join());
            joined.map(|host| host.unwrap_or_else(|_| anyhow::bail!("a start panicked"))).collect()
        });
        let mut hosts = hosts?;
        // One after the other, because nodes get their ids as they are seen, and because without a registry the first
        // one must not be on the containerd store, which has a digest of its own for every image.
        for (number, host) in (1..).zip(&mut hosts) {
            host.join(&fleet)?;
            host.node = number;
            fleet.wait_for_nodes(ENV, usize::try_from(number)?).with_context(|| host.agent_log())?;
        }
        Ok(Self { fleet, hosts })
    }

    /// What the coordinator knows of the nodes.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn nodes(&self) -> Result<Vec<Value>> {
        lines(&self.fleet.ctl(&["node", "list", "--env", ENV, "--json"])?.expect_code(0)?)
    }

    /// Starts a deployment of the group that is followed.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn deploy(&self, image: &str, more: &[&str]) -> Result<Deploy> {
        self.fleet.deploy(ENV, image, more)
    }

    /// Orders something about a deployment and follows it to its end.
    ///
    /// # Errors
    /// It ends with another exit code.
    pub fn order(&self, verb: &str, id: &str, more: &[&str], code: i32) -> Result<Value> {
        let outcome = self.fleet.ctl(&[&[verb, id, "--json"], more].concat())?.expect_code(code)?;
        lines(&outcome)?.pop().with_context(|| outcome.describe())
    }

    /// Compares what was told at the end of a deployment with what is there; see [`truth`](self).
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, told: &Value, images: &Images) -> Result<()> {
        truth::check(self, told, images).with_context(|| format!("told: {told}"))
    }

    /// A client for each node that never stops asking.
    #[must_use]
    pub fn witnesses(&self) -> Vec<Witness> {
        self.hosts.iter().map(|host| Witness::start(host.service())).collect()
    }

    /// The group as a deployment that ended well leaves it.
    ///
    /// # Errors
    /// Its last state is another one.
    pub fn all_done(&self, told: &Value) -> Result<()> {
        ensure!(phases(told) == vec!["done"; self.hosts.len()], "{told}");
        Ok(())
    }
}

/// A network of the sandbox with known addresses, and their start.
fn network(sandbox: &Sandbox) -> Result<(String, String)> {
    // The engine refuses a subnet that is taken: then the next one.
    let second = 64 + std::process::id() % 128;
    let mut last = None;
    for third in 0..32 {
        let subnet = format!("10.{second}.{}", third * 8);
        match sandbox.network_with("net", &["--subnet", &format!("{subnet}.0/24")]) {
            Ok(name) => return Ok((name, subnet)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no subnet was tried")?)
}

/// Where programs lie that were built beside the tests.
fn programs() -> Result<std::path::PathBuf> {
    let agent = crate::agent::built_beside_tests("redeploy-agent")?;
    agent.parent().map(Path::to_owned).context("no directory")
}
