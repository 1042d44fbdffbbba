//! Hosts on which nothing can be done: no engine, no room.

use std::os::unix::process::CommandExt;

use anyhow::{Result, ensure};
use redeploy_tests::images;
use redeploy_tests::operator::Operator;
use redeploy_tests::process::Running;
use redeploy_tests::rich;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

use crate::untouched::{Snapshot, refused};

#[test]
fn an_engine_that_does_not_answer() -> Result<()> {
    let sandbox = Sandbox::new("no engine")?;
    let socket = sandbox.path().join("no.sock");
    let toml = format!("docker_socket = {:?}\n", socket.display().to_string());
    let operator = Operator::configured(&sandbox, &toml)?;
    let path = socket.display().to_string();
    refused(&sandbox, &[&path], || operator.redeploy("web", "busybox", &[]))?;
    // A socket on which nobody listens, and a file that is none.
    drop(std::os::unix::net::UnixListener::bind(&socket)?);
    refused(&sandbox, &[&path], || operator.redeploy("web", "busybox", &[]))?;
    std::fs::remove_file(&socket)?;
    rich::write(&socket, "")?;
    refused(&sandbox, &[&path], || operator.redeploy("web", "busybox", &[]))
}

#[test]
fn a_disk_without_room_for_the_archives() -> Result<()> {
    let sandbox = Sandbox::new("no room")?;
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let web = sandbox.run("web", &options, &images::busybox_v1()?, &[])?;
    rich::write(&sandbox.docker().mountpoint(&volume)?.join("file"), &"7".repeat(300_000))?;
    let operator = Operator::configured(&sandbox, "disk_headroom = \"8000TiB\"\n")?;
    // What may be needed, what must stay free: an operator has to see how far off it is.
    let reasons = ["not enough disk space", "30", "8796093022208000 must stay free", "are free"];
    refused(&sandbox, &reasons, || operator.redeploy(&web, &images::busybox_v2()?, &[]))
}

#[test]
fn a_configuration_or_words_that_are_wrong() -> Result<()> {
    let sandbox = Sandbox::new("bad words")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    let before = Snapshot::of(&sandbox)?;
    let v2 = images::busybox_v2()?;
    let mistaken = Operator::configured(&sandbox, "colour = \"red\"\nparked_max = \"many\"\n")?;
    let complaint = mistaken.redeploy(&web, &v2, &[])?.misunderstood()?;
    // Every mistake at once, each with its place.
    for word in ["colour", "parked_max", "agent.toml"] {
        ensure!(complaint.contains(word), "{word} is not in {complaint}");
    }
    let operator = Operator::new(&sandbox)?;
    for words in [
        ["--probe=ftp://x"].as_slice(),
        &["--verify-timeout=soon"],
        &["--use-existing-volumes=perhaps"],
        &["--no-such-option"],
        &["--registry-user=me"],
    ] {
        operator.redeploy(&web, &v2, words)?.misunderstood()?;
    }
    ensure!(operator.ask(&["redeploy", "--image", &v2])?.misunderstood()?.contains("--container"));
    ensure!(Snapshot::of(&sandbox)? == before, "something was touched");
    Ok(())
}

#[test]
fn a_user_who_is_not_root() -> Result<()> {
    let sandbox = Sandbox::new("not root")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    let before = Snapshot::of(&sandbox)?;
    let (uid, v2) = (65_534, images::busybox_v2()?);
    let program = sandbox.agent()?.copied_to(&sandbox.open_to_all()?)?;
    let words = ["redeploy", "--container", &web, "--image", &v2, "--pull=never", "--json"];
    for data_dir in [sandbox.data_dir(), sandbox.path().join("everyones/data")] {
        let data_dir = data_dir.display().to_string();
        let mut command = std::process::Command::new(&program);
        command.args(["--data-dir", &data_dir]).args(words).uid(uid).gid(uid);
        let outcome = Running::spawn(command)?.wait(wait::PATIENCE)?.expect_code(2)?;
        ensure!(outcome.stdout.contains("root"), "{}", outcome.describe());
    }
    ensure!(Snapshot::of(&sandbox)? == before, "something was touched");
    Ok(())
}
