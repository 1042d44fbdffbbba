//! Networks that users make: names, aliases, fixed addresses, several at once.

use anyhow::{Result, ensure};
use redeploy_tests::sandbox::Sandbox;
use serde_json::json;

use crate::trip::{client, image, round_trip, version_seen_by};

/// A network whose subnet is known, so that addresses in it can be asked for; with the start of its addresses.
fn with_subnet(sandbox: &Sandbox, short: &str) -> Result<(String, String)> {
    // The engine refuses a subnet that is taken: then the next one.
    let first = u32::from(std::process::id().to_le_bytes()[0]);
    let mut last = None;
    for try_number in 0..32 {
        let start = format!("10.{}.{}", 200 + try_number, first);
        match sandbox.network_with(short, &["--subnet", &format!("{start}.0/24")]) {
            Ok(name) => return Ok((name, start)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no subnet was tried")))
}

#[test]
fn the_default_bridge_with_a_link() -> Result<()> {
    let sandbox = Sandbox::new("link")?;
    let store = sandbox.run_subject("store", &[], &image("store")?)?;
    let link = format!("{store}:warehouse");
    let web = sandbox.run_subject("web", &["--link", &link], &image("v1")?)?;
    let client = client(&sandbox, &[])?;
    round_trip(&sandbox, &web, || {
        let links = sandbox.docker().inspect(&web)?["HostConfig"]["Links"].to_string();
        ensure!(links.contains("/warehouse"), "{links}");
        let hosts =
            std::fs::read_to_string(sandbox.docker().inspect(&web)?["HostsPath"].as_str().unwrap_or(""))?;
        ensure!(hosts.contains("warehouse"), "{hosts}");
        version_seen_by(&sandbox, &client, &sandbox.docker().address(&web, 8080)?.ip().to_string())
    })
}

#[test]
fn a_network_of_the_users_with_alias_and_fixed_address() -> Result<()> {
    let sandbox = Sandbox::new("own network")?;
    let (network, start) = with_subnet(&sandbox, "net")?;
    let address = format!("{start}.77");
    let options = ["--network", &network, "--network-alias", "shop", "--network-alias", "deadbeef0123"];
    let fixed = ["--ip", &address, "--hostname", "shop-host"];
    let web = sandbox.run_subject("web", &[options.as_slice(), &fixed].concat(), &image("v1")?)?;
    let client = client(&sandbox, &["--network", &network])?;
    round_trip(&sandbox, &web, || {
        let seen = version_seen_by(&sandbox, &client, "shop")?;
        for name in [address.as_str(), web.as_str(), "deadbeef0123"] {
            ensure!(version_seen_by(&sandbox, &client, name)? == seen, "{name}");
        }
        Ok(seen)
    })
}

#[test]
fn several_networks_at_once() -> Result<()> {
    let sandbox = Sandbox::new("networks")?;
    let docker = sandbox.docker();
    let (second, start) = with_subnet(&sandbox, "back")?;
    let first = sandbox.network("zfront")?;
    let address = format!("{start}.9");
    let web = sandbox.run_subject("web", &["--network", &first, "--network-alias", "shop"], &image("v1")?)?;
    docker.call(&["network", "connect", "--alias", "inner", "--ip", &address, &second, &web])?;
    docker.call(&["network", "connect", "bridge", &web])?;
    let client = client(&sandbox, &["--network", &second])?;
    let outside =
        sandbox.run("outside", &["--network", &first], &redeploy_tests::images::busybox_v1()?, &[])?;
    round_trip(&sandbox, &web, || {
        let seen = version_seen_by(&sandbox, &client, "inner")?;
        ensure!(version_seen_by(&sandbox, &client, &address)? == seen);
        ensure!(version_seen_by(&sandbox, &outside, "shop")? == seen);
        let networks = docker.inspect(&web)?["NetworkSettings"]["Networks"].clone();
        ensure!(networks.as_object().is_some_and(|networks| networks.len() == 3), "{networks:#}");
        Ok(seen)
    })
}

#[test]
fn a_container_that_left_the_network_it_was_created_on() -> Result<()> {
    let sandbox = Sandbox::new("left network")?;
    let docker = sandbox.docker();
    let network = sandbox.network("net")?;
    let web = sandbox.run("web", &[], &image("v1")?, &[])?;
    docker.call(&["network", "connect", "--alias", "shop", &network, &web])?;
    docker.call(&["network", "disconnect", "bridge", &web])?;
    let client = client(&sandbox, &["--network", &network])?;
    ensure!(version_seen_by(&sandbox, &client, "shop")? == "v1");
    let operator = redeploy_tests::operator::Operator::new(&sandbox)?;
    let report = operator.redeploy(&web, &image("v2")?, &[])?.done()?;
    ensure!(version_seen_by(&sandbox, &client, "shop")? == "v2");
    let networks = docker.inspect(&web)?["NetworkSettings"]["Networks"].clone();
    ensure!(networks.get("bridge").is_none(), "{networks:#} with {:?}", report.warnings);
    operator.revert(&web, &[])?.done()?;
    ensure!(version_seen_by(&sandbox, &client, "shop")? == "v1");
    Ok(())
}

#[test]
fn a_mac_address_that_the_user_chose() -> Result<()> {
    const MAC: &str = "02:42:ac:99:00:77";
    let sandbox = Sandbox::new("mac")?;
    let docker = sandbox.docker();
    let network = sandbox.network("net")?;
    let web = sandbox.name("web");
    let body = json!({
        "Image": image("v1")?, "MacAddress": MAC, "HostConfig": { "NetworkMode": network },
        "NetworkingConfig": { "EndpointsConfig": { &network: { "Aliases": ["shop"] } } },
    });
    docker.create_by_api(&web, &body)?;
    docker.call(&["start", &web])?;
    let client = client(&sandbox, &["--network", &network])?;
    round_trip(&sandbox, &web, || {
        let mac = docker.inspect(&web)?["NetworkSettings"]["Networks"][&network]["MacAddress"].clone();
        ensure!(mac == MAC, "{mac}");
        version_seen_by(&sandbox, &client, "shop")
    })
}
