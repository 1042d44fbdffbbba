//! Somebody else acts on the containers while a redeploy is under way: it ends done or undone, never with two on one
//! volume, and says the truth.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::steps::Step;
use redeploy_tests::engine::Docker;
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::Value;

/// Records of the journal after which somebody acts, by what has happened then.
mod record {
    pub(crate) const CREATED: u32 = 2;
    pub(crate) const CAPTURED: u32 = 4;
    pub(crate) const STOPPED: u32 = 8;
    pub(crate) const SWAPPED: u32 = 12;
    pub(crate) const STARTED: u32 = 14;
}

/// A service on v1 with a volume, and the agent that was killed half way to v2.
struct Scene {
    sandbox: Sandbox,
    operator: Operator,
    web: String,
    old_id: String,
}

impl Scene {
    fn killed_at(test: &str, record: u32) -> Result<Self> {
        let sandbox = Sandbox::new(test)?;
        let volume = sandbox.volume("data")?;
        let options = ["--volume", &format!("{volume}:/data"), "--restart", "unless-stopped"];
        let web = sandbox.run("web", &options, &image("v1")?, &[])?;
        sandbox.docker().exec(&web, &["sh", "-c", "echo rows >/data/rows; echo mine >/etc/mine"])?;
        let old_id = id_of(&sandbox.docker().inspect(&web)?)?;
        let operator = Operator::new(&sandbox)?;
        operator.redeploy_killed_at(&web, &image("v2")?, record)?;
        Ok(Self { sandbox, operator, web, old_id })
    }

    fn docker(&self) -> Docker {
        self.sandbox.docker()
    }

    /// The container that the redeploy made.
    fn new_id(&self) -> Result<String> {
        for name in self.sandbox.containers()? {
            let inspected = self.docker().inspect(&name)?;
            if inspected["Config"]["Labels"].get("io.redeploy.id").is_some() {
                return id_of(&inspected);
            }
        }
        anyhow::bail!("there is no new container")
    }

    fn recover(&self) -> Result<Report> {
        self.operator.recover()?.report()
    }

    /// The old one serves, alone, with its data.
    fn serves_as_before(&self) -> Result<()> {
        let inspected = self.docker().inspect(&self.web)?;
        ensure!(id_of(&inspected)? == self.old_id, "another container has the name");
        ensure!(inspected["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped");
        self.serves()?;
        ensure!(self.sandbox.containers()? == [self.web.clone()], "{:?}", self.sandbox.containers()?);
        Ok(())
    }

    /// The old image serves in a container that was made anew, alone, with the data; and the report tells.
    fn serves_anew(&self, report: &Report) -> Result<()> {
        let inspected = self.docker().inspect(&self.web)?;
        ensure!(id_of(&inspected)? != self.old_id, "nobody removed it");
        ensure!(inspected["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped");
        ensure!(self.docker().exec(&self.web, &["cat", "/etc/motd"])? == "busybox v1");
        self.serves()?;
        ensure!(self.sandbox.containers()? == [self.web.clone()], "{:?}", self.sandbox.containers()?);
        let note = report.failure.as_ref().and_then(|failure| failure.made_anew.as_deref());
        ensure!(note.is_some_and(|note| note.contains("and what is kept of its root")), "{report:#?}");
        Ok(())
    }

    /// Whoever has the name runs, alone, with the data.
    fn serves(&self) -> Result<()> {
        self.sandbox.wait_for_state(&self.web, "running", wait::PATIENCE)?;
        let seen = self.docker().exec(&self.web, &["cat", "/data/rows", "/etc/mine"])?;
        ensure!(seen == "rows\nmine", "{seen:?}");
        let running = self.docker().call(&[
            "ps",
            "--format",
            "{{.Names}}",
            "--filter",
            &format!("name={}", self.web),
        ])?;
        ensure!(running == self.web, "running: {running:?}");
        Ok(())
    }
}

fn id_of(inspected: &Value) -> Result<String> {
    Ok(inspected["Id"].as_str().context("no id")?.to_owned())
}

fn image(tag: &str) -> Result<String> {
    Image::busybox(tag)?.file("/etc/jelastic/redeploy.conf", "/etc/mine\n").build()
}

#[test]
fn somebody_removes_the_new_container() -> Result<()> {
    for (test, record) in [("new gone early", record::CREATED), ("new gone", record::CAPTURED)] {
        let scene = Scene::killed_at(test, record)?;
        scene.docker().call(&["rm", "--force", &scene.new_id()?])?;
        ensure!(scene.recover()?.verdict == Verdict::Undone);
        scene.serves_as_before()?;
    }
    for (test, record) in [("new gone stopped", record::STOPPED), ("new gone late", record::STARTED)] {
        let scene = Scene::killed_at(test, record)?;
        scene.docker().call(&["rm", "--force", &scene.new_id()?])?;
        ensure!(scene.recover()?.verdict == Verdict::Undone);
        scene.serves_as_before()?;
    }
    Ok(())
}

#[test]
fn somebody_starts_the_new_container() -> Result<()> {
    for (test, record) in [("new started", record::CAPTURED), ("new started late", record::SWAPPED)] {
        let scene = Scene::killed_at(test, record)?;
        scene.docker().call(&["start", &scene.new_id()?])?;
        ensure!(scene.recover()?.verdict == Verdict::Undone);
        scene.serves_as_before()?;
    }
    Ok(())
}

#[test]
fn somebody_stops_the_old_container() -> Result<()> {
    let scene = Scene::killed_at("old stopped", record::CAPTURED)?;
    scene.docker().call(&["stop", &scene.old_id])?;
    // It was not the redeploy that stopped it: what somebody wants stopped stays so.
    ensure!(scene.recover()?.verdict == Verdict::Undone);
    ensure!(scene.sandbox.containers()? == [scene.web.as_str()]);
    scene.docker().call(&["start", &scene.web])?;
    scene.serves_as_before()
}

#[test]
fn somebody_starts_the_old_container_while_the_new_one_takes_over() -> Result<()> {
    for (test, record) in [("old started", record::STOPPED), ("old started late", record::STARTED)] {
        let scene = Scene::killed_at(test, record)?;
        scene.docker().call(&["start", &scene.old_id])?;
        ensure!(scene.recover()?.verdict == Verdict::Undone);
        scene.serves_as_before()?;
    }
    Ok(())
}

#[test]
fn somebody_renames_the_old_container() -> Result<()> {
    let scene = Scene::killed_at("old renamed", record::STOPPED)?;
    let elsewhere = scene.sandbox.name("elsewhere");
    scene.docker().call(&["rename", &scene.old_id, &elsewhere])?;
    ensure!(scene.recover()?.verdict == Verdict::Undone);
    // It serves again; the name it was given stays, because it was no redeploy that gave it.
    Scene { web: elsewhere, ..scene }.serves_as_before()
}

#[test]
fn somebody_removes_the_old_container() -> Result<()> {
    let moments = [
        ("old gone captured", record::CAPTURED),
        ("old gone stopped", record::STOPPED),
        ("old gone swapped", record::SWAPPED),
    ];
    for (test, record) in moments {
        let scene = Scene::killed_at(test, record)?;
        scene.docker().call(&["rm", "--force", &scene.old_id])?;
        let report = scene.recover()?;
        ensure!(report.verdict == Verdict::Undone, "{test}: {report:#?}");
        scene.serves_anew(&report).context(test)?;
    }
    Ok(())
}

/// The new one serves by then, and what it takes in counts: there is no way back, and the report says so.
#[test]
fn somebody_removes_the_old_container_when_the_new_one_serves() -> Result<()> {
    let scene = Scene::killed_at("old gone late", record::STARTED)?;
    scene.docker().call(&["rm", "--force", &scene.old_id])?;
    let report = scene.recover()?;
    ensure!(report.verdict == Verdict::Done && report.parked.is_none(), "{report:#?}");
    ensure!(report.warnings.iter().any(|warning| warning.contains("nothing to revert to")), "{report:#?}");
    scene.serves()
}

/// Between the kill and the recovery the new one stops, as in a reboot without a restart policy: it is started again.
#[test]
fn the_new_container_stopped_before_anybody_recovered() -> Result<()> {
    let scene = Scene::killed_at("new stopped", record::STARTED)?;
    let new = scene.new_id()?;
    scene.docker().exec(&scene.web, &["sh", "-c", "echo acknowledged >>/data/rows"])?;
    scene.docker().call(&["kill", &new])?;
    let report = scene.recover()?;
    ensure!(report.verdict == Verdict::Done, "{report:#?}");
    ensure!(id_of(&scene.docker().inspect(&scene.web)?)? == new, "another container serves");
    ensure!(scene.docker().exec(&scene.web, &["cat", "/data/rows"])? == "rows\nacknowledged");
    let steps: Vec<Step> = report.steps.iter().map(|time| time.step).collect();
    ensure!(steps.ends_with(&[Step::Swap, Step::Start, Step::Verify]), "{steps:?}");
    Ok(())
}

#[test]
fn somebody_removes_the_old_container_while_it_is_redeployed() -> Result<()> {
    for step in ["capture", "stop"] {
        let (scene, report) = act_during(&format!("old removed {step}"), step, |docker, web| {
            docker.call(&["rm", "--force", web]).map(drop)
        })?;
        if report.verdict == Verdict::Done {
            // The stop was quicker than we are: then it was removed from behind the one that serves.
            scene.serves()?;
            continue;
        }
        ensure!(report.verdict == Verdict::Undone, "{step}: {report:#?}");
        let running = scene.docker().inspect(&scene.web)?;
        ensure!(running["State"]["Running"] == true, "{step}: {running:#?}");
        ensure!(scene.docker().exec(&scene.web, &["cat", "/data/rows"])? == "rows", "{step}");
        ensure!(scene.docker().exec(&scene.web, &["cat", "/etc/motd"])? == "busybox v1", "{step}");
        ensure!(report.failure.context("no failure")?.made_anew.is_some(), "{step}");
        ensure!(scene.sandbox.containers()? == [scene.web.as_str()], "{step}");
    }
    Ok(())
}

/// While the agent lives: as soon as the step has begun, somebody acts.
fn act_during(test: &str, step: &str, act: impl Fn(Docker, &str) -> Result<()>) -> Result<(Scene, Report)> {
    let sandbox = Sandbox::new(test)?;
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data"), "--restart", "unless-stopped"];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    let write = "echo rows >/data/rows; echo mine >/etc/mine; dd if=/dev/urandom of=/data/big bs=1M count=64";
    sandbox.docker().exec(&web, &["sh", "-c", write])?;
    let old_id = id_of(&sandbox.docker().inspect(&web)?)?;
    let operator = Operator::configured_slowly(&sandbox)?;
    let running = operator.begin_redeploy(&web, &image("v2")?, &[])?;
    let mark = format!("\"what\":\"started\",\"step\":\"{step}\"");
    wait::until(wait::PATIENCE, step, || Ok(running.stdout_so_far().contains(&mark)))?;
    act(sandbox.docker(), &web)?;
    let report = operator.end_of(running)?.report()?;
    Ok((Scene { sandbox, operator, web, old_id }, report))
}

#[test]
fn somebody_stops_the_new_container_while_it_proves_itself() -> Result<()> {
    let (scene, report) =
        act_during("new stopped", "verify", |docker, web| docker.call(&["stop", web]).map(drop))?;
    ensure!(report.verdict == Verdict::Undone, "{report:#?}");
    scene.serves_as_before()
}

#[test]
fn somebody_restarts_the_new_container_while_it_proves_itself() -> Result<()> {
    let (scene, report) =
        act_during("new restarted", "verify", |docker, web| docker.call(&["restart", web]).map(drop))?;
    ensure!(report.verdict == Verdict::Undone, "{report:#?}");
    scene.serves_as_before()
}

#[test]
fn somebody_removes_the_new_container_while_it_proves_itself() -> Result<()> {
    let (scene, report) =
        act_during("new removed", "verify", |docker, web| docker.call(&["rm", "--force", web]).map(drop))?;
    ensure!(report.verdict == Verdict::Undone, "{report:#?}");
    scene.serves_as_before()
}

#[test]
fn somebody_pauses_the_old_container_while_it_is_captured() -> Result<()> {
    let (scene, report) =
        act_during("old paused", "capture", |docker, web| docker.call(&["pause", web]).map(drop))?;
    ensure!(report.verdict == Verdict::Undone, "{report:#?}");
    // Noticed at once, by the engine's word, not when the step had ended.
    let last = report.steps.last().context("no steps")?;
    ensure!(last.step == Step::Capture && last.took_ms.is_none(), "{report:#?}");
    let found = report.failure.context("no failure")?.interference.context("no interference")?;
    ensure!(found.found == "is paused" && found.event.as_deref() == Some("pause"), "{found:?}");
    scene.docker().call(&["unpause", &scene.web])?;
    scene.serves_as_before()
}

#[test]
fn an_operator_stops_the_agent() -> Result<()> {
    let (scene, report) = act_during("cancelled", "verify", |_, _| Ok(()))?;
    ensure!(report.verdict == Verdict::Done, "{report:#?}");
    scene.serves()?;
    let running = scene.operator.begin_redeploy(&scene.web, &image("v3")?, &[])?;
    wait::until(wait::PATIENCE, "verify", || Ok(running.stdout_so_far().contains("\"step\":\"verify\"")))?;
    running.terminate()?;
    let report = scene.operator.end_of(running)?.undone()?;
    ensure!(report.failure.context("no failure")?.reason.contains("cancelled"));
    ensure!(scene.docker().exec(&scene.web, &["cat", "/etc/motd"])? == "busybox v2");
    scene.sandbox.wait_for_state(&scene.web, "running", Duration::ZERO)?;
    scene.serves()
}
