//! The Jelastic API as its users have it: a client from PyPI, and every command of docs/jelastic-api.md, on programs and real
//! containers.

use anyhow::{Context, Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::fleet::{Fleet, lines};
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::{images, jelastic};
use serde_json::Value;

use crate::http::commands;

const GUIDE: &str = include_str!("../../../docs/jelastic-api.md");

/// Tags of one repository, gone with the value. Its registry does not answer, so what was built here is used.
struct Shelf {
    docker: Docker,
    repository: String,
}

impl Shelf {
    fn new(sandbox: &Sandbox) -> Self {
        // Repositories are written in small letters, so the prefix alone would not be unique.
        let name = format!("{}-{}", sandbox.prefix().to_lowercase(), std::process::id());
        Self { docker: sandbox.docker(), repository: format!("127.0.0.1:1/redeploy-test/{name}") }
    }

    fn put(&self, tag: &str, image: &str) -> Result<String> {
        let name = format!("{}:{tag}", self.repository);
        self.docker.call(&["tag", image, &name])?;
        Ok(name)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let list = ["images", "--format", "{{.Repository}}:{{.Tag}}", &self.repository];
        for name in self.docker.call(&list).unwrap_or_default().lines() {
            let _ = self.docker.call(&["rmi", "--force", name]);
        }
    }
}

fn is_on(sandbox: &Sandbox, container: &str, version: &str) -> Result<()> {
    sandbox.wait_until_it_serves(container)?;
    let other = sandbox.http(container)?.text_of("/etc/subject/other.conf")?.unwrap_or_default();
    ensure!(other.contains(version), "{container} is on {other:?}, not on {version}");
    Ok(())
}

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/jelastic-client/update.jps");

/// `redeployctl apply`: each node by a call of its own, in their order.
fn a_manifest(fleet: &Fleet<'_>, env: &str) -> Result<()> {
    let apply = ["apply", MANIFEST, "--env", env, "--set", "tag=2.5"];
    let planned = fleet.ctl(&[&apply[..], &["--dry-run"]].concat())?.expect_code(0)?;
    ensure!(planned.stderr == "skipped, line 7: cmd\n", "{}", planned.describe());
    let planned = lines(&planned)?;
    ensure!(planned.len() == 2 && planned[1]["params"]["tag"] == "2.5", "{planned:?}");
    let strict = fleet.ctl(&[&apply[..], &["--strict"]].concat())?.expect_code(2)?;
    ensure!(strict.stdout.is_empty(), "{}", strict.describe());
    let done = lines(&fleet.ctl(&apply)?.expect_code(0)?)?;
    let nodes = |all: &[Value], what: &dyn Fn(&Value) -> Value| all.iter().map(what).collect::<Vec<Value>>();
    let called = nodes(&planned, &|call| call["params"]["nodeId"].clone());
    let answered = nodes(&done, &|answer| answer["response"]["responses"][0]["nodeid"].to_string().into());
    ensure!(called == answered, "{planned:?} {done:?}");
    // The first failure ends it.
    let broken = ["apply", MANIFEST, "--env", env, "--set", "tag=broken"];
    let failed = lines(&fleet.ctl(&broken)?.expect_code(5)?)?;
    ensure!(failed.len() == 1 && failed[0]["response"]["reason"] == "undone", "{failed:?}");
    Ok(())
}

/// `redeployctl jelastic`, and a link named after a method.
fn the_vendors_command_line(fleet: &Fleet<'_>, env: &str, repository: &str) -> Result<()> {
    let group = ["--envName", env, "--nodeGroup", "cp"];
    let info =
        fleet.ctl(&["jelastic", "environment/control/getenvinfo", "--envName", env, "--silent", "true"])?;
    let info = info.expect_code(0)?.json()?;
    ensure!(info["response"]["env"]["envName"] == env, "{info}");

    let tag = format!("{repository}:2.4");
    let done = [&group[..], &["--tag", &tag, "--useExistingVolumes", "true"]].concat();
    let done = fleet.ctl_linked_as("redeploycontainers", &done)?.expect_code(0)?;
    // What scripts look for.
    ensure!(done.stdout.contains("\n    \"result\": 0,\n"), "{}", done.describe());
    ensure!(done.json()?["response"]["responses"][1]["result"] == 0, "{}", done.describe());

    let wrong = ["--envName", env, "--nodeGroup", "pc", "--tag", "2.4"];
    let method = "environment/control/redeploycontainers";
    for (real, code) in [(&[][..], 0), (&["--non-zero-exit-code"], 2)] {
        let before = fleet.ctl(&[&["jelastic"], real, &[method], &wrong].concat())?.expect_code(code)?;
        ensure!(before.json()?["response"]["result"] == 5, "{}", before.describe());
        fleet.ctl(&[&["jelastic", method], &wrong[..], real].concat())?.expect_code(code)?;
        fleet.ctl_linked_as("redeploycontainers", &[&wrong[..], real].concat())?.expect_code(code)?;
    }
    let halted = [&["jelastic", method, "--non-zero-exit-code"], &group[..], &["--tag", "broken"]].concat();
    fleet.ctl(&halted)?.expect_code(5)?;
    let halted = fleet.ctl(&["jelastic", method, "--non-zero-exit-code", "pa55word"])?.expect_code(64)?;
    ensure!(!halted.stderr.contains("pa55word"), "{}", halted.describe());
    Ok(())
}

#[test]
fn a_client_of_the_vendors_and_the_commands_of_the_guide_redeploy_real_containers() -> Result<()> {
    let sandbox = Sandbox::new("jelastic")?;
    let shelf = Shelf::new(&sandbox);
    let first = shelf.put("1.0", &images::subject_v1()?)?;
    for (tag, image) in [
        ("2.4", images::subject_v2()?),
        ("2.5", images::subject_v1()?),
        ("broken", images::subject_broken()?),
    ] {
        shelf.put(tag, &image)?;
    }
    let env = sandbox.prefix().to_owned();
    let labels = ["--label", &format!("io.redeploy.env={env}"), "--label", "io.redeploy.group=cp"];
    let containers = [sandbox.run_subject("a", &labels, &first)?, sandbox.run_subject("b", &labels, &first)?];
    let mut fleet = Fleet::new(&sandbox)?;
    let agent = fleet.agent("host")?;
    fleet.join(&agent)?;
    let _running = agent.spawn(&["run"])?;
    fleet.wait_for_nodes(&env, 2)?;

    let got = jelastic::drive(&fleet, &env, "cp")?;
    let step = |name: &str| got.get(name).with_context(|| format!("no {name:?} in {got:?}"));
    let result = |name: &str| -> Result<(bool, i64, String)> {
        let told = step(name)?;
        let answer = &told["answer"];
        let error = answer["error"].as_str().unwrap_or_default().to_owned();
        Ok((told["raised"] == true, answer["result"].as_i64().context("no result")?, error))
    };
    ensure!(result("sign in")? == (false, 0, String::new()), "{got:?}");
    let info = step("info")?;
    ensure!(info["running"] == true && info["name"] == env.as_str(), "{info}");
    ensure!(info["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2), "{info}");
    ensure!(
        info["nodes"][0]["int_ip"] == "127.0.0.1" && info["nodes"][1]["url"] == "http://127.0.0.1",
        "{info}"
    );
    ensure!(step("no info")?["exists"] == false, "{got:?}");

    ensure!(result("redeploy")? == (false, 0, String::new()), "{got:?}");
    let responses = step("redeploy")?["answer"]["responses"].as_array().context("no responses")?;
    let words = format!("successfully updated from image {first} to {}:2.4\nDuration: 00:", shelf.repository);
    let says = |response: &Value| response["out"].as_str().is_some_and(|out| out.contains(&words));
    ensure!(responses.len() == 2 && responses.iter().all(says), "{responses:?}");

    let (raised, code, error) = result("failing")?;
    ensure!(raised && code == 70010 && error.contains(&containers[0]), "{got:?}");
    let responses = &step("failing")?["answer"]["responses"];
    ensure!(responses[0]["errOut"].as_str().is_some_and(|words| words.contains("FAIL_START")), "{responses}");
    ensure!(responses[1]["reason"] == "not_begun", "{responses}");
    ensure!(result("no tag")? == (true, 70002, "the parameter tag is missing".to_owned()), "{got:?}");
    // It also took the place of the deployment that had failed.
    ensure!(result("by id")? == (false, 0, String::new()), "{got:?}");
    is_on(&sandbox, &containers[0], "v2")?;
    is_on(&sandbox, &containers[1], "v1")?;
    ensure!(matches!(result("wrong session")?, (true, 70001, _)), "{got:?}");
    ensure!(result("sign out")? == (false, 0, String::new()), "{got:?}");
    ensure!(matches!(result("signed out")?, (true, 70001, _)), "{got:?}");

    the_vendors_command_line(&fleet, &env, &shelf.repository)?;
    a_manifest(&fleet, &env)?;
    let mut script = commands(GUIDE);
    for (guide, here) in [("\"shop\"", format!("\"{env}\"")), ("env=shop", format!("env={env}"))] {
        ensure!(script.contains(guide), "the guide has no {guide} any more");
        script = script.replace(guide, &here);
    }
    script = script.replace("envName=shop", &format!("envName={env}"));
    let said = fleet.script(&script)?.expect_code(0)?.stdout;
    for expected in [
        "admin\n".to_owned(),
        format!(" {}:2.4\n", shelf.repository),
        "0 Node has been successfully updated from image ".to_owned(),
        "[\"2.4\",\"2.5\",\"broken\"]\n0\n".to_owned(),
    ] {
        ensure!(said.contains(&expected), "no {expected:?} in\n{said}");
    }
    is_on(&sandbox, &containers[0], "v2")?;
    is_on(&sandbox, &containers[1], "v1")?;
    fleet.stop_coordinator()
}
