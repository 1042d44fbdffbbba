//! The whole thing as its users have it: a coordinator program, agent programs, `redeployctl`, real containers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::{Fleet, lines};
use redeploy_tests::images;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::Value;

const OTHER: &str = "/etc/subject/other.conf";
const KEPT: &str = "/etc/subject/conf.d/mine.conf";

/// Which image a serving subject is on, and that its user's file is there.
fn serves(sandbox: &Sandbox, container: &str, version: &str) -> Result<()> {
    sandbox.wait_until_it_serves(container)?;
    let http = sandbox.http(container)?;
    let other = http.text_of(OTHER)?.unwrap_or_default();
    ensure!(other.contains(version), "{container} is on {other:?}, not on {version}");
    ensure!(http.text_of(KEPT)?.as_deref() == Some(container), "{container} lost its user's file");
    Ok(())
}

fn all_serve(sandbox: &Sandbox, containers: &[String], version: &str) -> Result<()> {
    containers.iter().try_for_each(|container| serves(sandbox, container, version))
}

fn subjects(sandbox: &Sandbox, labels: &[&str]) -> Result<Vec<String>> {
    let one = |short: &&str| {
        let container = sandbox.run_subject(short, labels, &images::subject_v1()?)?;
        sandbox.http(&container)?.put_file(KEPT, container.as_bytes())?;
        Ok(container)
    };
    ["a", "b", "c"].iter().map(one).collect()
}

fn phases(state: &Value) -> Vec<&str> {
    let nodes = state["nodes"].as_array();
    nodes.into_iter().flatten().filter_map(|node| node["phase"].as_str()).collect()
}

fn id(states: &[Value]) -> Result<&str> {
    states.last().and_then(|last| last["deployment_id"].as_str()).context("nothing was told")
}

/// Never two nodes at work, and each after those before it.
fn one_after_another(states: &[Value]) -> Result<()> {
    for state in states {
        let phases = phases(state);
        let at_work = phases.iter().filter(|phase| **phase == "running").count();
        let done = phases.iter().take_while(|phase| **phase == "done").count();
        let rest = phases.iter().skip(done + at_work);
        ensure!(at_work <= 1 && rest.clone().all(|phase| *phase == "waiting"), "{phases:?}");
    }
    Ok(())
}

#[test]
fn three_hosts_roll_one_by_one_a_broken_image_halts_at_the_first_and_a_rollback_brings_all_back() -> Result<()>
{
    let sandbox = Sandbox::new("three hosts")?;
    let containers = subjects(&sandbox, &[])?;
    // Containers of other tests are in the inventory too, some of them labelled.
    let env = sandbox.prefix();
    let mut fleet = Fleet::new(&sandbox)?;
    let mut agents = Vec::new();
    for (name, container) in ["host-a", "host-b", "host-c"].iter().zip(&containers) {
        let agent = fleet.agent(name)?;
        let host = fleet.join(&agent)?;
        agents.push(agent.spawn(&["run"])?);
        // Every agent sees all containers of the engine. A node is what its own host adopted.
        let adopt =
            ["node", "adopt", "--host", &host, "--container", container, "--env", env, "--group", "cp"];
        // As soon as its host has told what it has.
        wait::until(wait::PATIENCE, "the container to be known", || {
            Ok(fleet.ctl(&adopt)?.expect_code(0).is_ok())
        })?;
    }
    fleet.wait_for_hosts(3)?;

    let first = fleet.deploy(env, &images::subject_v2()?, &["--delay", "300ms"])?.ended(0)?;
    one_after_another(&first)?;
    all_serve(&sandbox, &containers, "v2")?;
    let nodes = lines(&fleet.ctl(&["node", "list", "--env", env, "--json"])?.expect_code(0)?)?;
    let told: Vec<&Value> = nodes.iter().map(|node| &node["container"]["image"]).collect();
    ensure!(told == [&images::subject_v2()?; 3], "the inventory is behind: {told:?}");

    let broken = fleet.deploy(env, &images::subject_broken()?, &[])?.ended(5)?;
    let last = broken.last().context("nothing was told")?;
    ensure!(phases(last) == ["failed", "waiting", "waiting"], "{last}");
    ensure!(last["nodes"][0]["report"]["verdict"] == "undone", "{last}");
    all_serve(&sandbox, &containers, "v2")?;

    // The group is held by the one that halted.
    fleet.ctl(&["rollback", id(&first)?, "--yes"])?.expect_code(2)?;
    fleet.ctl(&["cancel", id(&broken)?])?.expect_code(64)?;
    fleet.ctl(&["cancel", id(&broken)?, "--yes"])?.expect_code(0)?;
    let back = lines(&fleet.ctl(&["rollback", id(&first)?, "--yes", "--json"])?.expect_code(0)?)?;
    ensure!(back.last().is_some_and(|last| phases(last) == ["reverted"; 3]), "{back:?}");
    all_serve(&sandbox, &containers, "v1")?;
    fleet.stop_coordinator()
}

#[test]
fn a_deployment_goes_on_after_the_coordinator_was_killed_and_tells_the_truth_after_the_agent_was()
-> Result<()> {
    let sandbox = Sandbox::new("killed programs")?;
    let env = sandbox.prefix().to_owned();
    let label = format!("io.redeploy.env={env}");
    let containers = subjects(&sandbox, &["--label", &label, "--label", "io.redeploy.group=cp"])?;
    let mut fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 3)?;

    let deploy = fleet.deploy(&env, &images::subject_v2()?, &[])?;
    deploy.wait_for_node("running")?;
    fleet.kill_coordinator()?;
    fleet.start_coordinator()?;
    one_after_another(&deploy.ended(0)?)?;
    all_serve(&sandbox, &containers, "v2")?;

    // The agent is killed in the middle of the next redeploy, and comes back.
    drop(running);
    let doomed = agent.clone().variable("REDEPLOY_TEST_FAULTS", "kill-at=9").spawn(&["run"])?;
    let deploy = fleet.deploy(&env, &images::subject_v1()?, &[])?;
    let ended = doomed.wait(Duration::from_secs(60))?;
    ensure!(ended.signal == Some(9), "{}", ended.describe());
    let _running = agent.spawn(&["run"])?;
    let states = deploy.ended(5)?;
    let last = states.last().context("nothing was told")?;
    ensure!(phases(last) == ["failed", "waiting", "waiting"], "{last}");
    ensure!(last["nodes"][0]["report"]["verdict"] == "undone", "{last}");
    all_serve(&sandbox, &containers, "v2")?;

    fleet.ctl(&["retry-failed", id(&states)?])?.expect_code(0)?;
    all_serve(&sandbox, &containers, "v1")
}
