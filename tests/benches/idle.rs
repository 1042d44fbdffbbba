//! How much memory programs take that have nothing to do: an agent that waits for orders, its coordinator.
//!
//! Flows in: the release programs. Flows out: the peak of each since it began, after `BENCH_IDLE_SECONDS` (default 15)
//! of waiting with an open session.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use redeploy_tests::contest::{Goal, Verdict};
use redeploy_tests::fleet::Fleet;
use redeploy_tests::peak::Peak;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::settings;

const MIB: f64 = 1048576.0;

fn main() -> Result<()> {
    let seconds = settings::number("BENCH_IDLE_SECONDS", 15)?;
    let sandbox = Sandbox::new("bench-idle-agent")?;
    let fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let running = agent.spawn(&["run"])?;
    let peak = Peak::of(running.id());
    fleet.wait_for_hosts(1)?;
    println!("memory after {seconds} s of waiting for orders");
    sleep(Duration::from_secs(seconds));
    let mib = peak.bytes()? as f64 / MIB;
    println!("{}", Verdict::of("memory: an agent that waits for orders, MiB", mib, Goal::AtMost(16.0)));
    Ok(())
}
