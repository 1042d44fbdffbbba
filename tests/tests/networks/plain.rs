//! No network of its own: the host's, none, another container's; and ports published on the host.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Result, ensure};
use redeploy_tests::http::Http;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

use crate::trip::{image, round_trip};

/// A port of this host that nobody uses now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn version_at(address: SocketAddr) -> Result<String> {
    let text = wait::eventually(wait::PATIENCE, "an answer", || {
        Ok(Some(Http::new(address).get("/version")?.text()))
    })?;
    Ok(text.trim().to_owned())
}

#[test]
fn published_ports_lead_to_whoever_serves() -> Result<()> {
    let sandbox = Sandbox::new("published")?;
    let port = free_port()?;
    let fixed = format!("127.0.0.1:{port}:8080");
    let options = ["--publish", &fixed, "--publish", "127.0.0.1::8080"];
    let web = sandbox.run_subject("web", &options, &image("v1")?)?;
    round_trip(&sandbox, &web, || {
        let own = sandbox.docker().address(&web, 8080)?;
        ensure!(version_at(own)? == version_at(([127, 0, 0, 1], port).into())?);
        let published = sandbox.docker().call(&["port", &web, "8080"])?;
        for line in published.lines() {
            version_at(line.parse()?)?;
        }
        ensure!(published.lines().count() == 2, "{published}");
        version_at(own)
    })
}

#[test]
fn the_hosts_network() -> Result<()> {
    let sandbox = Sandbox::new("host network")?;
    let port = free_port()?;
    let variable = format!("PORT={port}");
    let options = ["--network", "host", "--env", &variable];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    round_trip(&sandbox, &web, || version_at(([127, 0, 0, 1], port).into()))
}

#[test]
fn no_network_at_all() -> Result<()> {
    let sandbox = Sandbox::new("no network")?;
    let web = sandbox.run("web", &["--network", "none"], &image("v1")?, &[])?;
    round_trip(&sandbox, &web, || {
        sandbox.docker().exec(&web, &["/subject", "health"])?;
        let inspected = sandbox.docker().inspect(&web)?;
        let env = inspected["Config"]["Env"].as_array().into_iter().flatten();
        let version = env.filter_map(|entry| entry.as_str()?.strip_prefix("VERSION=")).next();
        Ok(version.unwrap_or("none").to_owned())
    })
}

#[test]
fn the_network_of_another_container() -> Result<()> {
    let sandbox = Sandbox::new("borrowed network")?;
    let gate = sandbox.run(
        "gate",
        &["--publish", "127.0.0.1::8080"],
        &redeploy_tests::images::busybox_v1()?,
        &[],
    )?;
    let options = ["--network", &format!("container:{gate}")];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    round_trip(&sandbox, &web, || version_at(sandbox.docker().published(&gate, 8080)?))
}
