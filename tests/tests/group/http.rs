//! The HTTP API as its users have it: every command of docs/api.md is carried out, on programs and real containers.

use anyhow::{Result, ensure};
use redeploy_tests::fleet::Fleet;
use redeploy_tests::images;
use redeploy_tests::sandbox::Sandbox;

const GUIDE: &str = include_str!("../../../docs/api.md");

/// The commands of a guide, in their order.
pub(crate) fn commands(guide: &str) -> String {
    let blocks = guide.split("```bash\n").skip(1);
    blocks.filter_map(|block| block.split_once("```")).map(|(commands, _)| commands).collect()
}

#[test]
fn the_commands_of_the_guide_do_what_it_says() -> Result<()> {
    let sandbox = Sandbox::new("http guide")?;
    let env = sandbox.prefix().to_owned();
    let labels = ["--label", &format!("io.redeploy.env={env}"), "--label", "io.redeploy.group=cp"];
    let container = sandbox.run_subject("a", &labels, &images::subject_v1()?)?;
    let fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let _running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 1)?;

    let written = [("\"shop\"", format!("\"{env}\"")), ("env=shop", format!("env={env}"))];
    let image = format!("\"image\": \"{}\", \"options\": {{\"pull\": \"never\"}}", images::subject_v2()?);
    let written = written.into_iter().chain([("\"tag\": \"2.4\"", image)]);
    let mut script = commands(GUIDE);
    for (guide, here) in written {
        ensure!(script.contains(guide), "the guide has no {guide} any more");
        script = script.replace(guide, &here);
    }
    let said = fleet.script(&script)?.expect_code(0)?.stdout;
    let (v1, v2) = (images::subject_v1()?, images::subject_v2()?);
    for expected in [
        "is admin".to_owned(),
        format!("{v1} running"),
        "done: 1 of 1".to_owned(),
        format!("{container} done, down for "),
        format!("deployment.done {v2} of {env}/cp"),
        "rolling_back".to_owned(),
        "ready\nredeploy_downtime_seconds_count".to_owned(),
        "{kind=\"redeploy\"} 1".to_owned(),
        "{kind=\"revert\"} 1".to_owned(),
    ] {
        ensure!(said.contains(&expected), "no {expected:?} in\n{said}");
    }
    sandbox.wait_until_it_serves(&container)?;
    let nodes =
        fleet.script(&format!("{}\napi GET '/api/v1/nodes?env={env}'", first(&script)))?.expect_code(0)?;
    ensure!(nodes.stdout.contains(&format!("\"image\":\"{v1}\"")), "{}", nodes.stdout);
    Ok(())
}

/// The function that all commands use.
fn first(script: &str) -> &str {
    script.find("\n}\n").and_then(|end| script.get(..end + 3)).unwrap_or_default()
}
