//! One trace for a deployment, through the coordinator and its agent.

use anyhow::{Context, Result, ensure};
use redeploy_tests::collector::{Collector, Sent};
use redeploy_tests::fleet::Fleet;
use redeploy_tests::images;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

const COORDINATOR: &str = "redeploy-coordinator";
const AGENT: &str = "redeploy-agent";

fn find<'a>(spans: &'a [Sent], program: &str, name: &str) -> Result<&'a Sent> {
    let found = spans.iter().find(|sent| sent.program == program && sent.span.name == name);
    found.with_context(|| {
        let names: Vec<_> = spans.iter().map(|sent| (&sent.program, &sent.span.name)).collect();
        format!("no {name} of {program}: {names:?}")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_one_trace_through_coordinator_and_agent() -> Result<()> {
    let sandbox = Sandbox::new("one trace")?;
    let env = sandbox.prefix().to_owned();
    let label = format!("io.redeploy.env={env}");
    sandbox.run_subject(
        "web",
        &["--label", &label, "--label", "io.redeploy.group=cp"],
        &images::subject_v1()?,
    )?;
    let collector = Collector::start().await?;
    let mut fleet = Fleet::started_with(&sandbox, &["--otlp-endpoint", &collector.url()])?;
    let agent = fleet.agent("host")?.variable("REDEPLOY_OTLP_ENDPOINT", &collector.url());
    fleet.join(&agent)?;
    let running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 1)?;
    let states = fleet.deploy(&env, &images::subject_v2()?, &[])?.ended(0)?;
    let id = states.last().and_then(|last| last["deployment_id"].as_str()).context("no deployment")?;

    // The acknowledgement, upon which the agent tells, may come after the end. Both send what they have when they stop.
    let dir = sandbox.path().join("host/redeploys");
    wait::until(wait::PATIENCE, "the report to be acknowledged", || {
        let entries = std::fs::read_dir(&dir)?.flatten();
        Ok(entries.into_iter().any(|entry| entry.path().join("acknowledged").exists()))
    })?;
    running.terminate()?;
    running.wait(wait::PATIENCE)?.expect_code(0)?;
    fleet.stop_coordinator()?;

    let spans = collector.spans();
    let trace = u128::from_str_radix(&id.replace('-', ""), 16)?.to_be_bytes();
    ensure!(spans.iter().all(|sent| sent.span.trace_id == trace), "another trace: {spans:?}");
    let deployment = find(&spans, COORDINATOR, "deployment")?;
    let ordered = find(&spans, COORDINATOR, "redeploy of a node")?;
    let done = find(&spans, AGENT, "redeploy")?;
    ensure!(deployment.span.parent_span_id.is_empty(), "{deployment:?}");
    ensure!(ordered.span.parent_span_id == deployment.span.span_id, "{ordered:?}");
    ensure!(done.span.parent_span_id == ordered.span.span_id, "{done:?}");
    for step in ["step create", "step stop", "step start", "step verify"] {
        let step = find(&spans, AGENT, step)?;
        ensure!(step.span.parent_span_id == done.span.span_id, "{step:?}");
        let within = done.span.start_time_unix_nano <= step.span.start_time_unix_nano
            && step.span.end_time_unix_nano <= done.span.end_time_unix_nano;
        ensure!(within && step.span.start_time_unix_nano <= step.span.end_time_unix_nano, "{step:?}");
    }
    let mut ids: Vec<_> = spans.iter().map(|sent| &sent.span.span_id).collect();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == spans.len(), "two spans have one id: {spans:?}");
    Ok(())
}
