//! What operators ask and order of single nodes: plans, a terminal that is drawn, what was done on a host, reverts.

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::{Fleet, lines};
use redeploy_tests::images;
use redeploy_tests::process::Running;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn version(sandbox: &Sandbox, container: &str) -> Result<String> {
    sandbox.wait_until_it_serves(container)?;
    Ok(sandbox.http(container)?.text_of("/etc/subject/other.conf")?.unwrap_or_default())
}

fn is_on(sandbox: &Sandbox, containers: &[String], versions: &[&str]) -> Result<()> {
    for (container, expected) in containers.iter().zip(versions) {
        let found = version(sandbox, container)?;
        ensure!(found.contains(expected), "{container} is on {found:?}, not on {expected}");
    }
    Ok(())
}

fn press_ctrl_c(running: &Running) -> Result<()> {
    let id = Pid::from_raw(i32::try_from(running.id())?).context("no process")?;
    Ok(kill_process(id, Signal::INT)?)
}

/// The kinds of all events of an environment, and where they end.
fn events(fleet: &Fleet, env: &str) -> Result<Vec<Value>> {
    lines(&fleet.ctl(&["events", "--env", env, "--json", "-n", "1000"])?.expect_code(0)?)
}

#[test]
fn two_nodes_are_planned_deployed_on_a_terminal_changed_by_hand_and_reverted() -> Result<()> {
    let sandbox = Sandbox::new("asking")?;
    let env = sandbox.prefix().to_owned();
    let label = format!("io.redeploy.env={env}");
    let labels = ["--label", label.as_str(), "--label", "io.redeploy.group=cp"];
    let one = |short| sandbox.run_subject(short, &labels, &images::subject_v1()?);
    let containers = vec![one("a")?, one("b")?];
    let mut fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let _running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 2)?;
    let group = ["--env", env.as_str(), "--group", "cp", "--pull", "never"];
    let (v1, v2) = (images::subject_v1()?, images::subject_v2()?);
    let to = |image: &'static str| [&group[..], &["--image", image]].concat();
    let (v1, v2): (&'static str, &'static str) = (v1.leak(), v2.leak());

    // A plan: what would happen, and nothing happens.
    let plan = fleet.ctl(&[&["plan", "--json"], &to(v2)[..]].concat())?.expect_code(0)?.json()?;
    ensure!(
        plan["is_ok"] == true && plan["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2),
        "{plan}"
    );
    let text = plan["nodes"][1]["preflight"]["plan_text"].as_str().unwrap_or_default();
    ensure!(text.contains(v2), "{plan}");
    let slip = fleet.ctl(&[&["deploy"], &to("nobody/knows:1")[..]].concat())?.expect_code(2)?;
    ensure!(slip.stderr.contains("is another repository"), "{}", slip.describe());
    let refused = fleet
        .ctl(&[&["plan"], &to("nobody/knows:1")[..], &["--allow-image-change"]].concat())?
        .expect_code(2)?;
    ensure!(refused.stdout.contains("2 refused"), "{}", refused.describe());
    ensure!(fleet.ctl(&["history", "--env", &env, "--json"])?.expect_code(0)?.stdout.is_empty());
    is_on(&sandbox, &containers, &["v1", "v1"])?;

    // Ctrl-C during the pause stops following, and nothing else.
    let words = [&["deploy", "--delay", "1h", "--comment", "by hand"], &to(v2)[..]].concat();
    let deploy = fleet.spawn_ctl(&words)?;
    wait::until(wait::PATIENCE, "the pause", || {
        Ok(deploy.stdout_so_far().contains("pause after the last node"))
    })?;
    press_ctrl_c(&deploy)?;
    let detached = deploy.wait(wait::PATIENCE)?.expect_code(3)?;
    ensure!(
        detached.stderr.contains("the deployment goes on: redeployctl status"),
        "{}",
        detached.describe()
    );
    let open = lines(&fleet.ctl(&["history", "--env", &env, "--group", "cp", "--json"])?.expect_code(0)?)?;
    ensure!(open.len() == 1 && open[0]["phase"] == "running" && open[0]["comment"] == "by hand", "{open:?}");
    ensure!(open[0]["started_at_ms"].as_i64() > Some(0), "{open:?}");
    let id = open[0]["deployment_id"].as_str().context("no id")?;
    fleet.ctl(&["cancel", id, "--yes"])?.expect_code(0)?;
    is_on(&sandbox, &containers, &["v2", "v1"])?;

    // On a terminal it is drawn in place, and the whole list and a summary stay.
    let drawn =
        fleet.ctl_on_a_terminal(&[&["deploy", "--parallel", "all"], &to(v2)[..]].concat())?.expect_code(0)?;
    let (frames, rest) = drawn.stdout.rsplit_once("\u{1b}[J").with_context(|| drawn.describe())?;
    ensure!(frames.contains("\u{1b}[2K") && frames.contains("at work"), "{}", drawn.describe());
    for said in ["2 of 2 done", "down for ", "redeployctl rollback ", "next:"] {
        ensure!(rest.contains(said), "{said}: {}", drawn.describe());
    }
    is_on(&sandbox, &containers, &["v2", "v2"])?;

    // A command on the host is reported as well.
    let nodes = lines(&fleet.ctl(&["node", "list", "--env", &env, "--json"])?.expect_code(0)?)?;
    let node =
        nodes.iter().find(|node| node["container"]["name"] == containers[1].as_str()).context("no node")?;
    let node = node["node_id"].to_string();
    agent
        .run(&["redeploy", "--container", &containers[1], "--image", v1, "--pull", "never"])?
        .expect_code(0)?;
    let shown = wait::eventually(wait::PATIENCE, "the local redeploy to be told", || {
        let shown = fleet.ctl(&["node", "show", &node, "--json"])?.expect_code(0)?.json()?;
        Ok((shown["last_redeploy"]["is_local"] == true).then_some(shown))
    })?;
    ensure!(shown["last_redeploy"]["verdict"] == "done", "{shown}");
    let told = events(&fleet, &env)?;
    let local: Vec<&Value> = told.iter().filter(|event| event["kind"] == "node.local_redeploy").collect();
    ensure!(local.len() == 1 && local[0]["node_id"].as_u64() == node.parse().ok(), "{told:?}");

    // One node back, by a deployment of its own.
    fleet.ctl(&["revert", &node])?.expect_code(64)?;
    let back = fleet.ctl(&["revert", &node, "--yes", "--json"])?.expect_code(0)?;
    ensure!(lines(&back)?.last().is_some_and(|last| last["phase"] == "rolled_back"), "{}", back.describe());
    is_on(&sandbox, &containers, &["v2", "v2"])?;
    let of_node = lines(&fleet.ctl(&["history", "--node", &node, "--json"])?.expect_code(0)?)?;
    ensure!(of_node.len() == 3 && of_node[0]["kind"] == "revert", "newest first: {of_node:?}");

    // What does not exist is named with what does.
    let unknown = fleet.ctl(&["deploy", "--env", &env, "--group", "pc", "--tag", "2"])?.expect_code(2)?;
    ensure!(unknown.stderr.contains("the nearest is \"cp\""), "{}", unknown.describe());
    let many = fleet.ctl(&[&["deploy", "--parallel", "3"], &to(v2)[..]].concat())?.expect_code(2)?;
    ensure!(many.stderr.contains("the group has 2"), "{}", many.describe());
    fleet.stop_coordinator()
}
