//! Success is proved: health checks, slow starts, probes, containers that do one job and end.

use anyhow::{Context, Result, ensure};
use redeploy_tests::images::{self, Image};
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

#[test]
fn a_slow_start_is_waited_for_by_health_check_and_probe() -> Result<()> {
    let sandbox = Sandbox::new("slow start")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let operator = Operator::new(&sandbox)?;
    let health = "HEALTHCHECK --interval=1s --timeout=2s --retries=2 --start-period=20s CMD [\"/subject\", \"health\"]";
    let slow = Image::subject("slow")?.set("ENV START_DELAY_MS=1500").set(health).build()?;
    let report = operator.redeploy(&web, &slow, &[])?.done()?;
    ensure!(sandbox.docker().inspect(&web)?["State"]["Health"]["Status"] == "healthy");
    ensure!(report.failure.is_none());

    // Without a health check, the probe alone says when it serves.
    let slow = Image::subject("slow-too")?.set("ENV START_DELAY_MS=1500").set("HEALTHCHECK NONE").build()?;
    operator.redeploy(&web, &slow, &["--probe=http://:8080/healthz"])?.done()?;
    ensure!(sandbox.http(&web)?.get("/version")?.text() == "slow-too\n", "done before it served");
    operator.redeploy(&web, &images::subject_v2()?, &["--probe=tcp://:8080"])?.done()?;
    Ok(())
}

/// A probe without a host asks the container itself: in another one's network, at that one's address.
#[test]
fn a_probe_reaches_a_container_in_the_network_of_another() -> Result<()> {
    let sandbox = Sandbox::new("joined probe")?;
    let ground = sandbox.run("ground", &[], &images::busybox_v1()?, &[])?;
    let network = format!("container:{ground}");
    let web = sandbox.run("web", &["--network", &network], &images::subject_v1()?, &[])?;
    let operator = Operator::new(&sandbox)?;
    operator.redeploy(&web, &images::subject_v2()?, &["--probe=http://:8080/version"])?.done()?;
    let words = ["--probe=http://:8080/no-such-page", "--verify-timeout=2s"];
    let report = operator.redeploy(&web, &images::subject_v1()?, &words)?.undone()?;
    let failure = report.failure.context("no failure")?;
    ensure!(failure.reason.contains("probe"), "{}", failure.reason);
    Ok(())
}

#[test]
fn a_one_shot_container_that_exits_0_has_done_its_job() -> Result<()> {
    let sandbox = Sandbox::new("one shot")?;
    let job = sandbox.run("job", &[], &images::busybox_v1()?, &[])?;
    let once = Image::busybox("once")?.set("CMD [\"sh\", \"-c\", \"echo migrated\"]").build()?;
    Operator::new(&sandbox)?.redeploy(&job, &once, &[])?.done()?;
    let inspected = sandbox.docker().inspect(&job)?;
    ensure!(inspected["State"]["Status"] == "exited" && inspected["State"]["ExitCode"] == 0);
    ensure!(sandbox.docker().logs(&job)?.contains("migrated"));
    Ok(())
}
