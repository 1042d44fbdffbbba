//! The agent's program under a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::Fleet;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait::PATIENCE;
use serde_json::Value;

/// Reads datagrams until one has a line that begins so, and gives all lines.
fn until(socket: &UnixDatagram, wanted: &str) -> Result<Vec<String>> {
    let mut seen: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    let end = Instant::now() + PATIENCE;
    while !seen.iter().any(|line| line.starts_with(wanted)) {
        // The watchdog alone would keep this going for ever.
        ensure!(Instant::now() < end, "waited for {wanted}: {seen:?}");
        let length = socket.recv(&mut buffer).with_context(|| format!("waited for {wanted}: {seen:?}"))?;
        seen.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
    }
    Ok(seen)
}

#[test]
fn a_service_manager_is_told_that_the_agent_is_ready_connected_alive_and_stopping() -> Result<()> {
    let sandbox = Sandbox::new("managed agent")?;
    let mut fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let path = sandbox.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let path = path.to_str().context("the path is not UTF-8")?;
    let agent = agent.variable("NOTIFY_SOCKET", path).variable("WATCHDOG_USEC", "400000");

    // Without a coordinator it is ready all the same, so that a host that boots does not hang.
    fleet.kill_coordinator()?;
    let running = agent.spawn(&["run", "--log-format", "json"])?;
    let told = until(&socket, "READY=1")?;
    ensure!(told.iter().all(|line| line == "READY=1" || line == "WATCHDOG=1"), "{told:?}");
    until(&socket, "STATUS=no session")?;
    fleet.start_coordinator()?;
    until(&socket, "STATUS=connected to https://127.0.0.1")?;
    until(&socket, "WATCHDOG=1")?;
    until(&socket, "WATCHDOG=1")?;
    running.terminate()?;
    until(&socket, "STOPPING=1")?;
    let ended = running.wait(PATIENCE)?.expect_code(0)?;
    let is_json = |line: &&str| line.starts_with('{');
    let lines: serde_json::Result<Vec<Value>> =
        ended.stderr.lines().filter(is_json).map(serde_json::from_str).collect();
    ensure!(lines?.iter().any(|line| line["message"] == "a session began"), "{}", ended.describe());
    Ok(())
}

/// A host that never joined has nothing to do, and nothing to finish: it is over at once.
#[test]
fn a_service_manager_is_told_also_of_an_agent_that_ends_by_itself() -> Result<()> {
    let sandbox = Sandbox::new("agent that ends")?;
    let fleet = Fleet::new(&sandbox)?;
    let path = sandbox.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let path = path.to_str().context("the path is not UTF-8")?;
    let agent = fleet.agent("host")?.variable("NOTIFY_SOCKET", path);
    agent.spawn(&["run"])?.wait(PATIENCE)?.expect_code(2)?;
    let told = until(&socket, "STOPPING=1")?;
    ensure!(told == ["STOPPING=1"], "{told:?}");
    Ok(())
}
