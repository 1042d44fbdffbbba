//! The way back: reverts, reverts of reverts, and what retention lets go of.

use anyhow::{Context, Result, ensure};
use redeploy_tests::engine::text_at;
use redeploy_tests::images;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use serde_json::Value;

const KEPT: &str = "/etc/subject/app.conf";
const UNLISTED: &str = "/etc/subject/other.conf";
const DATA: &str = "/data/orders";

/// A subject that serves v2, redeployed from v1, with rows from both days.
struct Shop {
    sandbox: Sandbox,
    operator: Operator,
    web: String,
    old_id: String,
}

impl Shop {
    fn redeployed(test: &str) -> Result<Self> {
        let sandbox = Sandbox::new(test)?;
        let volume = sandbox.volume("data")?;
        let options = ["--volume", &format!("{volume}:/data"), "--restart", "unless-stopped"];
        let web = sandbox.run_subject("web", &options, &images::subject_v1()?)?;
        let http = sandbox.http(&web)?;
        http.put_file(KEPT, b"title = of then\n")?;
        http.put_file(UNLISTED, b"not listed\n")?;
        http.put_file(DATA, b"rows of then")?;
        let old_id = text_at(&sandbox.docker().inspect(&web)?, "/Id")?;
        let operator = Operator::new(&sandbox)?;
        operator.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
        sandbox.wait_until_it_serves(&web)?;
        let http = sandbox.http(&web)?;
        http.put_file(KEPT, b"title = of today\n")?;
        http.put_file(DATA, b"rows of today")?;
        http.put_file("/data/new", b"made today")?;
        Ok(Self { sandbox, operator, web, old_id })
    }

    fn expect(&self, version: &str, files: &[(&str, Option<&str>)]) -> Result<()> {
        self.sandbox.wait_until_it_serves(&self.web)?;
        let http = self.sandbox.http(&self.web)?;
        ensure!(http.get("/version")?.text() == format!("{version}\n"));
        for (path, wanted) in files {
            let found = http.file(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            ensure!(found.as_deref() == *wanted, "{path}: found {found:?}, wanted {wanted:?}");
        }
        Ok(())
    }

    fn containers(&self, count: usize) -> Result<()> {
        let names = self.sandbox.containers()?;
        ensure!(names.len() == count, "expected {count} containers: {names:?}");
        Ok(())
    }
}

#[test]
fn a_revert_keeps_todays_data_and_a_revert_of_it_comes_forward_again() -> Result<()> {
    let shop = Shop::redeployed("revert keep")?;
    let report = shop.operator.revert(&shop.web, &[])?.done()?;

    let todays = [(DATA, Some("rows of today")), ("/data/new", Some("made today"))];
    shop.expect("v1", &[(KEPT, Some("title = of then\n")), (UNLISTED, Some("not listed\n"))])?;
    shop.expect("v1", &todays)?;
    let inspected = shop.sandbox.docker().inspect(&shop.web)?;
    ensure!(inspected["Id"] == shop.old_id.as_str());
    ensure!(inspected["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped");
    let parked = shop.sandbox.docker().inspect(report.parked.as_deref().context("nothing is parked")?)?;
    ensure!(parked["State"]["Running"] == false && parked["HostConfig"]["RestartPolicy"]["Name"] == "no");
    shop.containers(2)?;

    shop.operator.revert(&shop.web, &[])?.done()?;
    shop.expect("v2", &[(KEPT, Some("title = of today\n"))])?;
    shop.expect("v2", &todays)?;
    ensure!(
        shop.sandbox.docker().inspect(&shop.web)?["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    );
    shop.containers(2)
}

#[test]
fn a_revert_restores_the_data_of_then_and_a_revert_of_it_that_of_today() -> Result<()> {
    let shop = Shop::redeployed("revert restore")?;

    shop.operator.revert(&shop.web, &["--volumes=restore"])?.done()?;
    shop.expect("v1", &[(DATA, Some("rows of then")), ("/data/new", None)])?;

    shop.operator.revert(&shop.web, &["--volumes=restore"])?.done()?;
    shop.expect("v2", &[(DATA, Some("rows of today")), ("/data/new", Some("made today"))])
}

#[test]
fn only_the_latest_container_stays_parked_and_prune_lets_old_ones_go() -> Result<()> {
    let shop = Shop::redeployed("parked")?;
    shop.containers(2)?;
    let second = shop.operator.redeploy(&shop.web, &images::subject_v1()?, &[])?.done()?;
    shop.containers(2)?;
    ensure!(!shop.sandbox.docker().exists("container", &shop.old_id)?, "v1 should be gone");
    let parked = second.parked.context("nothing is parked")?;
    ensure!(shop.operator.ask(&["prune"])?.pruned.is_empty(), "nothing is old yet");
    shop.containers(2)?;

    let strict = Operator::configured(&shop.sandbox, "parked_max = 0\n")?;
    ensure!(strict.ask(&["prune"])?.pruned == [parked]);
    shop.containers(1)?;
    let text = strict.revert(&shop.web, &[])?.refused()?;
    ensure!(text.contains("no parked container"), "{text}");
    shop.expect("v1", &[(KEPT, Some("title = of today\n")), (DATA, Some("rows of today"))])
}

#[test]
fn history_and_show_tell_what_was_done() -> Result<()> {
    let shop = Shop::redeployed("history")?;
    let failed = shop.operator.redeploy(&shop.web, &images::subject_broken()?, &[])?.undone()?;
    let back = shop.operator.revert(&shop.web, &[])?.done()?;
    let agent = shop.sandbox.agent()?;

    let lines = agent.run(&["history"])?.expect_code(0)?.stdout;
    for word in [shop.web.as_str(), &failed.id.short(), &back.id.short()] {
        ensure!(lines.contains(word), "{word} is not in {lines}");
    }
    let entries = agent.run(&["history", "--json", "--container", &shop.web])?.expect_code(0)?.stdout;
    let entries: Vec<Value> = entries.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let seen: Vec<(&str, &str)> = entries
        .iter()
        .filter_map(|entry| Some((entry["kind"].as_str()?, entry["verdict"].as_str()?)))
        .collect();
    ensure!(seen == [("revert", "done"), ("redeploy", "undone"), ("redeploy", "done")], "{entries:#?}");

    let id = failed.id.to_string();
    let shown = agent.run(&["show", &id])?.expect_code(0)?.stdout;
    ensure!(shown.contains("FAIL_START") && shown.contains("step verify failed"), "{shown}");
    agent.run(&["show", "ffffffff-nothing"])?.expect_code(2)?;
    Ok(())
}
