//! Containers that must not, or cannot, be redeployed as they are.

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::images;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::swarm::Swarm;
use redeploy_tests::wait;

use crate::untouched::{redeploy_refused, refused};

/// After Capture began: something is there to be taken over.
const IN_THE_MIDDLE: u32 = 3;

#[test]
fn a_container_that_is_not_there() -> Result<()> {
    let sandbox = Sandbox::new("no such")?;
    let other = sandbox.run("other", &[], &images::busybox_v1()?, &[])?;
    let missing = sandbox.name("web");
    redeploy_refused(&sandbox, &missing, &images::busybox_v2()?, &["no container", &missing])?;
    let operator = Operator::new(&sandbox)?;
    refused(&sandbox, &["no container", &missing], || operator.revert(&missing, &[]))?;
    refused(&sandbox, &["no parked container"], || operator.revert(&other, &[]))
}

#[test]
fn a_paused_container() -> Result<()> {
    let sandbox = Sandbox::new("paused")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    sandbox.docker().call(&["pause", &web])?;
    redeploy_refused(&sandbox, &web, &images::busybox_v2()?, &["is paused", "docker unpause"])?;
    sandbox.docker().call(&["unpause", &web])?;
    Operator::new(&sandbox)?.redeploy(&web, &images::busybox_v2()?, &[])?.done()?;
    Ok(())
}

#[test]
fn a_task_of_a_swarm_service() -> Result<()> {
    let _swarm = Swarm::join()?;
    let sandbox = Sandbox::new("swarm task")?;
    let docker = sandbox.docker();
    let service = Service(sandbox.name("service"));
    let words = ["service", "create", "--detach", "--no-resolve-image", "--name", &service.0];
    docker.call(&[&words[..], &[&images::busybox_v1()?]].concat())?;
    let task = wait::eventually(wait::PATIENCE, "a running task", || {
        let of_it = format!("label=com.docker.swarm.service.name={}", service.0);
        let names = docker.call(&["ps", "--filter", &of_it, "--format", "{{.Names}}"])?;
        Ok(names.lines().next().map(str::to_owned))
    })?;
    redeploy_refused(&sandbox, &task, &images::busybox_v2()?, &["swarm service", "update the service"])
}

#[test]
fn a_listed_path_in_a_volume_that_is_given_up() -> Result<()> {
    let sandbox = Sandbox::new("given up")?;
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let web = sandbox.run("web", &options, &images::busybox_v1()?, &[])?;
    let list = "mkdir -p /etc/jelastic && echo /data/mine > /etc/jelastic/redeploy.conf";
    sandbox.docker().exec(&web, &["sh", "-c", list])?;
    let operator = Operator::new(&sandbox)?;
    let v2 = images::busybox_v2()?;
    let words = ["--use-existing-volumes=false"];
    // Nothing there: nothing is lost.
    operator.redeploy(&web, &v2, &words)?.done()?;
    sandbox.docker().exec(&web, &["sh", "-c", "echo row > /data/mine"])?;
    let expected = ["/data/mine is to be kept", "volume at /data", "keep the volumes"];
    refused(&sandbox, &expected, || operator.redeploy(&web, &v2, &words))?;
    operator.redeploy(&web, &v2, &[])?.done()?;
    ensure!(sandbox.docker().exec(&web, &["cat", "/data/mine"])?.trim() == "row");
    Ok(())
}

#[test]
fn a_probe_of_a_container_without_a_network() -> Result<()> {
    let sandbox = Sandbox::new("nothing to probe")?;
    let web = sandbox.run("web", &["--network", "none"], &images::busybox_v1()?, &[])?;
    let operator = Operator::new(&sandbox)?;
    let (v2, probe) = (images::busybox_v2()?, ["--probe=tcp://:8080"]);
    let expected = ["has no network", "name a host in the probe"];
    refused(&sandbox, &expected, || operator.redeploy(&web, &v2, &probe))?;
    operator.redeploy(&web, &v2, &[])?.done()?;
    refused(&sandbox, &expected, || operator.revert(&web, &probe))
}

#[test]
fn volumes_to_be_given_up_that_another_container_mounts_too() -> Result<()> {
    let sandbox = Sandbox::new("borrowed")?;
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let (v1, v2) = (images::busybox_v1()?, images::busybox_v2()?);
    let web = sandbox.run("web", &options, &v1, &[])?;
    let side = sandbox.run("side", &["--volumes-from", &web], &v1, &[])?;
    let operator = Operator::new(&sandbox)?;
    let give_up = ["--use-existing-volumes=false"];
    refused(&sandbox, &[&side, "--volumes-from", "keep the volumes"], || {
        operator.redeploy(&web, &v2, &give_up)
    })?;
    // Whether it runs itself or not.
    sandbox.docker().call(&["stop", "--time", "0", &web])?;
    refused(&sandbox, &[&side, "--volumes-from"], || operator.redeploy(&web, &v2, &give_up))?;
    sandbox.docker().call(&["start", &web])?;
    // With volumes that stay both have the same, forward and back.
    let see_the_same = || -> Result<()> {
        sandbox.docker().exec(&web, &["sh", "-c", "date +%s%N > /data/row"])?;
        let rows = [&web, &side].map(|container| sandbox.docker().exec(container, &["cat", "/data/row"]));
        let [of_web, of_side] = rows;
        ensure!(of_web? == of_side?);
        Ok(())
    };
    operator.redeploy(&web, &v2, &[])?.done()?;
    see_the_same()?;
    operator.revert(&web, &[])?.done()?;
    see_the_same()?;
    sandbox.docker().call(&["rm", "--force", &side])?;
    operator.redeploy(&web, &v2, &give_up)?.done()?;
    Ok(())
}

/// Data of then that is ordered and cannot be had: today's is not quietly taken instead.
#[test]
fn a_revert_that_is_to_restore_volumes_and_cannot() -> Result<()> {
    let sandbox = Sandbox::new("no data of then")?;
    let volume = sandbox.volume("data")?;
    let mount = format!("{volume}:/data");
    let v1 = images::busybox_v1()?;
    let web = sandbox.run("web", &["--volume", &mount], &v1, &[])?;
    let operator = Operator::new(&sandbox)?;
    let redeployed = operator.redeploy(&web, &images::busybox_v2()?, &[])?.done()?;
    let other = sandbox.run("other", &["--volume", &mount], &v1, &[])?;
    let restore = ["--volumes=restore"];
    refused(&sandbox, &[&volume, "cannot become what it was", &other, "--volumes keep"], || {
        operator.revert(&web, &restore)
    })?;
    sandbox.docker().call(&["rm", "--force", &other])?;
    let dir = sandbox.data_dir().join("redeploys").join(redeployed.id.to_string());
    let (manifest, aside) = (dir.join("archives/manifest.json"), dir.join("aside"));
    std::fs::rename(&manifest, &aside)?;
    refused(&sandbox, &[&volume, "has no archive of it"], || operator.revert(&web, &restore))?;
    std::fs::rename(&aside, &manifest)?;
    operator.revert(&web, &restore)?.done()?;
    Ok(())
}

/// Its tasks go with it; a container of it that is removed comes back.
struct Service(String);

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = Docker.call(&["service", "rm", &self.0]) {
            eprintln!("service {} is not removed: {error:#}", self.0);
        }
    }
}

#[test]
fn a_container_with_an_unfinished_redeploy() -> Result<()> {
    let sandbox = Sandbox::new("unfinished")?;
    let v2 = images::busybox_v2()?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    let operator = Operator::new(&sandbox)?;
    operator.redeploy_killed_at(&web, &v2, IN_THE_MIDDLE)?;
    redeploy_refused(&sandbox, &web, &v2, &["unfinished redeploy", "recover"])?;
    refused(&sandbox, &["no parked container"], || operator.revert(&web, &[]))?;
    operator.recover()?.undone()?;
    ensure!(sandbox.containers()? == [web.as_str()]);
    operator.redeploy(&web, &v2, &[])?.done()?;
    Ok(())
}

#[test]
fn a_preserve_list_that_cannot_be_read() -> Result<()> {
    let sandbox = Sandbox::new("list")?;
    let docker = sandbox.docker();
    for (short, make) in [("directory", "mkdir"), ("fifo", "mkfifo")] {
        let web = sandbox.run(short, &[], &images::busybox_v1()?, &[])?;
        let applet = ["/bin/busybox", make, "/etc/jelastic/redeploy.conf"];
        docker.exec(&web, &["/bin/busybox", "mkdir", "/etc/jelastic"])?;
        docker.exec(&web, &applet)?;
        redeploy_refused(&sandbox, &web, &images::busybox_v2()?, &["preserve list", "cannot be read"])?;
    }
    // A link that leads round in circles names no file either.
    let web = sandbox.run("loop", &[], &images::busybox_v1()?, &[])?;
    docker.exec(&web, &["/bin/busybox", "mkdir", "/etc/jelastic"])?;
    docker.exec(&web, &["ln", "-s", "redeploy.conf", "/etc/jelastic/redeploy.conf"])?;
    redeploy_refused(&sandbox, &web, &images::busybox_v2()?, &["preserve list", "cannot be read"])
}

#[test]
fn a_host_port_that_somebody_else_has() -> Result<()> {
    let sandbox = Sandbox::new("port")?;
    let docker = sandbox.docker();
    let (v1, v2) = (images::busybox_v1()?, images::busybox_v2()?);
    let first = sandbox.run("first", &["--publish", "127.0.0.1::80"], &v1, &[])?;
    let port = docker.published(&first, 80)?.port().to_string();
    let publish = format!("127.0.0.1:{port}:80");
    // The one that has the port by chance is gone; one that has it by order stands still; a third takes it.
    docker.call(&["rm", "--force", &first])?;
    let web = sandbox.create("web", &["--publish", &publish], &v1, &[])?;
    let holder = sandbox.run("holder", &["--publish", &publish], &v1, &[])?;
    redeploy_refused(&sandbox, &web, &v2, &["host port", &port, &holder])?;
    // The holder itself may be redeployed: it gives the port up first.
    Operator::new(&sandbox)?.redeploy(&holder, &v2, &[])?.done()?;
    ensure!(docker.published(&holder, 80)?.port().to_string() == port);
    Ok(())
}

#[test]
fn a_container_that_another_agent_works_on() -> Result<()> {
    let sandbox = Sandbox::new("lock")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    std::fs::create_dir_all(sandbox.data_dir())?;
    let lock = redeploy_agent::lock::Lock::take(&redeploy_agent::paths::DataDir::new(sandbox.data_dir()))?;
    let own = std::process::id().to_string();
    redeploy_refused(&sandbox, &web, &images::busybox_v2()?, &["another redeploy-agent", &own])?;
    drop(lock);
    Operator::new(&sandbox)?.redeploy(&web, &images::busybox_v2()?, &[])?.done()?;
    Ok(())
}
