//! The verbs around a deployment, as programs: what there is, who waits, what is told while it happens, who did it.

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::{Fleet, lines};
use redeploy_tests::images;
use redeploy_tests::process::Running;
use redeploy_tests::rich;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::Value;

fn said(running: &Running, text: &str) -> Result<()> {
    wait::until(wait::PATIENCE, text, || Ok(running.stdout_so_far().contains(text)))
}

/// The deployments of an environment, newest first.
fn history(fleet: &Fleet, env: &str) -> Result<Vec<Value>> {
    lines(&fleet.ctl(&["history", "--env", env, "--json"])?.expect_code(0)?)
}

#[test]
fn a_deployment_is_watched_halted_and_followed_by_a_queued_one_and_all_of_it_is_on_record() -> Result<()> {
    let sandbox = Sandbox::new("operating")?;
    let env = sandbox.prefix().to_owned();
    let label = format!("io.redeploy.env={env}");
    let labels = ["--label", label.as_str(), "--label", "io.redeploy.group=cp"];
    let (v1, v2) = (images::subject_v1()?, images::subject_v2()?);
    let one = |short| sandbox.run_subject(short, &labels, &v1);
    let containers = [one("a")?, one("b")?];
    let stray = sandbox.run("stray", &[], &images::busybox_v1()?, &[])?;
    let fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let _running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 2)?;

    // What there is.
    let envs = lines(&fleet.ctl(&["env", "list", "--json"])?.expect_code(0)?)?;
    ensure!(envs.iter().any(|listed| listed["name"] == env.as_str()), "{envs:?}");
    let shown = fleet.ctl(&["env", "show", &env])?.expect_code(0)?;
    ensure!(shown.stdout.contains("cp") && shown.stdout.contains('2'), "{}", shown.describe());
    let mistyped = fleet.ctl(&["env", "show", &format!("{env}x")])?.expect_code(2)?;
    ensure!(mistyped.stderr.contains(&format!("the nearest is {env:?}")), "{}", mistyped.describe());

    // A container without labels is adopted, under the name that it has, and forgotten.
    let hosts = lines(&fleet.ctl(&["host", "list", "--json"])?.expect_code(0)?)?;
    let host = hosts[0]["host_id"].as_str().context("no host")?;
    let adopt = |name: &str| {
        fleet.ctl(&[
            "node",
            "adopt",
            "--host",
            host,
            "--container",
            name,
            "--env",
            &env,
            "--group",
            "db",
            "--json",
        ])
    };
    let missing = adopt(&format!("{stray}x"))?.expect_code(2)?;
    ensure!(missing.stderr.contains(&format!("the nearest is {stray:?}")), "{}", missing.describe());
    let adopted = adopt(&stray)?.expect_code(0)?.json()?["node_id"].to_string();
    fleet.ctl(&["node", "forget", &adopted])?.expect_code(64)?;
    fleet.ctl(&["node", "forget", &adopted, "--yes"])?.expect_code(0)?;
    fleet.ctl(&["node", "show", &adopted])?.expect_code(2)?;

    // One at work, followed by two programs; another waits behind it.
    let follow = fleet.spawn_ctl(&["events", "--follow", "--env", &env])?;
    let group = ["--env", env.as_str(), "--group", "cp", "--pull", "never"];
    let to = |image, more: &[&'static str]| [&["deploy", "--image", image], &group[..], more].concat();
    fleet.ctl(&to(&v2, &["--delay", "1h", "--detach"]))?.expect_code(0)?;
    let first = history(&fleet, &env)?[0]["deployment_id"].as_str().context("no id")?.to_owned();
    let watch = fleet.spawn_ctl(&["status", &first, "--watch"])?;
    said(&watch, "pause after the last node")?;
    fleet.ctl(&to(&v1, &[]))?.expect_code(2)?;
    let queued = fleet.spawn_ctl(&to(&v1, &["--queue"]))?;
    wait::until(wait::PATIENCE, "the second to wait", || Ok(history(&fleet, &env)?[0]["phase"] == "queued"))?;

    fleet.ctl(&["halt", &first, "--comment", "lunch"])?.expect_code(0)?;
    let halted = watch.wait(wait::PATIENCE)?.expect_code(5)?;
    ensure!(halted.stdout.contains("redeployctl resume"), "{}", halted.describe());
    said(&follow, "deployment.halted")?;
    // A halted one keeps its place until somebody decides.
    ensure!(history(&fleet, &env)?[0]["phase"] == "queued");
    fleet.ctl(&["cancel", &first, "--yes"])?.expect_code(0)?;
    queued.wait(wait::PATIENCE)?.expect_code(0)?;
    for container in &containers {
        sandbox.wait_until_it_serves(container)?;
        let text = sandbox.http(container)?.text_of("/etc/subject/other.conf")?;
        ensure!(text.as_deref().is_some_and(|text| text.contains("v1")), "{container}: {text:?}");
    }
    said(&follow, "deployment.done")?;
    follow.kill()?;

    // Who did it.
    let audit = lines(&fleet.ctl(&["audit", "--since", "1h", "--json"])?.expect_code(0)?)?;
    let of = |what: &str| audit.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    let halts = of("halt");
    ensure!(halts.len() == 1 && halts[0]["result"] == "ok", "{audit:?}");
    ensure!(halts[0]["target"].as_str().is_some_and(|target| target.contains("lunch")), "{halts:?}");
    ensure!(halts[0]["address"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{halts:?}");
    let refused: Vec<_> = of("deploy").into_iter().filter(|line| line["result"] != "ok").collect();
    ensure!(refused.len() == 1 && of("deploy").len() == 3, "{audit:?}");
    ensure!(of("adopt node").len() == 2 && of("forget node").len() == 1, "{audit:?}");
    let newest = fleet.ctl(&["audit", "-n", "1"])?.expect_code(0)?;
    ensure!(newest.stdout.contains("cancel") && newest.stdout.lines().count() == 2, "{}", newest.describe());
    let nobody = fleet.ctl(&["audit", "--who", "nobody"])?.expect_code(0)?;
    ensure!(nobody.stdout.contains("Nothing."), "{}", nobody.describe());
    let viewer = fleet.ctl(&["token", "create", "looker", "--role", "viewer"])?.expect_code(0)?;
    let token = sandbox.path().join("viewer.token");
    rich::write(&token, viewer.stdout.trim())?;
    let denied = fleet.ctl(&["audit", "--token-file", &token.display().to_string()])?.expect_code(2)?;
    ensure!(denied.stderr.contains("admin"), "{}", denied.describe());

    // One manual page for each command.
    let pages = sandbox.path().join("man");
    std::fs::create_dir(&pages)?;
    fleet.ctl(&["man", &pages.display().to_string()])?.expect_code(0)?;
    for page in ["redeployctl.1", "redeployctl-deploy.1", "redeployctl-audit.1", "redeployctl-node-adopt.1"] {
        let text = std::fs::read_to_string(pages.join(page)).with_context(|| page.to_owned())?;
        ensure!(text.contains(".SH NAME"), "{page}");
    }
    Ok(())
}
