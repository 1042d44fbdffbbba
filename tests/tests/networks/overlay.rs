//! Attachable overlay networks: the engine's cluster keeps records of who is on them, and a rename at the wrong
//! moment breaks these.

use std::fs::File;

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::Map;

use crate::trip::{client, image, round_trip, version_seen_by};

/// A swarm of this engine alone. One test at a time has it; it is left again if it was begun here.
struct Swarm {
    begun: bool,
    _lock: File,
}

impl Swarm {
    fn join() -> Result<Self> {
        let lock = File::create(std::env::temp_dir().join("redeploy-test-swarm.lock"))?;
        lock.lock()?;
        let state = Docker.call(&["info", "--format", "{{.Swarm.LocalNodeState}}"])?;
        let begun = state == "inactive";
        if begun {
            Docker.call(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        }
        Ok(Self { begun, _lock: lock })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if self.begun
            && let Err(error) = Docker.call(&["swarm", "leave", "--force"])
        {
            eprintln!("the swarm is not left: {error:#}");
        }
    }
}

#[test]
fn an_attachable_overlay_network_beside_a_bridge() -> Result<()> {
    let _swarm = Swarm::join()?;
    let sandbox = Sandbox::new("overlay")?;
    let docker = sandbox.docker();
    let overlay = sandbox.network_with("overlay", &["--driver", "overlay", "--attachable"])?;
    let bridge = sandbox.network("bridge")?;
    let web = sandbox.run("web", &["--network", &overlay, "--network-alias", "shop"], &image("v1")?, &[])?;
    docker.call(&["network", "connect", "--alias", "inner", &bridge, &web])?;
    let outside =
        sandbox.run("outside", &["--network", &bridge], &redeploy_tests::images::busybox_v1()?, &[])?;
    // Nobody else is on the overlay: between old and new container it may vanish from this node.
    round_trip(&sandbox, &web, || version_seen_by(&sandbox, &outside, "inner"))?;
    let operator = Operator::new(&sandbox)?;
    operator.redeploy(&web, &image("v2")?, &[])?.done()?;
    docker.call(&["stop", &web])?;
    let wish = docker.inspect(&web)?["NetworkSettings"]["Networks"][&overlay]["IPAMConfig"].clone();
    ensure!(wish.as_object().is_none_or(Map::is_empty), "the address of then has become a wish: {wish}");
    // Engine 28 refuses at random to start a container on an overlay network that nobody uses and another one.
    wait::until(wait::PATIENCE, "the start", || docker.call(&["start", &web]).map(|_| true))?;
    operator.revert(&web, &[])?.done()?;

    let client = client(&sandbox, &["--network", &overlay])?;
    round_trip(&sandbox, &web, || {
        let seen = version_seen_by(&sandbox, &client, "shop")?;
        ensure!(version_seen_by(&sandbox, &client, &web)? == seen, "the name leads elsewhere than the alias");
        Ok(seen)
    })
}
