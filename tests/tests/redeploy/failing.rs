//! New containers that fail: the old one serves again with its data, and the report says why.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use redeploy_agent::report::{Failure, Report};
use redeploy_tests::engine::text_at;
use redeploy_tests::images::{self, Image};
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

const DATA: &str = "/data/orders";
const KEPT: &str = "/etc/subject/app.conf";

/// Redeploys a living subject to an image that fails and checks that it lives as before.
fn fails(test: &str, options: &[&str], image: &str, words: &[&str]) -> Result<(Sandbox, Report, Failure)> {
    let sandbox = Sandbox::new(test)?;
    let docker = sandbox.docker();
    let volume = sandbox.volume("data")?;
    let mount = format!("{volume}:/data");
    let options = [&["--volume", &mount], options].concat();
    let web = sandbox.run_subject("web", &options, &images::subject_v1()?)?;
    let http = sandbox.http(&web)?;
    http.put_file(DATA, b"rows")?;
    http.put_file(KEPT, b"title = mine\n")?;
    let before = docker.inspect(&web)?;

    let report = Operator::new(&sandbox)?.redeploy(&web, image, words)?.undone()?;

    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(http.get("/version")?.text() == "v1\n");
    ensure!(http.text_of(DATA)?.as_deref() == Some("rows"), "the volume is not as it was");
    ensure!(http.text_of(KEPT)?.as_deref() == Some("title = mine\n"));
    let after = docker.inspect(&web)?;
    for pointer in ["/Id", "/Name", "/Config", "/HostConfig", "/Mounts"] {
        ensure!(before.pointer(pointer) == after.pointer(pointer), "{pointer} is not as it was");
    }
    ensure!(sandbox.containers()? == [web], "something is left: {:?}", sandbox.containers()?);
    let failure = report.failure.clone().context("no failure in the report")?;
    Ok((sandbox, report, failure))
}

#[test]
fn an_image_that_exits_at_once_is_undone_with_its_last_words() -> Result<()> {
    let (_sandbox, report, failure) = fails("exits", &[], &images::subject_broken()?, &[])?;
    ensure!(failure.reason.contains("exited with code 1"), "{}", failure.reason);
    let last_words = failure.last_words.context("no last words")?;
    ensure!(last_words.contains("FAIL_START") && last_words.contains("exit code 1"), "{last_words}");
    ensure!(report.downtime_ms.is_some() && report.parked.is_none());
    Ok(())
}

#[test]
fn an_image_that_restarts_again_and_again_is_undone() -> Result<()> {
    let options = ["--restart", "always"];
    let (_sandbox, _, failure) = fails("restart loop", &options, &images::subject_broken()?, &[])?;
    ensure!(failure.reason.contains("restarted") || failure.reason.contains("exited"), "{}", failure.reason);
    ensure!(failure.last_words.context("no last words")?.contains("FAIL_START"));
    Ok(())
}

#[test]
fn an_image_whose_output_nobody_can_read_is_undone() -> Result<()> {
    let options = ["--log-driver", "none"];
    let (_sandbox, _, failure) = fails("no logs", &options, &images::subject_broken()?, &[])?;
    let last_words = failure.last_words.context("no last words")?;
    ensure!(last_words.contains("exit code 1"), "{last_words}");
    Ok(())
}

#[test]
fn an_unhealthy_image_is_undone() -> Result<()> {
    let (_sandbox, _, failure) = fails("unhealthy", &[], &images::subject_unhealthy()?, &[])?;
    ensure!(failure.reason.contains("unhealthy"), "{}", failure.reason);
    Ok(())
}

#[test]
fn an_image_that_does_not_answer_the_probe_is_undone() -> Result<()> {
    let words = ["--probe=http://:8080/no-such-page", "--verify-timeout=2s"];
    let (_sandbox, _, failure) = fails("probe", &[], &images::subject_v2()?, &words)?;
    ensure!(failure.reason.contains("probe"), "{}", failure.reason);
    Ok(())
}

#[test]
fn an_image_whose_program_is_missing_is_undone() -> Result<()> {
    let image = Image::subject("typo")?.set("ENTRYPOINT [\"/no/such/program\"]").build()?;
    let (_sandbox, _, failure) = fails("no program", &[], &image, &[])?;
    ensure!(failure.reason.contains("/no/such/program"), "{}", failure.reason);
    Ok(())
}

#[test]
fn what_a_failing_image_wrote_to_the_volume_is_kept_beside_and_the_volume_put_back() -> Result<()> {
    let sandbox = Sandbox::new("spoils")?;
    let docker = sandbox.docker();
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let web = sandbox.run("web", &options, &images::busybox_v1()?, &[])?;
    let dir = docker.mountpoint(&volume)?;
    redeploy_tests::rich::fill(&dir)?;
    let before = redeploy_tests::tree::Tree::of(&dir)?;
    let spoils = "cd /data; rm -rf deep; echo spoilt >plain; chmod 777 sparse; echo mine >new; mkdir other; \
         touch other/x; rm link; ln -s elsewhere link; echo bye; exit 5";
    let spoiler = Image::busybox("spoiler")?.set(&format!("CMD [\"sh\", \"-c\", \"{spoils}\"]")).build()?;

    let operator = Operator::new(&sandbox)?;
    let report = operator.redeploy(&web, &spoiler, &[])?.undone()?;

    before.expect_same(&redeploy_tests::tree::Tree::of(&dir)?)?;
    let failure = report.failure.clone().context("no failure")?;
    ensure!(failure.last_words.context("no last words")?.contains("bye"));
    let archive = operator.dir_of(report.id).archives().join(format!("volume-0-{volume}.failed.tar.gz"));
    ensure!(read_from(&archive, "new")? == "mine\n" && read_from(&archive, "plain")? == "spoilt\n");
    let state = text_at(&docker.inspect(&web)?, "/State/Status")?;
    ensure!(state == "running", "{state}");
    Ok(())
}

fn read_from(archive: &Path, name: &str) -> Result<String> {
    let mut tar = std::process::Command::new("tar");
    let output = tar.arg("xzOf").arg(archive).arg("--wildcards").arg(format!("*{name}")).output()?;
    ensure!(output.status.success(), "{}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
