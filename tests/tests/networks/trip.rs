//! One container's way: a failing image, a good one, and back. At each stop it must be reached, and its wishes for
//! its networks must be those of the beginning.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::{Map, Value, json};

/// A subject with nothing but itself.
pub(crate) fn image(tag: &str) -> Result<String> {
    Image::bare_subject(tag)?.build()
}

/// A machine to ask from.
pub(crate) fn client(sandbox: &Sandbox, options: &[&str]) -> Result<String> {
    sandbox.run("client", options, &redeploy_tests::images::busybox_v1()?, &[])
}

/// What the subject with this name or address answers to the client; not at once, because names and addresses have
/// to become known.
pub(crate) fn version_seen_by(sandbox: &Sandbox, client: &str, name: &str) -> Result<String> {
    wait::eventually(wait::PATIENCE, &format!("{name} to answer {client}"), || {
        let address = match name.parse::<Ipv4Addr>() {
            Ok(address) => address,
            Err(_) => look_up(sandbox, client, name)?,
        };
        // A static busybox has no resolver of its own in `wget`.
        let ask = format!("printf 'GET /version HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} 8080");
        let answer = sandbox.docker().exec(client, &["sh", "-c", &ask])?;
        let (_, body) = answer.split_once("\r\n\r\n").context("not an answer")?;
        Ok(Some(body.trim().to_owned()))
    })
}

/// Asks the engine's name server, as a program in the client would.
fn look_up(sandbox: &Sandbox, client: &str, name: &str) -> Result<Ipv4Addr> {
    let answer = sandbox.docker().exec(client, &["/bin/busybox", "nslookup", name, "127.0.0.11"])?;
    let found = answer.lines().rev().find_map(|line| line.strip_prefix("Address: ")?.trim().parse().ok());
    found.with_context(|| format!("no address for {name}: {answer}"))
}

/// Takes the container through all, with `reach` saying which version it is reached at.
pub(crate) fn round_trip(sandbox: &Sandbox, web: &str, reach: impl Fn() -> Result<String>) -> Result<()> {
    let operator = Operator::new(sandbox)?;
    let wishes = wishes(sandbox, web)?;
    let check = |version: &str, when: &str| -> Result<()> {
        let seen = reach().with_context(|| when.to_owned())?;
        ensure!(seen == version, "{when}: reached {seen}");
        let now = self::wishes(sandbox, web)?;
        ensure!(now == wishes, "{when}: {wishes:#} became {now:#}");
        Ok(())
    };
    check("v1", "at the beginning")?;
    let broken = Image::bare_subject("broken")?.set("ENV FAIL_START=1").build()?;
    operator.redeploy(web, &broken, &[])?.undone()?;
    check("v1", "after a failing image")?;
    operator.redeploy(web, &image("v2")?, &[])?.done()?;
    check("v2", "after a redeploy")?;
    operator.revert(web, &[])?.done()?;
    check("v1", "after a revert")
}

/// What the container asks of its networks: not what it was given there.
fn wishes(sandbox: &Sandbox, container: &str) -> Result<Value> {
    let inspected = sandbox.docker().inspect(container)?;
    let short = inspected["Id"].as_str().and_then(|id| id.get(..12)).context("no id")?;
    let mut endpoints = Map::new();
    for (network, endpoint) in inspected["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let aliases = endpoint["Aliases"].as_array().into_iter().flatten();
        let aliases: Vec<&Value> = aliases.filter(|alias| *alias != short).collect();
        // There, the engine shows the address it gave as if it had been asked for.
        let is_swarms = sandbox.docker().inspect_kind("network", network)?["Scope"] == "swarm";
        let wish = json!({
            "IPAMConfig": endpoint["IPAMConfig"].as_object().filter(|wish| !wish.is_empty() && !is_swarms),
            "Aliases": aliases, "Links": endpoint["Links"],
            "DriverOpts": endpoint["DriverOpts"].as_object().filter(|wish| !wish.is_empty()),
        });
        endpoints.insert(network.clone(), wish);
    }
    let hostname = inspected["Config"]["Hostname"].as_str().filter(|name| *name != short);
    Ok(json!({
        "endpoints": endpoints, "hostname": hostname, "mac": inspected["Config"]["MacAddress"],
        "mode": inspected["HostConfig"]["NetworkMode"], "ports": inspected["HostConfig"]["PortBindings"],
    }))
}
